"""From conversations to samples: turns, windows, segments, tokens and masks."""
