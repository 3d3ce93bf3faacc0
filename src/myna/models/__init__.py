"""Which base models there are, and loading them."""
