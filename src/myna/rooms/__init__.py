"""Live rooms of humans and personas, and their messages in a database."""
