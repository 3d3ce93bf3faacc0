"""Base models and adapters: finding, downloading, loading and converting them."""
