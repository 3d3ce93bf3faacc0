"""New messages: those that wait to be stored, without those that a workspace has already; and
their table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, groupby
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from myna.messages import MADE_ID, MESSAGE_KEY, PARQUET_COMPRESSION, SCHEMA
from myna.sources import table_file_name
from myna.sources._shared.message_table import ParsedTable, join_tables
from myna.workspace import Workspace

Channel = tuple[str, str]
"""Source and channel_id."""

_CHANNEL = ["source", "channel_id"]


@dataclass
class _Border:
    """The first and the last minute of a channel, with the made ids in them."""

    first: datetime
    last: datetime
    first_ids: Counter[str] = field(default_factory=Counter)
    last_ids: Counter[str] = field(default_factory=Counter)


class NewMessageFilter:
    """A filter for the messages that the workspace does not have yet.

    Ids that are made of time, author and words are the same for equal messages. Where a file
    begins in the minute in which another of the same chat ends, as the parts of an export
    do, equal messages in that minute are two: the ids of the later part go on counting.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._files = workspace.message_files()
        self._stored = (
            pl.scan_parquet(self._files).select(hash=_message_hash()).unique().collect()
            if self._files
            else None
        )
        self._borders: dict[Channel, _Border] = _borders_of(self._files)
        self._current: dict[Channel, _Border] = {}  # of the file that is being read
        self._file: str | None = None  # its key, as in the column `export`

    @property
    def is_empty(self) -> bool:
        """True if the workspace had no messages, so that every message is new."""
        return self._stored is None

    def new_messages(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of `frame` that are new, or whose text has been edited since.

        The column `export` tells files apart, of which one follows the other.
        """
        frame = self._count_on(frame)
        if self._stored is None:
            return frame
        frame = frame.with_columns(hash=_message_hash())
        frame = frame.join(self._stored, on="hash", how="anti", maintain_order="left")
        return frame.select(list(SCHEMA))

    def _count_on(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Number the made ids in the minute of a border on, where a channel goes on there."""
        changed: dict[int, str] = {}
        for (file, *key), border in _borders(frame, ["export", *_CHANNEL]).items():
            if file != self._file:
                self._begin_file(file)
            channel = (key[0], key[1])
            if known := self._borders.get(channel):
                goes_on = known.first < known.last == border.first
                came_before = border.first < border.last == known.first
                if goes_on or came_before:
                    taken = known.last_ids if goes_on else known.first_ids
                    minute = border.first if goes_on else border.last
                    changed |= _renamed(frame, file, channel, minute, taken)
            _add(self._current, channel, border)
        if not changed:
            return frame
        rows = pl.Series(list(changed), dtype=pl.UInt32)
        return frame.with_columns(frame["id"].scatter(rows, list(changed.values())))

    def _begin_file(self, file: str) -> None:
        """Note that the next messages are of another file."""
        for channel, border in self._current.items():
            _add(self._borders, channel, border)
        self._current, self._file = {}, file


class WaitingTables:
    """Messages of one file after the other that wait to be stored together."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, pl.DataFrame | ParsedTable]] = []
        self.height = 0

    def add(self, file: str, part: pl.DataFrame | ParsedTable) -> None:
        """Add messages of a file, whose key goes to the column `export`."""
        if part.height:
            self.parts.append((file, part))
            self.height += part.height

    def take(self) -> pl.DataFrame:
        """The table of all that waited."""
        tables = [pl.DataFrame(schema=SCHEMA)]
        for is_parsed, some in groupby(self.parts, lambda one: isinstance(one[1], ParsedTable)):
            parts = [part for _, part in some]
            tables += join_tables(parts) if is_parsed else parts  # type: ignore[arg-type]
        keys = pl.Series("export", [file for file, _ in self.parts], pl.String)
        rows = np.repeat(np.arange(len(keys)), [part.height for _, part in self.parts])
        self.parts, self.height = [], 0
        return pl.concat(tables).with_columns(keys.gather(rows))


def _message_hash() -> pl.Expr:
    return pl.struct(*MESSAGE_KEY, "text").hash()


def _made(frame: pl.DataFrame | pl.LazyFrame) -> pl.LazyFrame:
    return (
        frame.lazy()
        .filter(pl.col("id").str.starts_with(MADE_ID), pl.col("sent_at").is_not_null())
        .select(
            *("export", *_CHANNEL, "id"),
            minute=pl.col("sent_at").dt.truncate("1m"),
        )
    )


def _borders_of(files: list[Path]) -> dict[Channel, _Border]:
    if not files:
        return {}
    found = _borders(pl.scan_parquet(files), _CHANNEL)
    return {(source, channel_id): border for (source, channel_id), border in found.items()}


def _borders(frame: pl.DataFrame | pl.LazyFrame, key: list[str]) -> dict[tuple[str, ...], _Border]:
    """The borders of each channel with made ids in a table; of files, in their order."""
    made = _made(frame)
    ends = made.group_by(key).agg(first=pl.col("minute").min(), last=pl.col("minute").max())
    at_ends = (
        made.join(ends, on=key, nulls_equal=True, maintain_order="left")
        .filter((pl.col("minute") == pl.col("first")) | (pl.col("minute") == pl.col("last")))
        .select(*key, "id", "minute", "first", "last")
        .collect()
    )
    found: dict[tuple[str, ...], _Border] = {}
    for *names, id_, minute, first, last in at_ends.iter_rows():
        border = found.setdefault(tuple(names), _Border(first, last))
        for end, ids in ((first, border.first_ids), (last, border.last_ids)):
            if minute == end:
                ids[_base(id_)] += 1
    return found


def _add(borders: dict[Channel, _Border], channel: Channel, new: _Border) -> None:
    """Widen a channel's borders by those of another stretch."""
    known = borders.get(channel)
    if known is None:
        borders[channel] = new
        return
    if new.first <= known.first:
        ids = new.first_ids + known.first_ids if new.first == known.first else new.first_ids
        known.first, known.first_ids = new.first, ids
    if new.last >= known.last:
        ids = new.last_ids + known.last_ids if new.last == known.last else new.last_ids
        known.last, known.last_ids = new.last, ids


def _renamed(
    frame: pl.DataFrame, file: str, channel: Channel, minute: datetime, taken: Counter[str]
) -> dict[int, str]:
    """The new ids, by row, of those of a file in a minute whose ids are taken."""
    rows = (
        frame.with_row_index("row")
        .filter(
            pl.col("export").eq_missing(file),
            pl.col("source") == channel[0],
            pl.col("channel_id") == channel[1],
            pl.col("sent_at").dt.truncate("1m") == minute,
        )
        .select("row", "id")
    )
    changed = {}
    for row, id_ in rows.iter_rows():
        base = _base(id_)
        if id_.startswith(MADE_ID) and taken[base]:
            number = int(id_[len(base) + 1 :] or 0) + taken[base]
            changed[row] = f"{base}-{number}"
    return changed


def _base(id_: str) -> str:
    """A made id without its count."""
    base, sign, number = id_.rpartition("-")
    return base if sign and number.isdecimal() else id_


def write_table(frames: Iterator[pl.DataFrame], folder: Path) -> None:
    """Stream frames into the folder's first table, in order; without frames, write nothing."""
    if (first := next(frames, None)) is None:
        return
    frames = chain([first], frames)

    def pull(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        for frame in frames:
            yield frame if columns is None else frame.select(columns)

    source = register_io_source(pull, schema=SCHEMA)
    source.sink_parquet(
        folder / table_file_name(0), maintain_order=True, compression=PARQUET_COMPRESSION
    )
