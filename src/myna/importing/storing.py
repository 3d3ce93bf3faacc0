"""Messages on their way into a workspace: what is new of them, written as they come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from myna.messages import KEY, SCHEMA
from myna.workspace import Workspace


class News:
    """Lets through the messages that the workspace does not have yet."""

    def __init__(self, workspace: Workspace) -> None:
        stored = workspace.message_files()
        self._known = (
            pl.scan_parquet(stored).select(known=_mark()).unique().collect() if stored else None
        )

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


@contextmanager
def hidden(target: Path) -> Iterator[Path]:
    """A name beside `target` to write under; gone afterwards unless it was renamed."""
    target.parent.mkdir(mode=0o700, exist_ok=True)
    name = target.with_name(f".{target.name}.new")
    try:
        yield name
    finally:
        name.unlink(missing_ok=True)


def store(frames: Iterator[pl.DataFrame], target: Path) -> None:
    """Write frames to a file, one after the other, so that memory stays flat."""

    def pull(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        for frame in frames:
            yield frame if columns is None else frame.select(columns)

    # Written once and read a few times: a stronger compression costs more than it saves.
    source = register_io_source(pull, schema=SCHEMA)
    source.sink_parquet(target, maintain_order=True, compression="lz4")
