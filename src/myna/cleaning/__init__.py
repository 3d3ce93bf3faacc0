"""Which messages count, and the ledger that says what became of each."""
