"""Finders of personal data: a module for each kind, with its finder and hints.

A finder takes a text and yields spans, `(start, end)` in characters. Its hint is a pattern in
Rust's syntax that matches every text in which it could find anything, so that most texts of a
table are never searched one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

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


def replace_spans(
    text: str, replacements: Iterable[tuple[int, int, str]], mentions: Iterable[dict[str, Any]]
) -> tuple[str, list[dict[str, Any]]]:
    """Replace spans (start, end, new text) in a text; return it and the moved mentions.

    The edge of a mention inside a replaced span moves to that edge of the new text.
    """
    pieces: list[str] = []
    edges: list[tuple[int, int, int, int]] = []
    end = new_end = 0
    for start, stop, new in replacements:
        pieces += [text[end:start], new]
        new_start = new_end + start - end
        new_end = new_start + len(new)
        edges.append((start, stop, new_start, new_end))
        end = stop
    moved = [
        mention | {edge: _moved(mention[edge], edges, edge) for edge in ("start", "end")}
        for mention in mentions
    ]
    return "".join([*pieces, text[end:]]), moved


def _moved(index: int, edges: list[tuple[int, int, int, int]], edge: str) -> int:
    old_end = new_end = 0
    for start, stop, new_start, new_stop in edges:
        if index < start or (index == start and edge == "end"):
            break
        if index < stop or (index == stop and edge == "end"):
            return new_stop if edge == "end" else new_start
        old_end, new_end = stop, new_stop
    return new_end + index - old_end
