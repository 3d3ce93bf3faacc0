"""Clones: prompts, turns, the next speaker, and memory of past chats."""
