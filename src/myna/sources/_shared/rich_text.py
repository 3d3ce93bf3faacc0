"""Messages in HTML or in Skype's XML, as plain text with what was marked in it.

Only tags and character references are read; no entity is expanded but those of HTML. Emoji
are their characters, and what an `at` tag holds begins with "@".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from myna.sources._shared.html import attributes, unescape

MAX_TAGS = 100_000
"""Tags of one message; what stands behind them is left out."""

_BREAKS = ("br", "p", "div", "li", "tr", "pre", "codeblock", "h1", "h2", "h3", "h4", "h5", "h6")
_QUOTES = ("quote", "blockquote")
_TAG = re.compile(
    r"<(?P<name>/?[a-zA-Z][^\s/<>\"']*+)(?P<attributes>(?:[^\"'<>]++|\"[^\"<]*+\"|'[^'<]*+')*)>"
    r"|<[!?][^<>]*+>"
)
_BLANKS = re.compile(r"[^\S\n]*\n[^\S\n]*|\s+")


class Tag(NamedTuple):
    """A tag: its name in lower case, its attributes, and [start, end) of what it holds."""

    name: str
    attributes: dict[str, str]
    start: int
    end: int


class RichText(NamedTuple):
    """A message's text without quotations, and all its tags, with those in quotations."""

    text: str
    tags: list[Tag]

    def first(self, name: str) -> dict[str, str] | None:
        """The attributes of the first tag of that name, or None."""
        return next((tag.attributes for tag in self.tags if tag.name == name), None)


def parse_rich_text(markup: str, *, is_html: bool) -> RichText:
    """Parse a message; of HTML, line ends and runs of blanks are single blanks."""
    if "<" not in markup and "&" not in markup:
        return RichText(markup.strip(), [])
    writer = _Writer(is_html)
    done = 0
    for number, match in enumerate(_TAG.finditer(markup)):
        writer.write(unescape(markup[done : match.start()].encode("utf-8", "replace")))
        done = match.end()
        if match["name"]:
            writer.add(match["name"], match["attributes"])
        if number > MAX_TAGS:
            break
    writer.write(unescape(markup[done:].encode("utf-8", "replace")))
    return writer.finish()


class _Writer:
    """The text so far, and the tags that are open."""

    def __init__(self, is_html: bool) -> None:
        self.is_html = is_html
        self.parts: list[str] = []
        self.length = 0
        self.at_line_start = True
        self.tags: list[Tag] = []
        self.opened: list[int] = []  # indices of tags
        self.quotes = 0
        self.prefix = ""  # of the next text

    def add(self, tag_name: str, raw: str) -> None:
        """Add a tag: its name, with a slash in front if it closes, and its raw attributes."""
        name, is_closing = tag_name.removeprefix("/").lower(), tag_name.startswith("/")
        if name in _BREAKS and not self.quotes and (name == "br" or not self.at_line_start):
            self._write_raw("\n")
        if is_closing:
            self._close(name)
            return
        fields = attributes(raw.encode("utf-8", "replace"))
        if name == "emoji" or (name == "img" and "emoji" in fields.get("itemtype", "").lower()):
            self.write(fields.get("alt", ""))
            return
        self.prefix = "@" if name == "at" else self.prefix
        tag = Tag(name, fields, self.length, self.length)
        self.tags.append(tag)
        if not raw.rstrip().endswith("/") and name not in ("br", "img"):
            self.quotes += name in _QUOTES
            self.opened.append(len(self.tags) - 1)

    def _close(self, name: str) -> None:
        """Close the last tag of that name, and those that were opened in it."""
        for depth in range(len(self.opened) - 1, max(-1, len(self.opened) - 20), -1):
            at = self.opened[depth]
            if self.tags[at].name == name:
                inner = [self.tags[number].name for number in self.opened[depth:]]
                self.quotes -= sum(tag in _QUOTES for tag in inner)
                del self.opened[depth:]
                self.tags[at] = self.tags[at]._replace(end=self.length)
                return

    def write(self, text: str) -> None:
        """Add text."""
        if self.quotes or not text:
            return
        if self.is_html:
            text = _BLANKS.sub(" ", text)
        is_behind_blank = self.is_html and self.parts[-1:] and self.parts[-1].endswith(" ")
        if is_behind_blank or (self.at_line_start and (self.is_html or not self.length)):
            text = text.lstrip()
        if text:
            prefix, self.prefix = self.prefix, ""
            self._write_raw(text if text.startswith(prefix) else prefix + text)

    def _write_raw(self, text: str) -> None:
        if text == "\n" and not self.length:
            return
        self.parts.append(text)
        self.length += len(text)
        self.at_line_start = text.endswith("\n")

    def finish(self) -> RichText:
        """The whole text, and the tags."""
        text = "".join(self.parts).rstrip()
        end = len(text)
        moved = [t._replace(start=min(t.start, end), end=min(t.end, end)) for t in self.tags]
        return RichText(text, moved)
