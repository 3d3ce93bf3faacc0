"""Conversations as text, token ids and loss mask: one representation for samples and prompts."""
