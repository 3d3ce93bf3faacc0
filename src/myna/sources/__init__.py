"""The platforms that myna reads: one file each, found by itself.

A source is a module of this package (its name without a leading underscore) with

    TITLE: str                       what a person calls it: "DiscordChatExporter JSON"
    READS: tuple[str, ...]           what it reads of it: "text", "replies", "edits", …
    recognise(file: ChatFile) -> Recognition | None
    read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]

`recognise` looks at the name and the first bytes and never raises for a file that is
something else. `read` yields message tables (myna.messages.SCHEMA) in the file's own
order, so that memory stays flat whatever the size; what it cannot read it counts in the
tally, never drops in silence; for a damaged file it yields every complete message and
says how many bytes were left unread. To add a platform, add one module and its
fixtures: nothing else is touched.

What several sources need is in the modules with an underscore: `_json_stream` (one large
document, damaged or not), `_text` (encodings), `_times` (any form of time), `_rows`
(tables of named columns), `_columns` (attachments and mentions).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from myna.errors import SourceError
from myna.sources._file import ChatFile

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ChatFile", "Recognition", "Source", "Tally", "names", "recognise", "source"]


@dataclass(frozen=True)
class Recognition:
    """What a file was recognised as, and how sure that is (0 to 1)."""

    source: str
    confidence: float
    because: str


@dataclass
class Tally:
    """What became of one file's content: read + skipped = found, and the bytes unread."""

    read: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    unread_bytes: int = 0
    unread_from: int | None = None
    notes: list[str] = field(default_factory=list)
    bytes_done: int = 0

    def skip(self, reason: str, example: str = "", count: int = 1) -> None:
        """Count records that could not become messages."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count
        if example:
            self.examples.setdefault(reason, example[:120])

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
        """How sure it is that the file is of this platform, or None."""
        ...

    def read(self, file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
        """The file's messages in batches; the tally counts what became of the rest."""
        ...


def names() -> list[str]:
    """The names of all sources, as `--as` takes them."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def source(name: str) -> Source:
    """The source of that name.

    Raises:
        SourceError: there is none.

    """
    if name not in names():
        raise SourceError(f"no source is called '{name}': choose one of {', '.join(names())}")
    return cast(Source, import_module(f"{__name__}.{name}"))


def recognise(file: ChatFile) -> Recognition | None:
    """The source that is surest of this file, or None where it is no chat."""
    found = [r for name in names() if (r := source(name).recognise(file)) is not None]
    return max(found, key=lambda r: r.confidence, default=None)
