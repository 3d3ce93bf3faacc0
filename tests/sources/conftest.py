"""Reading fixtures and files that exist only in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pytest

from myna import messages, sources
from myna.sources import ChatFile, Tally

FIXTURES = Path(__file__).parent / "fixtures"

Read = Callable[..., tuple[pl.DataFrame, Tally]]


@dataclass(frozen=True)
class MemoryFile(ChatFile):
    """A file in memory; its siblings are those of `path`."""

    data: bytes = b""

    @property
    def local_path(self) -> None:
        return None

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def head(self) -> bytes:
        return self.data[: 64 * 1024]

    def open(self) -> BinaryIO:
        return BytesIO(self.data)


@pytest.fixture(scope="session")
def fixture_file() -> Callable[[str], ChatFile]:
    """A file of the fixtures folder."""
    return lambda name: ChatFile(FIXTURES / name)


@pytest.fixture(scope="session")
def memory_file() -> Callable[..., ChatFile]:
    """A file of these bytes."""
    return lambda data, name="chat": MemoryFile(Path(name), data)


@pytest.fixture(scope="session")
def read() -> Read:
    """All that a source reads of a file, in one table, and the tally."""

    def read_all(name: str, file: ChatFile) -> tuple[pl.DataFrame, Tally]:
        tally = Tally()
        frames = list(sources.read(name, file, tally))
        for frame in frames:
            assert frame.schema == pl.Schema(messages.SCHEMA)
        table = pl.concat([pl.DataFrame(schema=messages.SCHEMA), *frames])
        assert table.height == tally.read
        assert tally.bytes_done == file.size
        return table, tally

    return read_all
