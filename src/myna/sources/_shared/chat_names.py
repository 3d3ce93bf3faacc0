"""Names of chats from the paths of their files, where the files themselves have none."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePath

from myna.sources import ChatFile
from myna.sources._shared.files import readable

# Words that say what a file is, not which chat: "1.csv", "messages part 2.csv", "2024-01.csv".
_PLAIN = re.compile(
    r"(?i:[\W_\d]|parts?|pages?|chunks?|files?|messages?|msgs?|exports?|exported|chats?|logs?|"
    r"history|transcripts?|backups?|data|output|results?|all|from|to|after|before|old|new|"
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sep(?:tember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)*"
)
# Folders that hold exports of any chat.
_FOLDERS = re.compile(
    r"(?i:[\W_\d]|csv|tsv|txt|text|html?|json|jsonl|exports?|exported|logs?|data|chats?|"
    r"messages?|channels?|discord|dce|backups?|archives?|downloads?|desktop|documents?|home|"
    r"users?|te?mp|my|files?|zip)*"
)
_PART = re.compile(
    r"(?:[ _-]*[\[(]part[ _-]?\d+[\])]|[ _-]+part[ _-]?\d+|\s*\(\d+\)|\s- Copy)+$", re.IGNORECASE
)


def chat_name(file: ChatFile) -> tuple[str, str]:
    """The space and the name of a chat, by the names of its file and of the folders around it.

    The file's name without the number of a part; or the folder's, if the file is only
    numbered, dated or called "messages". The space is "" unless `tell_apart` gave it one.
    """
    stem = _PART.sub("", PurePath(file.name).stem)
    if _is_of_folder(stem, file):
        stem = file.folder_name
    return file.found.get("space", ""), stem


def _is_of_folder(stem: str, file: ChatFile) -> bool:
    """True if the folder, not the file, is named after the chat."""
    return bool(stem and _PLAIN.fullmatch(stem)) and not _FOLDERS.fullmatch(file.folder_name)


def tell_apart(files: Iterable[ChatFile]) -> list[str]:
    """Give chats of one name in several folders the folders' names as spaces.

    Returns:
        a line for each such name, which says so.
    """
    by_name: dict[str, dict[Path, list[ChatFile]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        stem = _PART.sub("", PurePath(file.name).stem)
        folder = file.path.absolute().parent
        if re.search(r"\[\d+\]", stem):
            continue  # the platform's id is in the name
        container = folder.parent if _is_of_folder(stem, file) else folder
        by_name[chat_name(file)[1].casefold()][container].append(file)
    lines = _parts_line(by_name)
    for name, containers in by_name.items():
        if len(containers) < 2:
            continue
        common = Path(os.path.commonpath(containers))
        for container, same in containers.items():
            space = container.relative_to(common).as_posix() if container != common else "."
            for file in same:
                file.found["space"] = readable(space if space != "." else container.name)
        shown = sorted(readable(path.relative_to(common).as_posix()) for path in containers)
        more = f" and {len(shown) - 4:,} more" if len(shown) > 4 else ""
        lines.append(
            f"'{name}' is in {len(shown):,} folders ({', '.join(shown[:4])}{more}): taken for so "
            "many chats; if they are one, put its files into one folder and import that"
        )
    return lines


def _parts_line(by_name: dict[str, dict[Path, list[ChatFile]]]) -> list[str]:
    """A line on numbered files that are taken for parts of one chat; none without such files."""
    parts = {
        name: len(files)
        for name, containers in by_name.items()
        for files in containers.values()
        if len(files) > 1 and all(_PLAIN.fullmatch(_PART.sub("", f.path.stem)) for f in files)
    }
    if not parts:
        return []
    shown = ", ".join(f"'{name}' ({count:,} files)" for name, count in list(parts.items())[:4])
    more = f" and {len(parts) - 4:,} more" if len(parts) > 4 else ""
    return [
        "files that are only numbered or dated are taken for parts of the chat that their folder "
        f"is named after: {shown}{more}"
    ]
