"""Cleaning: normalisation, rules, redaction, and the ledger of every message."""
