"""Read large files in several processes, and the message tables that these store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from myna import workers
from myna.errors import SourceError
from myna.sources._shared.files import ChatFile

if TYPE_CHECKING:
    import polars as pl


MAX_WORKERS = 8
"""Processes at most: disks do not keep up with more."""

T = TypeVar("T")
R = TypeVar("R")


def map_in_order(
    function: Callable[[T], tuple[pl.DataFrame, R]], tasks: Iterable[T], file: ChatFile
) -> Iterator[tuple[pl.DataFrame | StoredTable, R]]:
    """Apply a function to each task, and yield its messages and other results in order.

    Few tasks are waiting at a time. Other processes write the messages to `file.spool_dir`,
    if that is set: to send them between processes takes longer than to decode them.

    Args:
        function: at the top level of a module, since other processes call it by name.
        tasks: generated while earlier ones are worked on.
        file: the file to read; a small one is read in this process.

    Raises:
        SourceError: the system stopped a process, most likely for lack of memory.
    """
    count = min(workers.cores(), MAX_WORKERS)
    if not file.is_large or count < 2:
        yield from map(function, tasks)
        return
    with workers.pool(count) as pool:
        submitted = (
            pool.submit(
                _work, function, task, file.spool_dir and file.spool_dir / table_file_name(number)
            )
            for number, task in enumerate(tasks, 1)
        )
        try:
            yield from workers.in_order(submitted, count + 1)
        except BrokenProcessPool as error:
            raise SourceError(
                f"{file.location}: a process that read it was stopped: "
                "close other programs, try again"
            ) from error


def _work(
    function: Callable[[T], tuple[pl.DataFrame, R]], task: T, path: Path | None
) -> tuple[pl.DataFrame | StoredTable, R]:
    """Apply the function to a task, and store the messages if they have a path."""
    frame, rest = function(task)
    return (frame, rest) if path is None or frame.is_empty() else (store_table(frame, path), rest)


@dataclass(frozen=True)
class StoredTable:
    """A message table that a reader has stored already."""

    path: Path
    source: str
    height: int


def load_table(table: pl.DataFrame | StoredTable) -> pl.DataFrame:
    """Load a batch of messages into memory; the file of a stored table is deleted."""
    if not isinstance(table, StoredTable):
        return table
    import polars as pl

    frame = pl.read_parquet(table.path)
    table.path.unlink()
    return frame


def table_file_name(number: int) -> str:
    """The name of a file's n-th table; names sort by number."""
    return f"{number:07}.parquet"


def store_table(frame: pl.DataFrame, path: Path) -> StoredTable:
    """Write a message table, which must not be empty, to a file."""
    from myna.messages import PARQUET_COMPRESSION  # it needs polars

    frame.write_parquet(path, compression=PARQUET_COMPRESSION)
    return StoredTable(path, frame.item(0, "source"), frame.height)
