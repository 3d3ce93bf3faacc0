"""Message tables as files: what processes that read a large file leave behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Table:
    """A message table that is stored already, in place of a frame."""

    path: Path
    source: str
    height: int

    def taken(self) -> pl.DataFrame:
        """The messages, and no file any more."""
        import polars as pl

        frame = pl.read_parquet(self.path)
        self.path.unlink()
        return frame


def table_name(number: int) -> str:
    """The name of a file's n-th table; they sort as they follow each other."""
    return f"{number:07}.parquet"


def store(frame: pl.DataFrame, path: Path) -> Table:
    """Write a message table, which has messages, to a file."""
    from myna.messages import COMPRESSION  # it needs polars

    frame.write_parquet(path, compression=COMPRESSION)
    return Table(path, frame.item(0, "source"), frame.height)
