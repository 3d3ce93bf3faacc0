"""Find the chat files behind paths: search folders, look into archives."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, archive_members, is_archive, recognise
from myna.sources._shared.chat_names import tell_apart
from myna.sources._shared.rows import find_csv_header
from myna.sources._shared.text import head_lines, head_text

_PACKED = {
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x1f\x8b": "packed with gzip",
    b"\xfd7zXZ\0": "packed with xz",
    b"BZh": "packed with bzip2",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
}


NAMED_BY_PATH = ("csv_table", "discord_chat_exporter_csv", "irc", "json_lines")
"""Sources whose files do not say which chat they are: their paths do."""


TEXT_SOURCES = (
    *("whatsapp", "irc", "signal_export", "imessage_exporter", "signalbackup_tools", "sigtop"),
)
"""Sources whose messages look the same in any document."""

_MANUAL = re.compile(r"(?i:readme|changelog|contributing|license|how-?to|faq|todo)(?:[._-].*)?")
_TITLE = re.compile(r"#{1,4} \S|[=-]{4,}$")

COMPANIONS = {
    "channel.json": ("messages.json", "messages.csv"),
    "group_info.json": ("messages.json",),
}
"""Files of an export that have no messages, and those beside them that do."""


@dataclass
class Discovery:
    """The files behind the paths that the user gave.

    Attributes:
        chats: files with messages, each with the source that it was recognised as.
        others: number of files that are not chat exports, by file name extension.
        problems: one line for each unreadable file, if the user named it or it seems a chat.
        notes: lines on what was taken for what.
    """

    chats: list[tuple[ChatFile, Recognition]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def discover_chats(
    paths: list[Path], as_source: str | None = None, columns: Mapping[str, str] | None = None
) -> Discovery:
    """Sort all files behind the paths into chats, other files and problems.

    Args:
        paths: files, folders, archives.
        as_source: read every file as this source, instead of recognising it.
        columns: column names of tables by field, as the user gave them.

    Raises:
        SourceError: a path does not exist.
    """
    discovery = Discovery()
    for path in paths:
        if path.is_dir():
            for file in _walk_folder(path, discovery):
                _add_file(ChatFile(file, columns=columns or {}), discovery, as_source, named=False)
        elif path.is_file():
            _add_file(ChatFile(path, columns=columns or {}), discovery, as_source, named=True)
        elif path.exists():
            raise SourceError(f"{path} is neither a file nor a folder: check the path")
        elif path.is_symlink():
            raise SourceError(f"{path} is a link that leads nowhere: check the path")
        else:
            raise SourceError(f"{path} does not exist: check the path")
    for source in NAMED_BY_PATH:
        files = [file for file, recognised in discovery.chats if recognised.source == source]
        discovery.notes += tell_apart(files)
    return discovery


def _walk_folder(folder: Path, discovery: Discovery) -> Iterator[Path]:
    """All files below a folder, without hidden ones and without following links to folders."""

    def unreadable(error: OSError) -> None:
        discovery.problems.append(f"cannot read {error.filename}: {error.strerror}")

    for inner, subfolders, names in os.walk(folder, onerror=unreadable):
        if "myna.toml" in names:  # a workspace is made of chats; it is not an export
            subfolders.clear()
            continue
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in subfolders:
            if Path(inner, name).is_symlink():
                discovery.problems.append(
                    f"{Path(inner, name)} is a link to a folder: not followed"
                )
        for name in sorted(names):
            path = Path(inner, name)
            if name.startswith("."):
                continue
            if path.is_file():
                yield path
            elif path.is_symlink():
                discovery.problems.append(f"{path} is a link that leads nowhere: left out")


def _add_file(file: ChatFile, discovery: Discovery, as_source: str | None, *, named: bool) -> None:
    """Add a file to the discovery; of an archive, each member. `named`: the user named it."""
    try:
        if not file.size:
            if named:
                discovery.problems.append(f"{file.location}: the file is empty: export it again")
            else:
                discovery.others["empty"] += 1
            return
        if is_archive(file):
            for member in archive_members(file):
                _add_file(member, discovery, as_source, named=False)
            return
        recognition = Recognition(as_source, 1.0, "by --source") if as_source else recognise(file)
        if recognition is None:
            if named:
                discovery.problems.append(f"{file.location}: {_not_a_chat_export(file)}")
            discovery.others[file.path.suffix.lower() or "without ending"] += 1
        elif recognition.holds_messages:
            if not as_source and _is_manual(file, recognition):
                line = (
                    f"{file.location} seems to be a document that shows sample chats: left out; "
                    f"if it is a chat, add --source {recognition.source}"
                )
                (discovery.problems if named else discovery.notes).append(line)
                discovery.others["document"] += 1
                return
            discovery.chats.append((file, recognition))
        elif (needed := COMPANIONS.get(file.name.lower())) and not any(map(file.sibling, needed)):
            discovery.notes.append(
                f"the folder of {file.location} has no {' or '.join(needed)}: its messages are "
                "missing; export it again"
            )
        elif named:
            discovery.problems.append(
                f"{file.location} is {recognition.reason} and holds no messages: "
                "import the folder that it belongs to"
            )
    except SourceError as error:
        discovery.problems.append(str(error))


def _is_manual(file: ChatFile, recognition: Recognition) -> bool:
    """True for a README and its like, whose examples look like a chat."""
    if recognition.source not in TEXT_SOURCES:
        return False
    lines = head_lines(file, 200)
    fences = sum(line.lstrip().startswith("```") for line in lines)
    titles = sum(bool(_TITLE.match(line)) for line in lines)
    is_named = _MANUAL.fullmatch(file.path.stem) is not None
    return (
        fences > 1 or (titles > 1 and not file.name.endswith((".log", ".weechatlog"))) or is_named
    )


def _not_a_chat_export(file: ChatFile) -> str:
    if header := find_csv_header(head_text(file), _is_table):
        columns = ", ".join(name for name in header.names if name)[:200]
        return (
            f"a table in which no column is known for the author or the text (it has {columns}): "
            "name them with --columns author=NAME,text=NAME,time=NAME"
        )
    for magic, kind in _PACKED.items():
        if file.head.startswith(magic):
            return f"{kind}: unpack it first, and import the folder"
    return "not a chat export that myna knows: see `myna import --list`"


def _is_table(cells: list[str]) -> bool:
    """True for a row that names at least three columns."""
    names = [cell.strip() for cell in cells]
    return len(names) > 2 and all(re.fullmatch(r"[^\W\d][\w ()./-]{0,40}", name) for name in names)
