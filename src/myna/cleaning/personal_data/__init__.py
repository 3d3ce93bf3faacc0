"""Finders of personal data in texts: a module for each kind."""
