"""The text of an element of a DiscordChatExporter page, without its markup."""

from __future__ import annotations

import re

from myna.sources._shared.html import HtmlToken, attributes, unescape
from myna.sources._shared.message_table import Mention

# Tags on lines of their own, and all others that the exporter writes. Unknown tags are
# Discord's markup where the exporter was told to keep it: <a:wave:80>.
_BLOCKS = ("h1", "h2", "h3", "ul", "li")
_INLINE = ("strong", "em", "u", "s", "a", "code", "small", "div", "span")


class TextBuilder:
    """The text of an element, built piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.length = 0
        self.spans: list[Mention] = []
        self.values: dict[str, str] = {}  # attributes of the elements inside
        self.link = 0, ""  # the number of its first piece, and its address
        self.needs_newline = self.in_block = False  # a block is one of code

    def add(self, text: str) -> None:
        """Add a piece of text."""
        text = text.replace("\r\n", "\n")
        if self.needs_newline and self.length and not text.startswith("\n"):
            text = text if self.pieces[-1].endswith("\n") else f"\n{text}"
        self.needs_newline = False
        self.pieces.append(text)
        self.length += len(text)

    def add_tag(self, token: HtmlToken) -> None:
        """Add the text of a tag: a line end, an emoji, a link, or Discord's own markup."""
        tag = token.tag.removeprefix("/")
        if tag == "br":
            self.add("\n")
        elif tag == "img":
            values = attributes(token.attributes)
            self.add(_emoji(values.get("alt") or values.get("title", "")))
        elif tag == "a":
            self._add_link(token)
        elif tag in _BLOCKS:
            self.needs_newline = True
            if token.tag == "li":
                self.add("- ")
        elif tag == "code" and b"--multiline" in token.attributes:
            self.needs_newline = self.in_block = True
        elif token.tag == "/code":
            self.needs_newline, self.in_block = self.in_block, False
        elif tag and tag not in _INLINE:
            self.add(f"<{token.tag}{unescape(token.attributes)}>")

    def _add_link(self, token: HtmlToken) -> None:
        """Add a link's address, as `[text](address)` if it has another text."""
        if token.tag == "a":
            self.add("")
            self.link = len(self.pieces), attributes(token.attributes).get("href", "")
            return
        begin, address = self.link
        label = "".join(self.pieces[begin:])
        self.link = 0, ""
        if address and not label.startswith(("http://", "https://")):
            self.pieces[begin:] = [f"[{label}]({address})"]
            self.length += len(address) + 4

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.pieces)

    def finish(self) -> tuple[str, list[Mention]]:
        """The text without outer blanks, and the mentions in it."""
        text = self.text
        before = len(text) - len(text.lstrip())
        text = text.strip()
        moved = [Mention(id_, begin - before, end - before) for id_, begin, end in self.spans]
        return text, [span for span in moved if 0 <= span.start < span.end <= len(text)]


def _emoji(name: str) -> str:
    """An emoji as text; names of custom ones have letters, digits and underscores only."""
    name = name.strip(":")
    return f":{name}:" if re.fullmatch(r"[0-9A-Za-z_~]+", name) else name
