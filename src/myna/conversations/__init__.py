"""Conversations: their borders, their quality, and the splits."""
