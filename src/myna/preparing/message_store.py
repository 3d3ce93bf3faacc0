"""Parts: messages on disk, some thousands at a time, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

MOST = 20_000
"""Messages of a part."""


class Piece(NamedTuple):
    """Rows of a message table: so many from `start` on."""

    table: Path
    start: int
    length: int


class Batch(NamedTuple):
    """What becomes a part: rows of message tables, numbered from `first` on."""

    number: int
    first: int
    pieces: tuple[Piece, ...]

    @property
    def length(self) -> int:
        """How many rows."""
        return sum(piece.length for piece in self.pieces)

    def read(self) -> pl.DataFrame:
        """The rows."""
        return pl.concat(
            pl.scan_parquet(table).slice(start, length).collect()
            for table, start, length in self.pieces
        )


def batches(tables: Iterable[Path], most: int = MOST) -> Iterator[Batch]:
    """All rows of message tables, in order: large tables cut up, small ones together."""
    number = first = 0
    gathered: list[Piece] = []
    for table in tables:
        height = pl.scan_parquet(table).select(pl.len()).collect().item()
        for start in range(0, height, most):
            piece = Piece(table, start, min(most, height - start))
            if gathered and sum(p.length for p in gathered) + piece.length > most:
                batch = Batch(number, first, tuple(gathered))
                yield batch
                number, first, gathered = number + 1, first + batch.length, []
            gathered.append(piece)
    if gathered:
        yield Batch(number, first, tuple(gathered))


class Parts(NamedTuple):
    """The messages of all batches, cleaned, and found again by their number."""

    folder: Path
    lengths: tuple[int, ...]

    def path(self, number: int) -> Path:
        """The file of a part."""
        return self.folder / f"{number:06}.messages"

    def runs_path(self, number: int) -> Path:
        """The file of the runs of words of its long messages."""
        return self.folder / f"{number:06}.runs"

    def load(self, rows: pl.Series, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Messages by their numbers, in that order."""
        wanted = rows.to_numpy().astype(np.int64)
        ends = np.array([0, *accumulate(self.lengths)])
        part = np.searchsorted(ends, wanted, side="right") - 1
        found: list[pl.DataFrame] = []
        places: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        for number in np.unique(part).tolist() if len(wanted) else [0]:
            at = np.flatnonzero(part == number)
            inside = pl.Series(wanted[at] - ends[number], dtype=pl.UInt32)
            table = pl.read_ipc(self.path(number), columns=list(columns) if columns else None)
            found.append(table[inside])
            places.append(at)
        if len(found) == 1:
            return found[0]
        back = np.argsort(np.concatenate(places), kind="stable")
        return pl.concat(found)[pl.Series(back, dtype=pl.UInt32)]

    def runs(self, state: pl.Series) -> Iterator[pl.DataFrame]:
        """Of each part the runs of words, with the state of their messages, where it has one.

        Args:
            state: of each message.
        """
        first = 0
        for number, length in enumerate(self.lengths):
            runs = pl.read_ipc(self.runs_path(number))
            own = state[first : first + length]
            yield runs.with_columns(held_out=own.gather(runs["row"]), row=pl.col("row") + first)
            first += length
