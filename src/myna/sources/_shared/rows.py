"""Tables in text: the rows of CSV, and chats in tables of named columns.

CSV may have any delimiter and any damage. Of chats that are plain tables, whatever wrote
them, columns are known by their names.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import NamedTuple

import polars as pl

from myna import messages
from myna.sources import ChatFile, Tally
from myna.sources._shared import message_table
from myna.sources._shared.message_table import ParsedMessage

Row = Mapping[str, str]

# What each column of the message table may be called, the surest name first.
_NAMES = {
    "text": "text content message body contents messagetext messagecontent msg",
    "author": "author sender from name user username displayname authorname sendername "
    "fromname nickname nick speaker",
    "author_id": "authorid senderid userid fromid",
    "time": "timestamp ts datetime sentat createdat date time sent created",
    "channel": "channel channelname chat room conversation",
    "space": "space server guild",
    "thread": "thread",
    "id": "id messageid msgid",
    "reply_to": "replyto replytoid replytomessageid inreplyto",
    "is_bot": "isbot bot",
    "edited": "edited isedited",
    "kind": "kind",
}
_TRUE = ("1", "true", "t", "yes", "y")
_TIME_OF_DAY = re.compile(r"\s*\d{1,2}:\d\d")


COLUMN_ROLES = tuple(_NAMES)
"""What the columns of a table may hold."""


def match_columns(
    names: Iterable[str], given: Mapping[str, str] | None = None
) -> dict[str, str] | None:
    """The named columns by what they hold; None without both a text and an author.

    A time of day in a column of its own, beside the date's, is called ``clock``. What the
    user has `given` goes before what the names suggest; None where there are no such names.
    """
    names = list(names)
    if given and not set(given.values()) <= set(names):
        return None
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(re.sub(r"[^a-z0-9]", "", name.lower()), name)
    found = {
        column: plain[choice]
        for column, choices in _NAMES.items()
        if (choice := next((c for c in choices.split() if c in plain), None))
    }
    found |= given or {}
    if "text" not in found or "author" not in found:
        return None
    if "time" in plain and found.get("time") == plain.get("date"):
        found["clock"] = plain["time"]
    return found


def tables_from_rows(rows: Iterable[Row], file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """Message tables of rows, each a mapping by the keys of `columns`.

    What names no channel is in the one named after the file: so the ids in two files,
    which often count from 1, do not meet.
    """
    channel = PurePath(file.name).stem
    yield from message_table.message_tables(
        (_message(row, channel) for row in rows), "generic", tally
    )
    if not tally.read:
        tally.notes.append("the table holds no messages")


def _message(row: Row, channel: str) -> ParsedMessage:
    kind = row.get("kind", "")
    return ParsedMessage(
        author=row["author"],
        text=row["text"],
        sent_at=_time(row) or None,
        channel=row.get("channel") or channel,
        space=row.get("space", ""),
        thread=row.get("thread") or None,
        id=row.get("id") or None,
        author_id=row.get("author_id") or None,
        kind=kind if kind in messages.KINDS else "text",
        reply_to=row.get("reply_to") or None,
        is_bot=row.get("is_bot", "").lower() in _TRUE,
        edited=row.get("edited", "").lower() in _TRUE,
    )


def _time(row: Row) -> str:
    """The time of a message, from one column or from two."""
    time = row.get("time", "").strip()
    clock = row.get("clock", "")
    return f"{time} {clock.strip()}" if _TIME_OF_DAY.match(clock) else time


class CsvHeader(NamedTuple):
    """The delimiter of a table, and the cells of its first row."""

    delimiter: str
    names: list[str]


def find_csv_header(text: str, is_header: Callable[[list[str]], object]) -> CsvHeader | None:
    """The first row of a table that begins with this text, if it is as wanted."""
    for line in re.split(r"\r\n?|\n", text, maxsplit=10)[:10]:
        found = [
            CsvHeader(delimiter, cells)
            for delimiter in ",;\t|"
            for cells in csv.reader([line], delimiter=delimiter)
            if is_header(cells)
        ]
        if found:
            return max(found, key=lambda header: len(header.names))
        # A table for Excel may say its delimiter in a line of its own.
        if line.strip() and not line.strip('"').startswith("sep="):
            return None
    return None


def read_csv_rows(
    lines: Iterable[str], header: CsvHeader, columns: Mapping[str, str], size: int, tally: Tally
) -> Iterator[dict[str, str]]:
    """The rows of a table; those that are damaged are counted in the tally.

    Args:
        lines: the table's, with their ends.
        header: as `csv_header` finds it; where it is repeated, parts were strung together.
        columns: names in the header, by the keys that the rows are to have.
        size: the table's, in bytes.
        tally: of the file.
    """
    places = [(key, header.names.index(name)) for key, name in columns.items()]
    width = len(header.names)
    begun = False
    for number, cells in _records(_Lines(lines), header.delimiter, size, tally):
        if cells == header.names:
            if begun:
                tally.skip("repeated first row", f"line {number}")
            begun = True
        elif begun and any(cells):
            if len(cells) < width or any(cells[width:]):
                tally.skip("damaged row", f"line {number}: {len(cells)} cells, not {width}")
            else:
                yield {key: cells[place] for key, place in places}


class _Lines:
    """Lines that can be given back, when what was begun with the first was no record."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = iter(lines)
        self.taken: list[str] = []
        self.returned: deque[str] = deque()
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.returned.popleft() if self.returned else next(self.lines)
        self.taken.append(line)
        self.number += 1
        # Tables that were strung together have marks in their midst.
        return line.removeprefix("\ufeff")

    def give_back(self) -> str:
        """Give back what was taken but for the first line, which is returned."""
        first, *rest = self.taken
        self.taken = [first]
        self.returned.extendleft(reversed(rest))
        self.number -= len(rest)
        return first


def _records(
    lines: _Lines, delimiter: str, size: int, tally: Tally
) -> Iterator[tuple[int, list[str]]]:
    """Each record's first line's number, and its cells.

    A quote that is never closed swallows lines up to the csv module's limit for a cell:
    then its line alone is the damaged one, and those behind it are read again.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.taken.clear()
        number = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            line = lines.give_back().rstrip("\r\n")
            if delimiter != "\t":
                tally.skip("damaged row", f"line {number}: {error}")
                continue
            # In tab-separated values a quote is a character like any other.
            cells = line.split("\t")
        if lines.taken[-1].endswith(("\n", "\r")):
            yield number, cells
        else:  # it may be cut off anywhere
            tally.skip_bytes(max(0, size - sum(len(line.encode()) for line in lines.taken)), size)
            tally.notes.append(f"the file breaks off in line {number}: that row is not read")
