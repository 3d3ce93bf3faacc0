"""HTML pages of any size, tag by tag.

What the standard library's parser does is too much here and too little: it rests on
memory that grows with the page where a tag or a comment is never closed. This one knows
tags and attributes, nothing of elements, takes what is no tag for text, and needs time
and memory for a damaged page as for a sound one.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, NamedTuple

from myna.sources._shared.message_table import MentionSpan
from myna.sources._shared.text import BLOCK_CHARS, open_text

MAX_TAG_BYTES = 2**16
"""Bytes of a tag; what begins like one and does not end within so many is text."""

# No tag begins within an attribute's value, so that a quote that is never closed swallows
# nothing. All quantifiers are possessive: no input makes them go back.
# Groups are not possessive: before Python 3.11.5 those go wrong. They cannot match in
# two ways, so little is tried twice.
_DOUBLE = rb'"[^"<]*+(?:<(?![a-zA-Z/!])[^"<]*+)*'
_SINGLE = rb"'[^'<]*+(?:<(?![a-zA-Z/!])[^'<]*+)*"
_TAG = re.compile(
    rb"<(?:(?P<name>/?[a-zA-Z][^\s/<>\"']*+)"
    rb"(?P<attributes>(?:[^\"'<>]++|" + _DOUBLE + rb'"|' + _SINGLE + rb"')*)"
    rb"(?:>|(?P<cut>(?:" + _DOUBLE + rb"|" + _SINGLE + rb")?\Z))"
    rb"|![^<>]*+(?:>|(?P<cut_comment>\Z))|(?P<cut_name>/?\Z))"
)
_ATTRIBUTE = re.compile(
    rb"([^\s=\"'<>]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'<>]++)))?"
)


class HtmlToken(NamedTuple):
    """A tag, and the text before it; its name is "" where there is none.

    Attributes:
        text: the bytes between the tag before and this one; see `plain`.
        tag: its name as it stands there, with a slash in front if it closes.
        attributes: as they stand there; see `attributes`.
        begin: the place of the tag's first byte in the page, as UTF-8 has it.
        end: the place behind its last byte.
    """

    text: bytes
    tag: str
    attributes: bytes
    begin: int
    end: int


def html_tokens(stream: BinaryIO, head: bytes) -> Iterator[HtmlToken]:
    """The page's tags with the text between them, comments left out; the stream is closed.

    Args:
        stream: of the page.
        head: its first bytes, by which the encoding is known.
    """
    buffer, start = b"", 0
    with open_text(stream, head) as text:
        while True:
            block = text.read(BLOCK_CHARS).encode("utf-8", "surrogatepass")
            buffer += block
            done = position = 0
            waiting = len(buffer)
            while match := _TAG.search(buffer, position):
                if match.lastgroup in ("cut", "cut_comment", "cut_name"):
                    if block and len(buffer) - match.start() < MAX_TAG_BYTES:
                        waiting = match.start()
                        break
                    position = match.start() + 1
                    continue
                name = (match["name"] or b"").decode("utf-8", "replace")
                place = start + match.start(), start + match.end()
                yield HtmlToken(
                    buffer[done : match.start()], name, match["attributes"] or b"", *place
                )
                done = position = match.end()
            if not block or waiting - done >= MAX_TAG_BYTES:
                place = start + waiting, start + waiting
                yield HtmlToken(buffer[done:waiting], "", b"", *place)
                done = waiting
            if not block:
                return
            buffer, start = buffer[done:], start + done


def unescape(text: bytes) -> str:
    """Text as it is shown: decoded, its character references resolved."""
    shown = text.decode("utf-8", "replace")
    if "&" not in shown:
        return shown
    try:
        return html.unescape(shown)
    except ValueError:  # the number of a character has thousands of digits
        return shown


def attributes(raw: bytes) -> dict[str, str]:
    """A tag's attributes by their names in lower case; of several with one name, the first."""
    found: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(raw):
        found.setdefault(name.decode("latin-1").lower(), unescape(b"".join(values)))
    return found


def replace_markup(
    text: str, markup: re.Pattern[str], shown: Callable[[re.Match[str]], tuple[str, str | None]]
) -> tuple[str, list[MentionSpan]]:
    """The text with each stretch of markup replaced, and the mentions that were markup.

    Args:
        text: as the platform stores it.
        markup: matches a stretch of it.
        shown: what the chat showed in its place, and, of a mention, whose account it is.
    """
    done: list[str] = []
    spans: list[MentionSpan] = []
    length = after = 0  # of what is done, and behind the last markup in `text`
    for match in markup.finditer(text):
        words, account = shown(match)
        done += [text[after : match.start()], words]
        length += match.start() - after
        if account:
            spans.append(MentionSpan(account, length, length + len(words)))
        length += len(words)
        after = match.end()
    return "".join([*done, text[after:]]), spans


def find_mentions(
    text: str, names: Mapping[str, str], known: list[MentionSpan]
) -> list[MentionSpan]:
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
                spans.append(MentionSpan(names[name], start, end))
                taken.update(i for i in range(start, end) if text[i] == "@")
            start = text.find(shown, end)
    return sorted(spans, key=lambda span: span.start)
