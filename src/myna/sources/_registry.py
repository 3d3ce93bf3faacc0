"""The registry of sources: their protocol, their names, and recognition of files."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from myna.errors import SettingsError, SourceError
from myna.sources._shared.files import ChatFile
from myna.sources._shared.parallel import StoredTable

if TYPE_CHECKING:
    import polars as pl

    from myna.sources._shared.message_table import ParsedTable

FEATURES = {
    "text": "what people wrote",
    "entries": "journal pages and essays",
    "replies": "which message is answered",
    "threads": "threads of a channel",
    "mentions": "who is mentioned, and where",
    "edits": "that a message was edited; its last text",
    "deleted": "that a message was deleted",
    "forwards": "words of others, passed on",
    "attachments": "images, videos and files, by name",
    "stickers": "stickers and animated pictures",
    "voice": "voice messages",
    "calls": "calls",
    "system": "notices of the platform",
    "bots": "which accounts are bots",
    "reactions": "which reactions a message got, and how many",
}
"""The features that a source may read."""


@dataclass(frozen=True)
class Recognition:
    """The source that a file belongs to, and the confidence in that (0 to 1).

    Without `holds_messages` the file belongs to an export but is not read by itself: a list
    of users, for example.
    """

    source: str
    confidence: float
    reason: str
    holds_messages: bool = True


@dataclass
class Tally:
    """The account of one file: messages read, records skipped by reason, bytes unread.

    `me` is the author_id of the person who made the export, where the export says so. Of a
    file that `is_short`, messages are missing that leave no unread bytes. With `gather`, the
    messages of a small file may go there, where the table of many files is made at once: that
    of one takes as long as reading hundreds of messages.
    """

    read: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    unread_bytes: int = 0
    unread_from: int | None = None
    notes: list[str] = field(default_factory=list)
    bytes_done: int = 0
    me: str | None = None
    is_short: bool = False
    gather: Callable[[ParsedTable], None] | None = field(default=None, repr=False, compare=False)

    @property
    def is_empty(self) -> bool:
        """True for a whole file in which there is nothing: no message, and nothing amiss."""
        return not (self.read or self.skipped or self.unread_bytes or self.is_short)

    def skip(self, reason: str, example: str = "", count: int = 1) -> None:
        """Count records that could not become messages, with one example for each reason."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count
        if example:
            self.examples.setdefault(reason, example[:120])

    def add(self, other: Tally) -> None:
        """Add the tally of the next stretch of the same file."""
        self.read += other.read
        for reason, count in other.skipped.items():
            self.skip(reason, other.examples.get(reason, ""), count)
        self.notes += other.notes
        self.bytes_done = other.bytes_done

    def skip_bytes(self, start: int, end: int) -> None:
        """Count the bytes from `start` to `end` of the file as unread."""
        self.unread_bytes += end - start
        if self.unread_from is None:
            self.unread_from = start


class Source(Protocol):
    """The protocol of a source module; see the docstring of `myna.sources`."""

    TITLE: str
    READS: tuple[str, ...]
    MOST_CERTAIN: float

    def recognise(self, file: ChatFile) -> Recognition | None:
        """Recognise a file of this platform; None for any other."""
        ...

    def read(self, file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame | StoredTable]:
        """Yield the file's messages in batches; count everything else in the tally."""
        ...


@cache
def names() -> tuple[str, ...]:
    """The names of all sources, as `--source` takes them."""
    modules = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return tuple(sorted(name for name in modules if not name.startswith("_")))


def load_source(name: str) -> Source:
    """Import the source of that name.

    Raises:
        SourceError: no source has this name.
    """
    if name not in names():
        raise SourceError(f"no source is called '{name}': choose one of {', '.join(names())}")
    return cast(Source, import_module(f"{__package__}.{name}"))


def read(name: str, file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame | StoredTable]:
    """Read a file's messages with the source of that name; see the docstring of `myna.sources`.

    Raises:
        SourceError: no source has this name, or it cannot read the file.
    """
    yield from load_source(name).read(file, tally)
    if tally.is_empty:
        tally.notes.append("the export holds no messages")


def parse_columns(text: str) -> dict[str, str]:
    """Parse `author=who,text=said` into the names of a table's columns, by their roles.

    Raises:
        SettingsError: the text is not of that form, or names an unknown role.
    """
    from myna.sources._shared.rows import COLUMN_ROLES  # rows imports this module

    columns: dict[str, str] = {}
    for pair in text.split(","):
        role, sign, name = pair.partition("=")
        if not sign or role.strip() not in COLUMN_ROLES:
            roles = ", ".join(COLUMN_ROLES)
            raise SettingsError(
                f"--columns {pair}: write it as author=NAME,text=NAME; there are {roles}"
            )
        columns[role.strip()] = name.strip()
    return columns


@cache
def _by_certainty() -> list[tuple[float, str]]:
    """The highest confidence and the name of each source; those that may be surest first."""
    limits = ((load_source(name).MOST_CERTAIN, name) for name in names())
    return sorted(limits, key=lambda one: (-one[0], one[1]))


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise a file by the source with the highest confidence; None for no chat export.

    Of several as sure, the first by name. A source that cannot win any more is not asked.
    """
    best: Recognition | None = None
    for limit, name in _by_certainty():
        if best and (-limit, name) > (-best.confidence, best.source):
            continue
        match = load_source(name).recognise(file)
        if match and (
            best is None or (-match.confidence, match.source) < (-best.confidence, best.source)
        ):
            best = match
    return best
