"""Text files in any encoding, read by lines or by blocks of lines."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from typing import BinaryIO, TextIO

from myna.errors import SourceError
from myna.sources import ChatFile, Tally
from myna.sources._shared.encodings import detect_by_content

BLOCK_CHARS = 2**22
"""Characters read at a time."""

MAX_LINE_CHARS = 2**26
"""Characters of a line; a longer one is left unread."""

SAMPLE_BYTES = 2**16
"""Bytes of lines that are no UTF-8 from which the encoding is detected."""

MAX_DAMAGED_BYTES = 6
"""Bytes beyond ASCII in such lines that may be damage in a text of UTF-8."""

ENOUGH_LINES = 2_000
"""Lines of UTF-8 beyond ASCII after which a text counts as UTF-8."""

UNENDED = "the last line has no end: it was read as it stands, and may have been cut off"
"""The note on a last line without a line end."""

_LINE_ENDS = ("\n", "\r")

IsWhole = Callable[[str], bool | None]
"""A verdict on a last line without an end: True (it is whole), False (it is torn), or None."""

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_TITLES = {"cp932": "Shift-JIS", "cp949": "EUC-KR", "cp874": "Windows-874", "big5hkscs": "Big5"}


def detect_unicode(head: bytes) -> str:
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


def encoding_of(file: ChatFile) -> str:
    """The encoding of a text file; one that is not Unicode is noted in `file.notes`.

    Most lines decide: a few bytes that are no UTF-8 in a text of UTF-8 are damage.

    Raises:
        SourceError: it is not Unicode, and what it is is unclear; or the file cannot be read.
    """
    if known := file.found.get("encoding"):
        return str(known)
    name = detect_unicode(file.head)
    if name == "utf-8":
        with file.open() as stream:
            good, bad = _not_utf8(stream)
        name = _judge(good, bad, file)
    file.found["encoding"] = name
    return name


def _judge(good: int, bad: list[bytes], file: ChatFile) -> str:
    """The encoding by the number of sound lines beyond ASCII, and those that are no UTF-8."""
    if not bad:
        return "utf-8"
    sample = b"".join(bad)
    if len(bad) > good:
        if name := detect_by_content(sample):
            title = _TITLES.get(name, name.replace("cp125", "Windows-125").replace("_", "-"))
            file.notes.append(f"the text is in {title}, not in UTF-8: check a few messages")
            return name
        if sum(byte > 0x7F for byte in sample) > MAX_DAMAGED_BYTES:
            raise SourceError(
                f"{file.location} is not UTF-8, and its encoding is unclear: save it as UTF-8 "
                "with the program that shows it rightly, and import that"
            )
    lines = f"{len(bad):,} lines have" if len(bad) > 1 else "a line has"
    file.notes.append(f"{lines} bytes that are no UTF-8, read as Windows-1252")
    return "utf-8"


def _not_utf8(stream: BinaryIO) -> tuple[int, list[bytes]]:
    """The number of lines of UTF-8 beyond ASCII, and lines that are none, to `SAMPLE_BYTES`."""
    good, bad, size, kept = 0, list[bytes](), 0, b""
    while block := stream.read(2**20):
        whole, end, begun = block.rpartition(b"\n")
        data, kept = (kept + whole + end, begun) if end else (b"", kept + block)
        if len(kept) > 2**24:  # no text at all
            kept = b""
        if data.isascii():
            continue
        try:
            good += sum(not line.isascii() for line in data.decode().splitlines())
        except UnicodeDecodeError:
            for line in data.splitlines(keepends=True):
                if line.isascii():
                    continue
                if _is_utf8(line):
                    good += 1
                else:
                    bad.append(line)
                    size += len(line)
        if size > SAMPLE_BYTES or good > ENOUGH_LINES:
            return good, bad
    if kept and not kept.isascii():
        if _is_utf8(kept):
            good += 1
        elif not _is_torn(kept):
            bad.append(kept)
    return good, bad


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_torn(data: bytes) -> bool:
    """True if the data is UTF-8 that breaks off within a character."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return not _is_utf8(data)


def open_text(stream: BinaryIO, file: ChatFile) -> TextIOWrapper:
    """Open a stream of a file as text, with its line ends unchanged.

    Raises:
        SourceError: as `encoding_of`.
    """
    name = encoding_of(file)
    errors = "myna.windows-1252" if name.startswith("utf-8") else "replace"
    return TextIOWrapper(stream, encoding=name, errors=errors, newline="")


def read_bounded_lines(text: TextIO, tally: Tally, most: int = MAX_LINE_CHARS) -> Iterator[str]:
    """The lines of a text, with their ends; one of `most` characters or more is left out."""
    number = 0
    while line := text.readline(most):
        number += 1
        if len(line) < most or line.endswith(_LINE_ENDS):
            yield line
            continue
        tally.skip("line too long", f"line {number}: over {most:,} characters")
        while (line := text.readline(most)) and not line.endswith(_LINE_ENDS):
            pass


def read_blocks(
    file: ChatFile,
    tally: Tally,
    is_whole: IsWhole = lambda _: None,
    *,
    keep_returns: bool = False,
) -> Iterator[str]:
    r"""Read a text file in blocks of whole lines, with ``\n`` for any line end.

    A last line without an end is read with a note, or without one if `is_whole` says True. It
    is counted as unread if `is_whole` says False or it breaks off within a character.
    `tally.bytes_done` follows. With `keep_returns`, ``\r\n`` stays as it is.

    Raises:
        SourceError: the file cannot be read, or as `encoding_of`.
    """
    with file.open() as stream, open_text(stream, file) as text:
        text.reconfigure(newline="\n" if keep_returns else None)
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
        verdict = is_whole(left) if left and not _ends_torn(file, left, text.encoding) else False
        if left and verdict is not False:
            if verdict is None:
                tally.notes.append(UNENDED)
            yield f"{left}\n"
        elif left:
            tally.skip_bytes(max(0, file.size - _size(left, text.encoding)), file.size)
            tally.notes.append(f"the file breaks off in line {number + 1}: that line is not read")
        tally.bytes_done = file.size


def _ends_torn(file: ChatFile, left: str, encoding: str) -> bool:
    """True if the file breaks off within a character."""
    if not encoding.startswith("utf-8"):
        return left.endswith("\ufffd")
    with file.open() as stream:
        stream.seek(max(0, file.size - 4))
        end = stream.read()
    # Behind the first byte of the last character.
    begin = max((i for i, byte in enumerate(end) if byte >= 0xC0), default=len(end))
    return begin < len(end) and _is_torn(end[begin:])


def read_lines(
    file: ChatFile, tally: Tally, is_whole: IsWhole = lambda _: None
) -> Iterator[tuple[int, str]]:
    """Read the lines of a text file with their numbers, from 1, without ends; see `read_blocks`.

    Raises:
        SourceError: as `read_blocks`.
    """
    number = 0
    for block in read_blocks(file, tally, is_whole):
        for line in block[:-1].split("\n"):
            number += 1
            yield number, line


def begins_head(line: str, examples: list[str], matches: Callable[[str], object]) -> bool:
    """True if a line that breaks off is the beginning of the first line of a message.

    Args:
        line: without an end.
        examples: such first lines, as short as they can be.
        matches: true for a first line.
    """
    if len(line) > 200 or matches(line):
        return False
    return any(
        matches(line + example[begin:]) for example in examples for begin in range(len(example))
    )


def _size(text: str, encoding: str) -> int:
    """The size of a text in the file, in bytes, if its line ends are single characters."""
    name = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(encoding, encoding)
    return len(text.encode(name, "replace"))


def head_lines(file: ChatFile, most: int = 50) -> list[str]:
    """The file's first lines without their ends; the last may be cut off."""
    text = head_text(file).removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n", most)[:most]


def head_text(file: ChatFile) -> str:
    """The file's first bytes as text, in an encoding that is detected from them alone."""
    if (known := file.found.get("head")) is not None:
        return str(known)
    name, errors = detect_unicode(file.head), "replace"
    if name.startswith("utf-8"):
        errors = "myna.windows-1252"
        begin = file.head.rpartition(b"\n")[0] or file.head
        if not _is_utf8(begin):
            bad = [line for line in begin.splitlines(keepends=True) if not _is_utf8(line)]
            good = sum(not line.isascii() for line in begin.splitlines()) - len(bad)
            if len(bad) > good and b"\0" not in begin:
                name = detect_by_content(b"".join(bad)[:SAMPLE_BYTES]) or name
                errors = "replace" if name != "utf-8" else errors
    text = file.head.decode(name, errors)
    file.found["head"] = text
    return text


def _windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Decode bytes that are no UTF-8."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("myna.windows-1252", _windows_1252)
