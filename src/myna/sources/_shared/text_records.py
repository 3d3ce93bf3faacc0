"""Records of a text file: a line that begins one, and the lines up to the next such line.

The last line of a file may have no end. It is read as it stands, and noted, unless its form
shows that the file broke off in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

from myna.sources import ChatFile, Tally
from myna.sources._shared.text import UNENDED, read_lines

T = TypeVar("T")

MAX_RECORD_CHARS = 2**22
"""Characters of a record; what a longer one has beyond is left unread."""


class Record(NamedTuple, Generic[T]):
    """A record.

    Attributes:
        number: of its first line, from 1.
        head: the parsed first line.
        lines: the other lines, without their ends.
        is_last: True for the last record of the file.
        is_open: True for the last record of a file whose last line has no end.
    """

    number: int
    head: T
    lines: list[str]
    is_last: bool = False
    is_open: bool = False


def read_records(
    file: ChatFile,
    tally: Tally,
    parse_head: Callable[[str, bool], T | None],
    is_torn: Callable[[str, Record[T] | None], bool],
) -> Iterator[Record[T]]:
    """The records of a text file; lines outside of any are counted in the tally.

    Args:
        file: the text.
        tally: of the file.
        parse_head: of a line, and True if the line before it is blank: its parts, or None
            for a line that begins no record.
        is_torn: of a last line without its end, and the record before it (None if the line
            begins one): True if the file breaks off in it.

    Raises:
        SourceError: the file cannot be read.
    """
    record: Record[T] | None = None
    endless: list[str] = []  # the last line, if it has no end

    def take_endless(line: str) -> bool:
        endless.append(line)
        return True

    size, is_after_blank = 0, True
    for number, line in read_lines(file, tally, take_endless):
        head = parse_head(line, is_after_blank)
        is_after_blank = not line.strip()
        if endless and line == endless[0]:
            if is_torn(line, record if head is None else None):
                _leave_out(file, line, number, tally)
                break
            tally.notes.append(UNENDED)
        if head is not None:
            if record is not None:
                yield record
            record, size = Record(number, head, []), 0
        elif record is None:
            if line.strip():
                tally.skip("line outside any message", f"line {number}: {line}")
        elif (size := size + len(line)) > MAX_RECORD_CHARS:
            tally.skip("message too long", f"line {number}: over {MAX_RECORD_CHARS:,} characters")
        else:
            record.lines.append(line)
    if record is not None:
        yield record._replace(is_last=True, is_open=bool(endless))


def _leave_out(file: ChatFile, line: str, number: int, tally: Tally) -> None:
    """Count a line in which the file breaks off as unread."""
    tally.skip_bytes(max(0, file.size - len(line.encode("utf-8", "replace"))), file.size)
    tally.notes.append(f"the file breaks off in line {number}: that line is not read")
