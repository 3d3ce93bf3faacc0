"""Texts with markup in them, as a reader of the chat saw them, and the mentions in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from myna.sources._shared.message_table import Span


def replaced(
    text: str, markup: re.Pattern[str], shown: Callable[[re.Match[str]], tuple[str, str | None]]
) -> tuple[str, list[Span]]:
    """The text with each stretch of markup replaced, and the mentions that were markup.

    Args:
        text: as the platform stores it.
        markup: matches a stretch of it.
        shown: what the chat showed in its place, and, of a mention, whose account it is.
    """
    done: list[str] = []
    spans: list[Span] = []
    length = after = 0  # of what is done, and behind the last markup in `text`
    for match in markup.finditer(text):
        words, account = shown(match)
        done += [text[after : match.start()], words]
        length += match.start() - after
        if account:
            spans.append(Span(account, length, length + len(words)))
        length += len(words)
        after = match.end()
    return "".join([*done, text[after:]]), spans


def mentions(text: str, names: Mapping[str, str], known: list[Span]) -> list[Span]:
    """Spans of ``@name`` in the text, besides those that are known, in order.

    Args:
        text: the final text.
        names: accounts, by each name that a mention of them may show.
        known: mentions already found.
    """
    spans = list(known)
    # Each "@" belongs to one mention: the longest that fits.
    taken = {i for span in known for i in range(span.start, span.end) if text[i] == "@"}
    for name in sorted(names, key=len, reverse=True):
        shown = f"@{name}"
        start = text.find(shown)
        while start >= 0:
            end = start + len(shown)
            if start not in taken:
                spans.append(Span(names[name], start, end))
                taken.update(i for i in range(start, end) if text[i] == "@")
            start = text.find(shown, end)
    return sorted(spans, key=lambda span: span.start)
