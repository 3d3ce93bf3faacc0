"""myna turns chat history into a language model that talks like the people in it."""

__version__ = "0.1.0"
