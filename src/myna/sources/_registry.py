"""The sources: their shape, which there are, and which of them a file belongs to."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from myna.errors import SettingsError, SourceError
from myna.sources._shared.files import ChatFile
from myna.sources._shared.parallel import Table

if TYPE_CHECKING:
    import polars as pl

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
}
"""What a source may read of its platform. Reactions are read of none: nothing uses them."""


@dataclass(frozen=True)
class Recognition:
    """The source that a file belongs to, and how sure that is (0 to 1).

    Without `holds_messages` it is a part of an export that others of its files need, such
    as a list of users: known, and not read by itself.
    """

    source: str
    confidence: float
    because: str
    holds_messages: bool = True


@dataclass
class Tally:
    """The count of one file's content: read + skipped = found, and the bytes unread.

    `me` is the account (author_id) of whoever made the export, where it says so.
    """

    read: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    unread_bytes: int = 0
    unread_from: int | None = None
    notes: list[str] = field(default_factory=list)
    bytes_done: int = 0
    me: str | None = None

    def skip(self, reason: str, example: str = "", count: int = 1) -> None:
        """Count records that could not become messages."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count
        if example:
            self.examples.setdefault(reason, example[:120])

    def add(self, part: Tally) -> None:
        """Count what a part of the file held, whose parts come in order."""
        self.read += part.read
        for reason, count in part.skipped.items():
            self.skip(reason, part.examples.get(reason, ""), count)
        self.notes += part.notes
        self.bytes_done = part.bytes_done

    def lose(self, start: int, end: int) -> None:
        """Count the bytes from `start` to `end` of the file that could not be read."""
        self.unread_bytes += end - start
        if self.unread_from is None:
            self.unread_from = start


class Source(Protocol):
    """The shape of a source module; see the package's docstring."""

    TITLE: str
    READS: tuple[str, ...]

    def recognise(self, file: ChatFile) -> Recognition | None:
        """Recognise a file of this platform; None for any other."""
        ...

    def read(self, file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame | Table]:
        """The file's messages in batches; the tally counts what became of the rest."""
        ...


@cache
def names() -> tuple[str, ...]:
    """The names of all sources, as `--source` takes them."""
    found = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def source(name: str) -> Source:
    """The source of that name.

    Raises:
        SourceError: there is none.

    """
    if name not in names():
        raise SourceError(f"no source is called '{name}': choose one of {', '.join(names())}")
    return cast(Source, import_module(f"{__package__}.{name}"))


def given_columns(text: str) -> dict[str, str]:
    """The names of a table's columns by what they hold, from `author=who,text=said`.

    Raises:
        SettingsError: not of that form, or no column holds that.

    """
    from myna.sources._shared.rows import HELD  # it needs this module

    given: dict[str, str] = {}
    for part in text.split(","):
        held, sign, name = part.partition("=")
        if not sign or held.strip() not in HELD:
            raise SettingsError(
                f"--columns {part}: write it as author=NAME,text=NAME; there are {', '.join(HELD)}"
            )
        given[held.strip()] = name.strip()
    return given


def recognise(file: ChatFile) -> Recognition | None:
    """The source that is surest of this file, or None where it is no chat."""
    found = [r for name in names() if (r := source(name).recognise(file)) is not None]
    return max(found, key=lambda r: r.confidence, default=None)
