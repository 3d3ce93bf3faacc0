"""What an element of a DiscordChatExporter page says, and small values in its attributes."""

from __future__ import annotations

import re

from myna.sources._sent import Span

_EPOCH = 1_420_070_400_000
_SHORTEST_ID = 10**16


class Said:
    """The text of an element, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.length = 0
        self.spans: list[Span] = []
        self.values: dict[str, str] = {}  # attributes of what is in it
        self.link = 0, ""  # the number of its first piece, and its address
        self.due = self.in_block = False  # a new line is; it is a block of code

    def add(self, text: str) -> None:
        """Say more."""
        text = text.replace("\r\n", "\n")
        if self.due and self.length and not text.startswith("\n"):
            text = text if self.pieces[-1].endswith("\n") else f"\n{text}"
        self.due = False
        self.pieces.append(text)
        self.length += len(text)

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(self.pieces)

    def done(self) -> tuple[str, list[Span]]:
        """The text without outer blanks, and the mentions in it."""
        text = self.text
        before = len(text) - len(text.lstrip())
        text = text.strip()
        moved = [Span(id_, begin - before, end - before) for id_, begin, end in self.spans]
        return text, [span for span in moved if 0 <= span.start < span.end <= len(text)]


def emoji(name: str) -> str:
    """An emoji as text: the names of custom ones are of letters, digits and underscores."""
    name = name.strip(":")
    return f":{name}:" if re.fullmatch(r"[0-9A-Za-z_~]+", name) else name


def base(address: str) -> str:
    """The name of a file, from its address."""
    return re.split(r"[/\\]", address.partition("?")[0])[-1]


def number_of(id_: str | None) -> int | None:
    """An id as a number that has its place in a table."""
    if id_ is None or not re.fullmatch("[0-9]{1,19}", id_):
        return None
    return int(id_) if int(id_) < 2**63 else None


def moment(number: int | None) -> int | None:
    """When an id was given, in microseconds since 1970, if it is one of Discord's."""
    if number is None or number < _SHORTEST_ID:
        return None
    return ((number >> 22) + _EPOCH) * 1000
