"""What runs a model: one interface, and the engines behind it."""
