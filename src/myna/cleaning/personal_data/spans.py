"""Finders of personal data: a module for each kind, with its finder and hints.

A finder takes a text and yields spans, `(start, end)` in characters. Its hint is a pattern in
Rust's syntax that matches every text in which it could find anything, so that most texts of a
table are never searched one by one.
"""

from __future__ import annotations

import re

Span = tuple[int, int]

_WORD = "[0-9A-Za-zÀ-ɏͰ-ӿ]"
"""Letters and digits that form words. Without `_`, which is often emphasis, and without scripts
that have no spaces, in which letters surround personal data."""
_EDGES = {
    r"\b": f"(?:(?<!{_WORD})(?={_WORD})|(?<={_WORD})(?!{_WORD}))",
    r"(?<!\w)": f"(?<!{_WORD})",
    r"(?!\w": f"(?!{_WORD}",
}


def bounded(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Compile a pattern whose edges of words (``_EDGES``) are edges of `_WORD`s."""
    for edge, plain in _EDGES.items():
        pattern = pattern.replace(edge, plain)
    return re.compile(pattern, flags)
