"""A file that may hold a chat: on disk, or in a zip archive.

Archives are read in place: nothing of them is ever written to disk, so no member can
escape anywhere, whatever it is called. Sizes are believed only in so far as they are
plausible: what claims to grow more than `MAX_GROWTH`-fold is left unread.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from myna.errors import SourceError

HEAD = 64 * 1024
"""Bytes that `recognise` may look at."""

LARGE_BYTES = 64 * 2**20
"""A file of more bytes is large: it is read in several processes, and stored by itself.

Others are read sooner than other processes have begun; up to as many bytes of them are
stored together.
"""


@dataclass(frozen=True)
class ChatFile:
    """A file on disk, opened anew by whoever reads it.

    Sources see only this, never a path, so that a member of an archive can stand behind
    it as well (`Member`). `columns` is what the user says of a table:
    the names of its columns, by what they hold. `spool` is a folder that a reader which
    works in several processes writes its message tables to, in place of passing them on.
    """

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict, compare=False, kw_only=True)
    spool: Path | None = field(default=None, compare=False, kw_only=True)

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.name

    @property
    def local(self) -> Path | None:
        """Its path on disk, for code that only opens paths; None in an archive."""
        return self.path

    @property
    def folder(self) -> str:
        """The name of the folder that it lies in, "" where there is none.

        Exports of one chat as a folder or an archive name the chat so.
        """
        return self.path.absolute().parent.name

    @property
    def place(self) -> str:
        """Its path, for messages to the user."""
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

    @property
    def is_large(self) -> bool:
        """True if it has more than `LARGE_BYTES`.

        Raises:
            SourceError: as `size`.
        """
        return self.size > LARGE_BYTES

    def open(self) -> BinaryIO:
        """Open it for reading bytes.

        Raises:
            SourceError: it is gone, or may not be read.

        """
        try:
            return self.path.open("rb")
        except OSError as error:
            raise SourceError(f"cannot read {self.place}: {error.strerror}") from error

    def beside(self, relative: str) -> ChatFile | None:
        """Another file of the same export, by its place seen from this one's folder.

        Upper and lower case are the same: older exports have `Messages`, newer `messages`.
        """
        found = self.path.absolute().parent
        for part in relative.split("/"):
            if part == "..":
                found = found.parent
                continue
            try:
                near = {entry.name.lower(): entry for entry in found.iterdir()}
            except OSError:
                return None
            if part.lower() not in near:
                return None
            found = near[part.lower()]
        return ChatFile(found) if found.is_file() else None

    @cached_property
    def head(self) -> bytes:
        """The first bytes (at most `HEAD`)."""
        with self.open() as stream:
            return stream.read(HEAD)


MAX_GROWTH = 200
"""Text of people shrinks to a tenth or so; deflate's limit, of zeros, is a thousandth."""

ALWAYS_FINE = 64 * 2**20
"""Bytes that a member may unpack to whatever it was packed to."""

MAX_DEPTH = 3
"""Archives within archives that are looked into."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Member(ChatFile):
    """A file in an archive; `path` is that of the archive, with the member's behind it."""

    archive: Archive
    info: zipfile.ZipInfo
    troubles: list[str] = field(default_factory=list, compare=False)

    @property
    def local(self) -> None:
        """It has no file of its own on disk."""

    @property
    def folder(self) -> str:
        """As of a file on disk; the archive's name for what stands in no folder of it."""
        inner = PurePosixPath(self.info.filename).parent.name
        return inner or PurePosixPath(self.archive.place).stem

    @cached_property
    def size(self) -> int:
        """Bytes when unpacked."""
        return self.info.file_size

    def open(self) -> BinaryIO:
        """Unpack it on the way.

        Raises:
            SourceError: it cannot be unpacked, or would be implausibly large.
        """
        packed, size = max(1, self.info.compress_size), self.info.file_size
        if size > ALWAYS_FINE and size > MAX_GROWTH * packed:
            raise SourceError(
                f"{self.place} would unpack from {packed:,} to {size:,} bytes, as no chat does: "
                "if it is one, unpack it yourself"
            )
        if self.info.flag_bits & 1:
            raise SourceError(f"{self.place} has a password: unpack it yourself")
        try:
            stream = self.archive.zip.open(self.info)
        except _DAMAGE as error:
            raise SourceError(f"cannot read {self.place}: {error}") from error
        return cast(BinaryIO, io.BufferedReader(_Unpacking(stream, self)))

    def beside(self, relative: str) -> ChatFile | None:
        """Another member of the same archive."""
        parts = list(PurePosixPath(self.info.filename).parent.parts)
        for part in relative.split("/"):
            if part != "..":
                parts.append(part)
            elif parts:
                parts.pop()
            else:
                return None
        info = self.archive.members.get("/".join(parts).lower())
        return self.archive.member(info) if info else None


class _Unpacking(io.RawIOBase):
    """A member's bytes. Where the archive is damaged they end, as those of a cut file do."""

    def __init__(self, stream: Any, member: Member) -> None:
        self.stream = stream
        self.member = member

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True  # for archives in archives: going back means unpacking anew

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self.stream.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        try:
            return int(self.stream.readinto(buffer))
        except _DAMAGE as error:
            self.member.troubles.append(f"the archive is damaged: {error}")
            return 0

    def close(self) -> None:
        self.stream.close()
        super().close()


class Archive:
    """A zip archive, open for reading."""

    def __init__(self, file: ChatFile) -> None:
        """Open it.

        Raises:
            SourceError: it is damaged, or not there.
        """
        self.file = file
        try:
            self.zip = zipfile.ZipFile(file.open() if isinstance(file, Member) else file.path)
        except _DAMAGE as error:
            why = getattr(error, "strerror", None) or error
            raise SourceError(f"cannot read {file.place}: {why}: fetch it again") from error
        self.members = {
            info.filename.lower(): info for info in self.zip.infolist() if not info.is_dir()
        }

    @property
    def place(self) -> str:
        """Its path, for messages to the user."""
        return self.file.place

    def member(self, info: zipfile.ZipInfo) -> Member:
        """The member that `info` tells of."""
        # Not joined by `/`: a name such as "/etc/passwd" would stand for that file.
        return Member(
            Path(f"{self.file.path}/{info.filename}"), self, info, columns=self.file.columns
        )


def is_archive(file: ChatFile) -> bool:
    """True if it begins as zip archives do."""
    return file.head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def members(file: ChatFile) -> list[ChatFile]:
    """The files in an archive, hidden ones left out.

    Raises:
        SourceError: it is damaged, or lies too deep in others.
    """
    depth, around = 0, file
    while isinstance(around, Member):
        depth, around = depth + 1, around.archive.file
    if depth >= MAX_DEPTH:
        raise SourceError(f"{file.place} lies too deep in other archives: unpack it yourself")
    archive = Archive(file)
    shown = sorted(archive.members.values(), key=lambda info: info.filename)
    return [archive.member(info) for info in shown if not _is_hidden(info.filename)]


def _is_hidden(name: str) -> bool:
    """Hidden files, and what macOS adds to archives."""
    return any(p[0] == "." or p == "__MACOSX" for p in PurePosixPath(name).parts if p != "..")
