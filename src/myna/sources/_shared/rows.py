"""Tables in text: the rows of CSV with any delimiter and damage, and chats as plain tables.

The columns of a plain table are matched by their names.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import PurePath
from typing import NamedTuple, TextIO

import polars as pl

from myna import messages
from myna.sources import ChatFile, Tally
from myna.sources._shared import message_table
from myna.sources._shared.chat_names import chat_name
from myna.sources._shared.message_table import ParsedMessage
from myna.sources._shared.text import UNENDED, read_bounded_lines

Row = Mapping[str, str]

# The usual names of each column, the most specific first.
_NAMES = {
    "text": "text content message body contents messagetext messagecontent msg",
    "author": "author sender from name user username displayname authorname sendername "
    "fromname nickname nick speaker talker role",
    "author_id": "authorid senderid userid fromid",
    "time": "timestamp ts datetime sentat createdat date time sent created createtime sendtime "
    "senttime messagetime messagedate strtime unixtime dateutc timeutc dateandtime",
    "channel": "channel channelname chat chatname room roomname conversation conversationtitle "
    "conversationname groupname chattitle",
    "channel_id": "channelid conversationid chatid roomid groupid chatsession threadpath chatguid",
    "space": "space server guild",
    "thread": "thread",
    "id": "id messageid msgid",
    "reply_to": "replyto replytoid replytomessageid inreplyto",
    "is_bot": "isbot bot",
    "edited": "edited isedited",
    "kind": "kind",
}
MAX_ROW_CHARS = 2**22
"""Characters of a table's row; a longer one is left unread."""

_TRUE = ("1", "true", "t", "yes", "y")
_FIGURES = re.compile(r"[\d:.+TZ/ -]{6,}")
_TIME_OF_DAY = re.compile(r"\s*\d{1,2}:\d\d")


COLUMN_ROLES = tuple(_NAMES)
"""The roles that the columns of a table can have."""


def match_columns(
    names: Iterable[str], given: Mapping[str, str] | None = None
) -> dict[str, str] | None:
    """Match column names to roles; None without both a text and an author.

    A separate column for the time of day has the role ``clock``. The user's `given` columns
    take precedence; None if the table lacks one of them.
    """
    names = list(names)
    if given and not set(given.values()) <= set(names):
        return None
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(re.sub(r"[^a-z0-9]", "", name.lower()), name)
    matched = {
        role: plain[choice]
        for role, choices in _NAMES.items()
        if (choice := next((c for c in choices.split() if c in plain), None))
    }
    if "time" not in matched and (times := [n for n in plain if _is_time_name(n)]):
        matched["time"] = plain[times[0]]
    matched |= given or {}
    if "text" not in matched or "author" not in matched:
        return None
    if "time" in plain and matched.get("time") == plain.get("date"):
        matched["clock"] = plain["time"]
    return matched


def _is_time_name(plain: str) -> bool:
    """True for a name such as "messagetimestampms", and not for the time of something else."""
    has_time = any(word in plain for word in ("time", "date", "sent", "created"))
    other = ("update", "edit", "delet", "read", "expire", "deliver", "receiv", "zone", "modif")
    return has_time and not any(word in plain for word in other)


def no_time_note(names: Iterable[str], columns: Mapping[str, str]) -> str | None:
    """A note for a table of whose columns none is known for the time; None if one is."""
    if "time" in columns:
        return None
    rest = [name for name in names if name not in columns.values()]
    listed = ", ".join(rest[:12]) or "no other"
    return (
        f"no column of times was found (there is {listed}): the messages have no times; "
        "name the column with --columns time=NAME and import again"
    )


def tables_from_rows(rows: Iterable[Row], file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """Message tables from rows, each a mapping by the roles of `match_columns`.

    The default channel is named after the file, and where messages have no ids see
    `chat_names`: ids that count from 1 in two files must not collide.
    """
    rows = iter(rows)
    first = next(rows, None)
    space, channel = chat_name(file)
    if first and first.get("id"):
        channel = PurePath(file.name).stem
    messages = (_message(row, space, channel) for row in chain(filter(None, [first]), rows))
    yield from message_table.to_tables(messages, "generic", tally)


def _message(row: Row, space: str, channel: str) -> ParsedMessage:
    kind = row.get("kind", "")
    channel_id = row.get("channel_id") or None
    return ParsedMessage(
        author=row["author"],
        text=row["text"],
        sent_at=_time(row) or None,
        channel=row.get("channel") or channel_id or channel,
        channel_id=channel_id,
        space=row.get("space", "" if row.get("channel") or channel_id else space),
        thread=row.get("thread") or None,
        id=row.get("id") or None,
        author_id=row.get("author_id") or None,
        kind=kind if kind in messages.KINDS else "text",
        reply_to=row.get("reply_to") or None,
        is_bot=row.get("is_bot", "").lower() in _TRUE,
        edited=row.get("edited", "").lower() in _TRUE,
    )


def _time(row: Row) -> str:
    """The time of a message, from one or two columns."""
    time = row.get("time", "").strip()
    clock = row.get("clock", "")
    return f"{time} {clock.strip()}" if _TIME_OF_DAY.match(clock) else time


class CsvHeader(NamedTuple):
    """The delimiter of a table, and the cells of its first row."""

    delimiter: str
    names: list[str]


def find_csv_header(text: str, is_header: Callable[[list[str]], object]) -> CsvHeader | None:
    """Find the first row of a table that begins with this text, if `is_header` accepts it."""
    for line in re.split(r"\r\n?|\n", text, maxsplit=10)[:10]:
        headers = [
            CsvHeader(delimiter, cells)
            for delimiter in ",;\t|"
            for cells in csv.reader([line], delimiter=delimiter)
            if is_header(cells)
        ]
        if headers:
            return max(headers, key=lambda header: len(header.names))
        # A table for Excel may name its delimiter in a line of its own.
        if line.strip() and not line.strip('"').startswith("sep="):
            return None
    return None


def read_csv_rows(
    text: TextIO, header: CsvHeader, columns: Mapping[str, str], size: int, tally: Tally
) -> Iterator[dict[str, str]]:
    """The rows of a table; damaged ones are counted in the tally.

    Args:
        text: the table, with its line ends as they are.
        header: from `find_csv_header`; it is repeated in tables that were concatenated.
        columns: names in the header, by the keys of the rows to return.
        size: the table's, in bytes.
        tally: of the file.
    """
    positions = [(key, header.names.index(name)) for key, name in columns.items()]
    width = len(header.names)
    has_header = False
    for number, cells in _records(_Lines(text, tally), header.delimiter, width, size, tally):
        if cells == header.names:
            if has_header:
                tally.skip("repeated first row", f"line {number}")
            has_header = True
        elif has_header and any(cells):
            if len(cells) < width or any(cells[width:]):
                tally.skip("damaged row", f"line {number}: {len(cells)} cells, not {width}")
            else:
                yield {key: cells[i] for key, i in positions}


class _TooLongError(csv.Error):
    """A row has more than `MAX_ROW_CHARS`."""


class _Lines:
    """Lines that can be given back if the record that the first begins is damaged."""

    def __init__(self, text: TextIO, tally: Tally) -> None:
        self.lines = read_bounded_lines(text, tally, MAX_ROW_CHARS)
        self.taken: list[str] = []
        self.size = 0  # of those taken
        self.returned: deque[str] = deque()
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.returned.popleft() if self.returned else next(self.lines)
        self.taken.append(line)
        self.number += 1
        self.size += len(line)
        if self.size > MAX_ROW_CHARS:
            raise _TooLongError(f"over {MAX_ROW_CHARS:,} characters")
        # Concatenated tables have byte order marks in their midst.
        return line.removeprefix("\ufeff")

    def begin_record(self) -> None:
        """Keep the lines taken until now no longer."""
        self.taken.clear()
        self.size = 0

    def give_back(self) -> str:
        """Give back all lines taken but the first, which is returned."""
        first, *rest = self.taken
        self.taken = [first]
        self.returned.extendleft(reversed(rest))
        self.number -= len(rest)
        return first


def _records(
    lines: _Lines, delimiter: str, width: int, size: int, tally: Tally
) -> Iterator[tuple[int, list[str]]]:
    """The number of each record's first line, and its cells.

    A quote that is never closed swallows lines up to the csv module's limit for a cell;
    only its line is counted as damaged, and those behind it are read again.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    before = ""  # the last cell of the record before
    while True:
        lines.begin_record()
        number = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _TooLongError as error:
            tally.skip("row too long", f"line {number}: {error}")
            continue
        except csv.Error as error:
            line = lines.give_back().rstrip("\r\n")
            if delimiter != "\t":
                tally.skip("damaged row", f"line {number}: {error}")
                continue
            # In tab-separated values a quote is a character like any other.
            cells = line.split("\t")
        end = lines.taken[-1][-1:]
        if end in ("\n", "\r", '"'):
            yield number, cells
            before = cells[-1] if cells else ""
        elif len(cells) >= width and not _is_torn(cells[-1], before):
            tally.notes.append(UNENDED)
            yield number, cells
        else:
            tally.skip_bytes(max(0, size - sum(len(line.encode()) for line in lines.taken)), size)
            tally.notes.append(f"the file breaks off in line {number}: that row is not read")


def _is_torn(cell: str, before: str) -> bool:
    """True if the last cell of a table is a shorter number or time than the one above it."""
    return bool(_FIGURES.fullmatch(before)) and len(cell) < len(before)
