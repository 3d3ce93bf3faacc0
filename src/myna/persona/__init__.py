"""Rooms: humans and personas in one chat, and who speaks next."""
