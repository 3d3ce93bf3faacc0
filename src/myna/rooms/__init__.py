"""Live rooms of humans and personas, and the log of them that survives a kill."""
