"""Messages on disk, some thousands at a time, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

BATCH_MESSAGES = 20_000
"""Most messages of a batch."""


class TableSlice(NamedTuple):
    """Rows [start, start + length) of a message table."""

    table: Path
    start: int
    length: int


class MessageBatch(NamedTuple):
    """Rows of message tables, cleaned together; numbered from 0."""

    number: int
    slices: tuple[TableSlice, ...]

    @property
    def length(self) -> int:
        """The number of rows."""
        return sum(slice_.length for slice_ in self.slices)

    def read(self) -> pl.DataFrame:
        """The rows."""
        return pl.concat(
            pl.scan_parquet(table)
            .slice(start, length)
            .with_columns(pl.col("export").fill_null(f"{table.parent.name}/{table.name}"))
            .collect()
            for table, start, length in self.slices
        )


def batches(tables: Iterable[Path], max_messages: int = BATCH_MESSAGES) -> Iterator[MessageBatch]:
    """All rows of message tables, in order: large tables split, small ones together."""
    number = size = 0
    slices: list[TableSlice] = []
    for table in tables:
        height = pl.scan_parquet(table).select(pl.len()).collect().item()
        for start in range(0, height, max_messages):
            length = min(max_messages, height - start)
            if slices and size + length > max_messages:
                yield MessageBatch(number, tuple(slices))
                number, size, slices = number + 1, 0, []
            slices.append(TableSlice(table, start, length))
            size += length
    if slices:
        yield MessageBatch(number, tuple(slices))


class MessageStore(NamedTuple):
    """The cleaned messages of all batches, in one file each, found by their number among all."""

    folder: Path
    lengths: tuple[int, ...]

    def path(self, batch: int) -> Path:
        """The file of a batch."""
        return self.folder / f"{batch:06}.messages"

    def runs_path(self, batch: int) -> Path:
        """The file of the runs of words of its long messages."""
        return self.folder / f"{batch:06}.runs"

    def load(self, rows: pl.Series, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Load messages by their numbers, in that order."""
        numbers = rows.to_numpy().astype(np.int64)
        ends = np.array([0, *accumulate(self.lengths)])
        batch_of = np.searchsorted(ends, numbers, side="right") - 1
        tables: list[pl.DataFrame] = []
        positions: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        for batch in np.unique(batch_of).tolist() if len(numbers) else [0]:
            at = np.flatnonzero(batch_of == batch)
            inside = pl.Series(numbers[at] - ends[batch], dtype=pl.UInt32)
            table = pl.read_ipc(self.path(batch), columns=list(columns) if columns else None)
            tables.append(table[inside])
            positions.append(at)
        if len(tables) == 1:
            return tables[0]
        order = np.argsort(np.concatenate(positions), kind="stable")
        return pl.concat(tables)[pl.Series(order, dtype=pl.UInt32)]

    def runs(self, state: pl.Series) -> Iterator[pl.DataFrame]:
        """The runs of words of each batch, as `held_out` with the state of each message."""
        first = 0
        for batch, length in enumerate(self.lengths):
            runs = pl.read_ipc(self.runs_path(batch))
            own = state[first : first + length]
            yield runs.with_columns(held_out=own.gather(runs["row"]), row=pl.col("row") + first)
            first += length
