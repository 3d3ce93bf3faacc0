"""How good a clone is, measured on what it has never seen."""
