"""Evaluation of clones on held-out conversations, one file a metric."""
