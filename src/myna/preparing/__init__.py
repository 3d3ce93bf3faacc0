"""From stored messages to samples, with the ledger that accounts for every message."""
