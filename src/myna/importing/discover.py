"""The files that paths name: folders searched through, archives looked into."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, archive_members, is_archive, recognise

_PACKED = {
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x1f\x8b": "packed with gzip",
    b"\xfd7zXZ\0": "packed with xz",
    b"BZh": "packed with bzip2",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
}


@dataclass
class Discovery:
    """The files behind the paths that were given.

    Attributes:
        chats: the files with messages, and as what each was recognised.
        others: how many files are no chats, by the ending of their names.
        troubles: a line for each file that was given, or seemed to be a chat, and cannot
            be read.
    """

    chats: list[tuple[ChatFile, Recognition]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)


def find(
    paths: list[Path], as_source: str | None = None, columns: Mapping[str, str] | None = None
) -> Discovery:
    """Look at everything behind the paths.

    Args:
        paths: files, folders, archives.
        as_source: what to read every file as, instead of recognising it.
        columns: what the user says of the columns of tables, by what they hold.

    Raises:
        SourceError: a path is not there.
    """
    found = Discovery()
    for path in paths:
        if path.is_dir():
            for file in _within(path, found):
                _look(ChatFile(file, columns=columns or {}), found, as_source, named=False)
        elif path.is_file():
            _look(ChatFile(path, columns=columns or {}), found, as_source, named=True)
        elif path.exists():
            raise SourceError(f"{path} is neither a file nor a folder: check the path")
        elif path.is_symlink():
            raise SourceError(f"{path} is a link that leads nowhere: check the path")
        else:
            raise SourceError(f"{path} is not there: check the path")
    return found


def _within(folder: Path, found: Discovery) -> Iterator[Path]:
    """The files of a folder and of those in it; hidden ones and links to folders left out."""

    def unreadable(error: OSError) -> None:
        found.troubles.append(f"cannot read {error.filename}: {error.strerror}")

    for inner, subfolders, names in os.walk(folder, onerror=unreadable):
        if "myna.toml" in names:  # a workspace is made of chats, and is none
            subfolders.clear()
            continue
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in subfolders:
            if Path(inner, name).is_symlink():
                found.troubles.append(f"{Path(inner, name)} is a link to a folder: not followed")
        for name in sorted(names):
            path = Path(inner, name)
            if name.startswith("."):
                continue
            if path.is_file():
                yield path
            elif path.is_symlink():
                found.troubles.append(f"{path} is a link that leads nowhere: left out")


def _look(file: ChatFile, found: Discovery, as_source: str | None, *, named: bool) -> None:
    """Sort a file into what was found; an archive's members one by one."""
    try:
        if not file.size:
            if named:
                found.troubles.append(f"{file.location}: the file is empty: export it again")
            else:
                found.others["empty"] += 1
            return
        if is_archive(file):
            for member in archive_members(file):
                _look(member, found, as_source, named=False)
            return
        recognised = Recognition(as_source, 1.0, "by --source") if as_source else recognise(file)
        if recognised is None:
            if named:
                found.troubles.append(f"{file.location}: {_no_chat(file)}")
            found.others[file.path.suffix.lower() or "without ending"] += 1
        elif recognised.holds_messages:
            found.chats.append((file, recognised))
        elif named:
            found.troubles.append(
                f"{file.location} is {recognised.reason} and holds no messages: "
                "import the folder that it belongs to"
            )
    except SourceError as error:
        found.troubles.append(str(error))


def _no_chat(file: ChatFile) -> str:
    for mark, kind in _PACKED.items():
        if file.head.startswith(mark):
            return f"{kind}: unpack it first, and import the folder"
    return "no chat that myna knows: see `myna import --list`"
