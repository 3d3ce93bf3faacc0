"""Exports: prepared chats for other trainers, and clones for other programs."""
