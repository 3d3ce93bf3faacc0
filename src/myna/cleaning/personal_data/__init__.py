"""Personal data in texts: a module for each kind, with what finds it and where to look.

A finder takes a text and yields spans, `(begin, end)` in characters. Its hint is a pattern in
Rust's syntax that fits every text in which it could find anything, so that most texts of a
table are never looked at one by one.
"""

from __future__ import annotations

Span = tuple[int, int]
