"""Where a conversation begins and ends, and what is held out."""
