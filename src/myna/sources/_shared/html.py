"""HTML pages of any size, tag by tag.

The memory of the standard library's parser grows with the page if a tag or a comment is
never closed. This one reads tags and attributes, takes everything else for text, and needs
no more time or memory for a damaged page than for a sound one.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from myna.sources import ChatFile
from myna.sources._shared.message_table import Mention
from myna.sources._shared.text import BLOCK_CHARS, open_text

MAX_TAG_BYTES = 2**16
"""Bytes of a tag; a longer one is taken for text."""

# No tag begins within an attribute's value, so a quote that is never closed swallows nothing.
# All quantifiers are possessive: no input makes them backtrack. Groups are not (a bug before
# Python 3.11.5), but they cannot match in two ways.
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
    """A tag and the text before it.

    Attributes:
        text: the bytes since the last tag; see `unescape`.
        tag: its name as written, with a slash in front if it closes; "" at the end.
        attributes: as written; see `attributes`.
        begin: the offset of the tag's first byte in the page, in UTF-8.
        end: the offset after its last byte.
        inside: of an element that was read at once, all behind its tag; see `html_tokens`.
    """

    text: bytes
    tag: str
    attributes: bytes
    begin: int
    end: int
    inside: re.Match[bytes] | None = None


def split_tokens(data: bytes, start: int) -> Iterator[HtmlToken]:
    """The tags in a piece of a page that begins at this offset, with the text between them."""
    done = 0
    for match in _TAG.finditer(data):
        begin, end = match.span()
        name = (match[1] or b"").decode("utf-8", "replace")
        yield HtmlToken(data[done:begin], name, match[2] or b"", start + begin, start + end)
        done = end
    yield HtmlToken(data[done:], "", b"", start + len(data), start + len(data))


def html_tokens(
    file: ChatFile, sign: bytes = b"", inside: re.Pattern[bytes] | None = None
) -> Iterator[HtmlToken]:
    """The page's tags with the text between them, without comments.

    Args:
        file: the page.
        sign: in the attributes of each div that may be read at once.
        inside: matches all of such an element that is behind its tag, and nothing that
            `split_tokens` would split otherwise. What it matches comes with the tag.

    Raises:
        SourceError: the file cannot be read, or its encoding is unclear.
    """
    buffer, start = b"", 0
    names: dict[bytes, str] = {}
    with open_text(file.open(), file) as text:
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
                written, raw = match.group(1, 2)
                if (name := names.get(written)) is None:
                    name = (written or b"").decode("utf-8", "replace")
                    if len(names) < 1000:
                        names[written] = name
                begin, end = match.span()
                rest = None
                if inside and written == b"div" and sign in raw:
                    rest = inside.match(buffer, end)
                yield HtmlToken(
                    buffer[done:begin], name, raw or b"", start + begin, start + end, rest
                )
                done = position = rest.end() if rest else end
            if not block or waiting - done >= MAX_TAG_BYTES:
                place = start + waiting, start + waiting
                yield HtmlToken(buffer[done:waiting], "", b"", *place)
                done = waiting
            if not block:
                return
            buffer, start = buffer[done:], start + done


def unescape(text: bytes) -> str:
    """Decode text and resolve its character references."""
    decoded = text.decode("utf-8", "replace")
    try:
        return html.unescape(decoded)
    except ValueError:  # the number of a character has thousands of digits
        return decoded


def attributes(raw: bytes) -> dict[str, str]:
    """Parse a tag's attributes, by names in lower case; of several with one name, the first."""
    parsed: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(raw):
        parsed.setdefault(name.decode("latin-1").lower(), unescape(b"".join(values)))
    return parsed


def replace_markup(
    text: str, markup: re.Pattern[str], replace: Callable[[re.Match[str]], tuple[str, str | None]]
) -> tuple[str, list[Mention]]:
    """Replace markup in a text; the new text, and the mentions that were markup.

    Args:
        text: as stored by the platform.
        markup: matches one piece of markup.
        replace: its replacement, and the account if it is a mention.
    """
    pieces: list[str] = []
    spans: list[Mention] = []
    length = after = 0  # of the pieces; end of the last markup in `text`
    for match in markup.finditer(text):
        replacement, account = replace(match)
        pieces += [text[after : match.start()], replacement]
        length += match.start() - after
        if account:
            spans.append(Mention(account, length, length + len(replacement)))
        length += len(replacement)
        after = match.end()
    return "".join([*pieces, text[after:]]), spans


def find_mentions(text: str, names: Mapping[str, str], known: list[Mention]) -> list[Mention]:
    """Find further mentions, as ``@name``, in the text; all spans in order.

    Args:
        text: the final text.
        names: accounts, by each name that a mention may display.
        known: mentions already found.
    """
    spans = list(known)
    # Each "@" belongs to one mention: the longest that fits.
    taken = {i for span in known for i in range(span.start, span.end) if text[i] == "@"}
    for name in sorted(names, key=len, reverse=True):
        mention = f"@{name}"
        start = text.find(mention)
        while start >= 0:
            end = start + len(mention)
            if start not in taken:
                spans.append(Mention(names[name], start, end))
                taken.update(i for i in range(start, end) if text[i] == "@")
            start = text.find(mention, end)
    return sorted(spans, key=lambda span: span.start)
