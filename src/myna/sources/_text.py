"""Text files in whatever encoding they came."""

from __future__ import annotations

import codecs
from io import TextIOWrapper
from typing import BinaryIO

from myna.sources._file import ChatFile

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def encoding(head: bytes) -> str:
    """The encoding of a file that begins so: UTF-16, or else UTF-8."""
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
    """Read a stream as text, its line ends as they are.

    A byte that is no UTF-8 is read as Windows-1252 has it. So no sample has to decide
    for the whole of the file, and a single damaged byte does not matter.
    """
    name = encoding(head)
    errors = "replace" if name.startswith("utf-16") else "myna.windows-1252"
    return TextIOWrapper(stream, encoding=name, errors=errors, newline="")


def head_text(file: ChatFile) -> str:
    """The file's first bytes as text."""
    name = encoding(file.head)
    errors = "replace" if name.startswith("utf-16") else "myna.windows-1252"
    return file.head.decode(name, errors)


def _windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Decode what UTF-8 could not."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("myna.windows-1252", _windows_1252)
