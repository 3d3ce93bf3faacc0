"""Personal data in texts: a module for each kind, with what finds it and where to look.

A finder takes a text and yields spans, `(begin, end)` in characters. Its hint is a pattern in
Rust's syntax that fits every text in which it could find anything, so that most texts of a
table are never looked at one by one.
"""

from __future__ import annotations

import re

Span = tuple[int, int]

_WORD = "[0-9A-Za-zÀ-ɏͰ-ӿ]"
"""Letters that make one word with others beside them, and digits. Not `_`, which is emphasis
as often, nor scripts that write no blanks, in which personal data stands amidst letters."""
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
