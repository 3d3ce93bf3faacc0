"""Messages on their way into a workspace: what is new of them, written as they come."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from myna.messages import COMPRESSION, KEY, SCHEMA
from myna.sources import table_name
from myna.workspace import Workspace


class News:
    """Lets through the messages that the workspace does not have yet."""

    def __init__(self, workspace: Workspace) -> None:
        stored = workspace.message_files()
        self._known = (
            pl.scan_parquet(stored).select(known=_mark()).unique().collect() if stored else None
        )

    @property
    def is_all(self) -> bool:
        """True while the workspace has no messages, so that every one is new."""
        return self._known is None

    def of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of `frame` that are new, or whose text has been edited since."""
        if self._known is None:
            return frame
        frame = frame.with_columns(known=_mark()).join(
            self._known, on="known", how="anti", maintain_order="left"
        )
        return frame.select(list(SCHEMA))


def _mark() -> pl.Expr:
    return pl.struct(*KEY, "text").hash()


def store(frames: Iterator[pl.DataFrame], folder: Path) -> None:
    """Write frames to the folder's first table, one after the other, so that memory stays flat.

    There is no such table where there are no frames.
    """
    if (first := next(frames, None)) is None:
        return
    frames = chain([first], frames)

    def pull(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        for frame in frames:
            yield frame if columns is None else frame.select(columns)

    source = register_io_source(pull, schema=SCHEMA)
    source.sink_parquet(folder / table_name(0), maintain_order=True, compression=COMPRESSION)
