"""Text files in any encoding, read by lines or by blocks of lines."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from typing import BinaryIO

from myna.sources import ChatFile, Tally

BLOCK_CHARS = 2**22
"""Characters read at a time."""

MAX_LINE_CHARS = 2**26
"""Characters of a line; a longer one is left unread."""

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def detect_encoding(head: bytes) -> str:
    """The encoding of a file with these first bytes: UTF-16, or else UTF-8."""
    for bom, name in _BOMS.items():
        if head.startswith(bom):
            return name
    # Without a mark, UTF-16 shows by the zero halves of its ASCII characters.
    start = head[:1000]
    if start[1::2].count(0) > len(start) // 4:
        return "utf-16-le"
    if start[::2].count(0) > len(start) // 4:
        return "utf-16-be"
    return "utf-8"


def open_text(stream: BinaryIO, head: bytes) -> TextIOWrapper:
    """Open a stream as text, with its line ends unchanged.

    A byte that is no UTF-8 is read as Windows-1252, so that no sample has to decide for
    the whole file, and a single damaged byte does not matter.
    """
    name = detect_encoding(head)
    errors = "replace" if name.startswith("utf-16") else "myna.windows-1252"
    return TextIOWrapper(stream, encoding=name, errors=errors, newline="")


def read_blocks(
    file: ChatFile, tally: Tally, is_whole: Callable[[str], bool] | None = None
) -> Iterator[str]:
    r"""Read a text file in blocks of whole lines, with ``\n`` for any line end.

    A last line without an end may be cut off, so it is counted as unread, unless
    `is_whole` accepts it. `tally.bytes_done` follows.

    Raises:
        SourceError: the file cannot be read.
    """
    with file.open() as stream, open_text(stream, file.head) as text:
        text.reconfigure(newline=None)
        kept: list[str] = []  # the beginning of a line
        length = number = 0
        too_long = False
        while block := text.read(BLOCK_CHARS):
            tally.bytes_done = min(file.size, stream.tell())
            if too_long:
                _, end, block = block.partition("\n")
                too_long = not end
                number += len(end)
                if too_long:
                    continue
            whole, end, begun = block.rpartition("\n")
            if end:
                done = "".join([*kept, whole, end])
                number += done.count("\n")
                kept, length = [], 0
                yield done
            kept.append(begun)
            length += len(begun)
            if length > MAX_LINE_CHARS:
                tally.skip(
                    "line too long", f"line {number + 1}: over {MAX_LINE_CHARS:,} characters"
                )
                kept, length, too_long = [], 0, True
        left = "".join(kept)
        if left and is_whole is not None and is_whole(left):
            yield f"{left}\n"
        elif left:
            tally.skip_bytes(max(0, file.size - _size(left, text.encoding)), file.size)
            tally.notes.append(f"the file breaks off in line {number + 1}: that line is not read")
        tally.bytes_done = file.size


def read_lines(
    file: ChatFile, tally: Tally, is_whole: Callable[[str], bool] | None = None
) -> Iterator[tuple[int, str]]:
    """Read the lines of a text file with their numbers, from 1, without ends; see `read_blocks`.

    Raises:
        SourceError: the file cannot be read.
    """
    number = 0
    for block in read_blocks(file, tally, is_whole):
        for line in block[:-1].split("\n"):
            number += 1
            yield number, line


def _size(text: str, encoding: str) -> int:
    """The size of a text in the file, in bytes, if its line ends are single characters."""
    return len(text.encode("utf-16-le" if encoding.startswith("utf-16") else "utf-8", "replace"))


def head_lines(file: ChatFile, most: int = 50) -> list[str]:
    """The file's first lines without their ends; the last may be cut off."""
    text = head_text(file).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n", most)[:most]


def head_text(file: ChatFile) -> str:
    """The file's first bytes as text."""
    name = detect_encoding(file.head)
    errors = "replace" if name.startswith("utf-16") else "myna.windows-1252"
    return file.head.decode(name, errors)


def _windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Decode bytes that are no UTF-8."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("myna.windows-1252", _windows_1252)
