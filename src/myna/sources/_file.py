"""A file that may hold a chat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from myna.errors import SourceError

HEAD = 64 * 1024
"""Bytes that `recognise` may look at."""


@dataclass(frozen=True)
class ChatFile:
    """A file on disk, opened anew by whoever reads it.

    Sources see only this, never a path, so that a member of an archive or of a folder
    with several files of one export can stand behind it as well.
    """

    path: Path

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.name

    @property
    def place(self) -> str:
        """Where it is, for messages to the user."""
        return str(self.path)

    @cached_property
    def size(self) -> int:
        """Bytes.

        Raises:
            SourceError: it is gone, or may not be looked at.
        """
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise SourceError(f"cannot read {self.place}: {error.strerror}") from error

    def open(self) -> BinaryIO:
        """Open it for reading bytes.

        Raises:
            SourceError: it is gone, or may not be read.

        """
        try:
            return self.path.open("rb")
        except OSError as error:
            raise SourceError(f"cannot read {self.place}: {error.strerror}") from error

    @cached_property
    def head(self) -> bytes:
        """The first bytes (at most `HEAD`)."""
        with self.open() as stream:
            return stream.read(HEAD)
