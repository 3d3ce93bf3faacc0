"""A file that may hold a chat: on disk, or in a zip archive.

Archives are read in place: nothing of them is written to disk, so no member can escape to
another folder, whatever its name. A member that claims to unpack to more than
`MAX_COMPRESSION_RATIO` times its size is left unread.
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

HEAD_BYTES = 64 * 1024
"""Bytes from the beginning of a file that `recognise` may look at."""

LARGE_BYTES = 64 * 2**20
"""A file of more bytes is large: it is read in several processes, and stored by itself.

Smaller ones are read before other processes could start, and are stored together.
"""


def readable(path: str) -> str:
    """A path, or a part of one, as text: bytes of it that are no UTF-8 become U+FFFD."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@dataclass(frozen=True)
class ChatFile:
    """A file on disk, which each reader opens for itself.

    Sources get this and no path, so that it can be an `ArchiveMember` as well. `columns`
    are the names of a table's columns by their roles, as given by the user; `spool_dir` is
    the folder to which a reader with several processes writes its message tables. `notes` are
    for the user, and `found` is what was found out by reading: copies share both.
    """

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict, compare=False, kw_only=True)
    spool_dir: Path | None = field(default=None, compare=False, kw_only=True)
    notes: list[str] = field(default_factory=list, compare=False, kw_only=True)
    found: dict[str, str] = field(default_factory=dict, compare=False, kw_only=True)

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return readable(self.path.name)

    @property
    def local_path(self) -> Path | None:
        """The path on disk, for code that only opens paths; None in an archive."""
        return self.path

    @property
    def folder_name(self) -> str:
        """The name of the folder around it, by which many exports name the chat."""
        return readable(self.path.absolute().parent.name)

    @property
    def location(self) -> str:
        """The path as shown in messages to the user."""
        return readable(str(self.path))

    @cached_property
    def size(self) -> int:
        """Bytes.

        Raises:
            SourceError: the file does not exist or is not accessible.
        """
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise SourceError(f"cannot read {self.location}: {error.strerror}") from error

    @property
    def is_large(self) -> bool:
        """True if it has more than `LARGE_BYTES`.

        Raises:
            SourceError: as `size`.
        """
        return self.size > LARGE_BYTES

    def open(self) -> BinaryIO:
        """Open the file for reading bytes.

        Raises:
            SourceError: the file does not exist or is not readable.
        """
        try:
            return self.path.open("rb")
        except OSError as error:
            raise SourceError(f"cannot read {self.location}: {error.strerror}") from error

    def sibling(self, relative: str) -> ChatFile | None:
        """Another file of the same export, by its path relative to this one's folder.

        Case is ignored: older exports have `Messages`, newer ones `messages`.
        """
        path = self.path.absolute().parent
        for name in relative.split("/"):
            if name == "..":
                path = path.parent
                continue
            try:
                entries = {entry.name.lower(): entry for entry in path.iterdir()}
            except OSError:
                return None
            if name.lower() not in entries:
                return None
            path = entries[name.lower()]
        return ChatFile(path) if path.is_file() else None

    @cached_property
    def head(self) -> bytes:
        """The first bytes (at most `HEAD`)."""
        with self.open() as stream:
            return stream.read(HEAD_BYTES)


MAX_COMPRESSION_RATIO = 200
"""Chats shrink to a tenth or so; the limit of deflate, for zeros, is a thousandth."""

MAX_UNCHECKED_BYTES = 64 * 2**20
"""Members that unpack to no more bytes are not checked for their ratio."""

MAX_ARCHIVE_DEPTH = 3
"""Levels of archives within archives that are read."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class ArchiveMember(ChatFile):
    """A file in an archive; `path` is the archive's, followed by the member's."""

    archive: Archive
    info: zipfile.ZipInfo

    @property
    def local_path(self) -> None:
        """None: a member has no file of its own on disk."""

    @property
    def folder_name(self) -> str:
        """The name of the folder around it, or else the archive's name."""
        inner = PurePosixPath(self.info.filename).parent.name
        return inner or PurePosixPath(self.archive.file.location).stem

    @cached_property
    def size(self) -> int:
        """Bytes after unpacking."""
        return self.info.file_size

    def open(self) -> BinaryIO:
        """Open the member, unpacking as it is read.

        Raises:
            SourceError: it cannot be unpacked, or would be implausibly large.
        """
        packed, size = max(1, self.info.compress_size), self.info.file_size
        if size > MAX_UNCHECKED_BYTES and size > MAX_COMPRESSION_RATIO * packed:
            raise SourceError(
                f"{self.location} would unpack from {packed:,} to {size:,} bytes, as no chat does: "
                "if it is one, unpack it yourself"
            )
        if self.info.flag_bits & 1:
            raise SourceError(f"{self.location} has a password: unpack it yourself")
        try:
            stream = self.archive.zip.open(self.info)
        except _DAMAGE as error:
            raise SourceError(f"cannot read {self.location}: {error}") from error
        return cast(BinaryIO, io.BufferedReader(_Unpacking(stream, self)))

    def sibling(self, relative: str) -> ChatFile | None:
        """Another member of the same archive."""
        names = list(PurePosixPath(self.info.filename).parent.parts)
        for name in relative.split("/"):
            if name != "..":
                names.append(name)
            elif names:
                names.pop()
            else:
                return None
        info = self.archive.members.get("/".join(names).lower())
        return self.archive.member(info) if info else None


class _Unpacking(io.RawIOBase):
    """A member's bytes, which end where the archive is damaged, as in a file cut off there."""

    def __init__(self, stream: Any, member: ArchiveMember) -> None:
        self.stream = stream
        self.member = member

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True  # for archives in archives: seeking back unpacks from the start

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self.stream.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        try:
            return int(self.stream.readinto(buffer))
        except _DAMAGE as error:
            self.member.notes.append(f"the archive is damaged: {error}")
            return 0

    def close(self) -> None:
        self.stream.close()
        super().close()


class Archive:
    """A zip archive, open for reading."""

    def __init__(self, file: ChatFile) -> None:
        """Open the archive.

        Raises:
            SourceError: it is damaged or does not exist.
        """
        self.file = file
        try:
            self.zip = zipfile.ZipFile(
                file.open() if isinstance(file, ArchiveMember) else file.path
            )
        except _DAMAGE as error:
            problem = getattr(error, "strerror", None) or error
            raise SourceError(f"cannot read {file.location}: {problem}: fetch it again") from error
        self.members = {
            info.filename.lower(): info for info in self.zip.infolist() if not info.is_dir()
        }

    def member(self, info: zipfile.ZipInfo) -> ArchiveMember:
        """The member with this entry in the archive's directory."""
        # Not joined as paths: a name such as "/etc/passwd" would replace the archive's.
        return ArchiveMember(
            Path(f"{self.file.path}/{info.filename}"), self, info, columns=self.file.columns
        )


def is_archive(file: ChatFile) -> bool:
    """True if the file begins like a zip archive."""
    return file.head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def archive_members(file: ChatFile) -> list[ChatFile]:
    """The files in an archive, without hidden ones.

    Raises:
        SourceError: the archive is damaged, or nested too deep.
    """
    depth, outer = 0, file
    while isinstance(outer, ArchiveMember):
        depth, outer = depth + 1, outer.archive.file
    if depth >= MAX_ARCHIVE_DEPTH:
        raise SourceError(f"{file.location} lies too deep in other archives: unpack it yourself")
    archive = Archive(file)
    entries = sorted(archive.members.values(), key=lambda info: info.filename)
    return [archive.member(info) for info in entries if not _is_hidden(info.filename)]


def _is_hidden(name: str) -> bool:
    """True for hidden files, and for those that macOS adds to archives."""
    return any(p[0] == "." or p == "__MACOSX" for p in PurePosixPath(name).parts if p != "..")
