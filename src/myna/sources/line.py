"""LINE's saved chats: text files of phones and of the desktop, in any language.

Known from public parsers of such files and their test texts (English, Japanese, Chinese,
Thai); the words of the other languages are from memory. The form is the same in all:

    [LINE] Chat history with Ada                the chat; the desktop writes no such lines
    Saved on: 2024/05/01 12:00

    Wed, 5/1/2024                               or 2024/05/01(水), 2024.05.01 Wednesday, …
    12:01<TAB>Ada<TAB>tea?                      or 上午12:01, 12:01PM, 오후 12:01, …
    12:02<TAB><TAB>Bo joined the group.         a notice has no name, and often one tab only

- A text of several lines stands in double quotes. What looks like a message in them is text.
- The desktop separates by blanks, ``12:01 Ada tea?``. A name is then the longest beginning
  that all lines with its first word share; that it may be shorter is noted.
- In figures, the order of day and month is the one in which the weekdays are right.
- Years of the Buddhist era (2567) are converted. All times are local, of an unknown zone.
- Media are placeholders in brackets, on the desktop without them; calls begin with ``☎``.

Names are all that tells accounts apart. Of two people in a chat that is named after one,
the other is its exporter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import PurePath
from typing import NamedTuple

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import line_words as words
from myna.sources._shared import message_table
from myna.sources._shared.message_table import Attachment, ParsedMessage
from myna.sources._shared.text import head_lines, read_lines
from myna.sources._shared.text_records import Record, read_records
from myna.sources._shared.times import detect_day_first

TITLE = "LINE saved chat"
READS = ("text", "deleted", "attachments", "stickers", "voice", "calls", "system")

MAX_QUOTED_RECORDS = 50
"""Lines that look like messages within one text in quotes."""

MAX_DATES = 100_000
"""Dates from which the order of day and month is found."""

MAX_NAME_WORDS = 4
"""Words of a name, where only blanks separate it from the text."""

_BUDDHIST_ERA = 543
MOST_CERTAIN = 0.96
_HEADER = "[LINE]"


class _Day(NamedTuple):
    """A line with a date: year, and month and day in the order of the line."""

    year: int
    first: int
    second: int
    weekday: int | None
    is_year_first: bool


class _Line(NamedTuple):
    """The first line of a message: its time of day, its name (None for one tab), its text."""

    clock: str
    name: str | None
    text: str
    raw: str


class _Title(NamedTuple):
    """A line above the messages."""

    text: str


_Head = _Day | _Line | _Title


@dataclass
class _Layout:
    """The form of a file, found before its messages are read."""

    is_tabbed: bool = True
    days_first: bool = False
    names: list[str] = field(default_factory=list)  # of people, where blanks separate them


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by its title, or a date above lines of time, name and text."""
    lines = head_lines(file, 200)
    parsed = (_parse_head(line, True, is_tabbed=True) for line in lines)
    first = next(filter(None, parsed), None)
    if not isinstance(first, _Day | _Title):
        return None
    heads = [first, *parsed]
    days = sum(isinstance(head, _Day) for head in heads)
    tabbed = sum(isinstance(head, _Line) and head.name is not None for head in heads)
    if lines[0].startswith(_HEADER) and (days or len(lines) < 5):
        return Recognition("line", 0.96, "it has LINE's title and dates")
    if days and tabbed:
        return Recognition("line", 0.92, "below a date, lines are a time, a name and a text")
    spaced = sum(words.SPACED.fullmatch(line) is not None for line in lines)
    is_desktop = isinstance(first, _Day) and first.weekday is not None and "." in lines[0]
    if days and is_desktop and spaced:
        return Recognition("line", 0.88, "below a date, lines are a time, a name and a text")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order; all times are local, of an unknown zone.

    Raises:
        SourceError: the file holds no message of this format, or cannot be read.
    """
    layout = _survey(file, tally)
    if layout is None:
        raise SourceError(
            f"{file.location} is no saved chat of LINE: no line is a time, a name and a text; "
            "save the chat again, from the menu of the chat"
        )
    channel = _channel(file)
    authors: set[str] = set()
    messages = _messages(file, layout, channel, authors, tally)
    yield from message_table.to_tables(
        messages, "line", tally, zone_assumed=True, months_first=False
    )
    others = authors - {channel}
    if len(authors) == 2 and len(others) == 1:
        tally.me = others.pop()


def _channel(file: ChatFile) -> str:
    """The chat's name, from the title or else the file's name."""
    first = head_lines(file, 1)[0].strip()
    stem = PurePath(file.name).stem.strip()
    for text in (first, stem):
        if not text.startswith(_HEADER) and text == first:
            if (found := words.TITLES[0].fullmatch(text)) is not None:
                return found[1].strip()
            continue
        name = text.removeprefix(_HEADER).strip()
        for title in words.TITLES:
            if found := title.fullmatch(name):
                return found[1].strip()
        if name:
            return name
    return stem or "chat"


def _survey(file: ChatFile, tally: Tally) -> _Layout | None:
    """Find the form of the file; None for one that has no message of this format."""
    days: list[_Day] = []
    tabbed = spaced = 0
    has_title = head_lines(file, 1)[0].startswith(_HEADER)
    prefixes: Counter[str] = Counter()
    endless: list[str] = []  # the last line, if it has no end: its name may be cut off

    def take_endless(line: str) -> bool:
        endless.append(line)
        return True

    for _, line in read_lines(file, Tally(), take_endless):
        head = _parse_head(line, True, is_tabbed=True)
        if isinstance(head, _Day) and len(days) < MAX_DATES:
            days.append(head)
        elif isinstance(head, _Line):
            tabbed += 1
        elif match := words.SPACED.fullmatch(line):
            spaced += 1
            parts = match["text"].split(" ") if not endless else []
            for count in range(1, min(len(parts), MAX_NAME_WORDS + 1)):
                prefixes[" ".join(parts[:count])] += 1
    if not (tabbed or spaced or (has_title and not days)) or not (days or has_title):
        return None
    layout = _Layout(is_tabbed=tabbed >= spaced, days_first=_are_days_first(days, tally))
    if not layout.is_tabbed:
        layout.names = _names(prefixes, _channel(file))
        tally.notes.append("blanks separate names from texts: names may be longer than was read")
    return layout


def _are_days_first(days: list[_Day], tally: Tally) -> bool:
    """True if dates with the year last have the day before the month."""
    figures = [day for day in days if not day.is_year_first]
    right = Counter[bool]()
    for day in figures:
        for days_first in (True, False):
            when = _date(day, days_first)
            right[days_first] += when is not None and when.weekday() == day.weekday
    if right[True] != right[False]:
        return right[True] > right[False]
    days_first, is_certain = detect_day_first(f"{d.first}/{d.second}/{d.year}" for d in figures)
    if figures and not is_certain:
        tally.notes.append("dates such as 3/4/2020 were read as the third of April")
    return days_first


def _date(day: _Day, days_first: bool) -> date | None:
    """The date of a line; None for an impossible one."""
    is_swapped = days_first and not day.is_year_first
    month, number = (day.second, day.first) if is_swapped else (day.first, day.second)
    year = day.year - _BUDDHIST_ERA if day.year > 2400 else day.year
    try:
        return date(year, month, number)
    except ValueError:
        return None


def _names(prefixes: Counter[str], channel: str) -> list[str]:
    """The names of people, the longest first, where blanks separate them from texts."""
    names = [channel] if prefixes[channel] else []
    for word in [prefix for prefix in prefixes if " " not in prefix]:
        name = word
        while longer := next(
            (
                prefix
                for prefix in prefixes
                if prefixes[prefix] == prefixes[word] > 2
                and prefix.startswith(f"{name} ")
                and prefix.count(" ") == name.count(" ") + 1
            ),
            None,
        ):
            name = longer
        names.append(name)
    return sorted(names, key=len, reverse=True)


def _parse_head(line: str, is_after_blank: bool, *, is_tabbed: bool) -> _Head | None:
    """Parse a line that is a title or a date, or with which a message begins."""
    line = line.removeprefix("\ufeff").strip("\u200e\u200f\u202a\u202c")
    if match := (words.TABBED if is_tabbed else words.SPACED).fullmatch(line):
        name = match["name"] if is_tabbed else None
        return _Line(_clock(match), name, match["text"], line)
    if line.startswith(_HEADER) or words.TITLES[0].fullmatch(line):
        return _Title(line)
    match = words.YEAR_FIRST.fullmatch(line) or words.YEAR_LAST.fullmatch(line)
    if match is None or "\t" in line:
        return None
    label = words.WEEKDAY_MARKS.sub("", match["weekday"].strip()).casefold()
    weekday = words.WEEKDAYS.get(label)
    is_label = label.replace("-", "").isalpha() and len(match["weekday"].split()) <= 2
    if weekday is None and not (is_after_blank and is_label):
        return None
    fields = match.groupdict()
    first, second = fields.get("month") or fields["first"], fields.get("day") or fields["second"]
    return _Day(int(match["year"]), int(first), int(second), weekday, "month" in fields)


def _clock(match: re.Match[str]) -> str:
    """A time of day, in 24 hours."""
    hour = int(match["hour"])
    if half := match["before"] or match["after"]:
        hour = hour % 12 + words.HALVES[half.casefold()] if hour < 13 else hour
    return f"{hour:02}:{match['minute']}"


def _messages(
    file: ChatFile, layout: _Layout, channel: str, authors: set[str], tally: Tally
) -> Iterator[ParsedMessage]:
    day: str | None = None
    for record in _joined(_records(file, layout, tally)):
        head = record.head
        if isinstance(head, _Title):
            continue
        if isinstance(head, _Day):
            when = _date(head, layout.days_first)
            day = when.isoformat() if when else None
            if when is None:
                tally.skip("a day that cannot be read", f"line {record.number}")
            continue
        text = "\n".join([head.text, *record.lines]).rstrip("\n ")
        if record.is_last and _is_torn_text(text, record.is_open):
            tally.skip("message breaks off", f"line {record.number}")
            tally.notes.append(f"the file breaks off in the message of line {record.number}")
            continue
        if not layout.is_tabbed:
            is_torn = record.is_open and any(name.startswith(text) for name in layout.names)
            head, text = _split_name(head, text, layout.names)
            if is_torn or (record.is_open and head.name is None):
                tally.skip("message breaks off", f"line {record.number}")
                continue
        message = _message(head, _unquoted(text), channel, f"{day} {head.clock}" if day else None)
        if message.author and len(authors) < 3:
            authors.add(message.author)
        yield message
    if tally.read and day is None:
        tally.notes.append("no day is known: the messages have no times, only their order")


def _records(file: ChatFile, layout: _Layout, tally: Tally) -> Iterator[Record[_Head]]:
    is_first = True

    def parse(line: str, is_after_blank: bool) -> _Head | None:
        nonlocal is_first
        head = _parse_head(line, is_after_blank, is_tabbed=layout.is_tabbed)
        if head is None and is_first and line.strip():
            return _Title(line)  # the line of the title that says when the chat was saved
        is_first = is_first and (head is None or isinstance(head, _Title))
        return head

    def is_torn(line: str, record: Record[_Head] | None) -> bool:
        if record is None:  # a notice may have one tab; a name cut off has no more either
            text = line.partition("\t")[2]
            return layout.is_tabbed and "\t" not in text and not words.UNSENT.fullmatch(text)
        is_quoted = isinstance(record.head, _Line) and record.head.text.startswith('"')
        return words.TORN.fullmatch(line) is not None or (layout.is_tabbed and not is_quoted)

    return read_records(file, tally, parse, is_torn)


def _joined(records: Iterator[Record[_Head]]) -> Iterator[Record[_Head]]:
    """Join records that stand in the quotes of one text."""
    waiting: list[Record[_Head]] = []
    for record in records:
        waiting.append(record)
        while waiting and (done := _taken(waiting)):
            yield done
    while waiting:
        yield _taken(waiting, is_last=True) or waiting.pop(0)


def _taken(waiting: list[Record[_Head]], *, is_last: bool = False) -> Record[_Head] | None:
    """Take the first record, with those in its quotes; None if more must be read for that."""
    first = waiting[0]
    if not _opens_quote(first):
        return waiting.pop(0)
    for count, record in enumerate(islice(waiting, 1, None), 1):
        if _opens_quote(record) and not first.lines:
            return waiting.pop(0)
        lines = [line for line in (_raw(record.head), *record.lines) if line.strip()]
        if lines and lines[-1].rstrip().endswith('"') and "".join(lines).count('"') % 2:
            return _take_quoted(waiting, count + 1)
    if len(waiting) > MAX_QUOTED_RECORDS:
        return waiting.pop(0)
    if is_last and first.lines:  # only quoted texts have several lines: this one breaks off
        return _take_quoted(waiting, len(waiting))
    return waiting.pop(0) if is_last else None


def _take_quoted(waiting: list[Record[_Head]], count: int) -> Record[_Head]:
    """Take so many records as one message."""
    first, *others = waiting[:count]
    del waiting[:count]
    inner = [line for record in others for line in (_raw(record.head), *record.lines)]
    last = others[-1] if others else first
    return first._replace(lines=[*first.lines, *inner], is_open=last.is_open, is_last=last.is_last)


def _raw(head: _Head) -> str:
    """A head's line as it stands in the file, nearly."""
    if isinstance(head, _Line):
        return head.raw
    return head.text if isinstance(head, _Title) else f"{head.year}/{head.first}/{head.second}"


def _opens_quote(record: Record[_Head]) -> bool:
    """True if a message's text begins with a quote that is not closed in its lines."""
    if not isinstance(record.head, _Line) or not record.head.text.startswith('"'):
        return False
    text = "\n".join([record.head.text, *record.lines]).rstrip()
    return len(text) < 2 or not text.endswith('"')


def _unquoted(text: str) -> str:
    """A text of several lines without the quotes around it."""
    if "\n" in text and text.startswith('"') and text.endswith('"'):
        return text[1:-1].replace('""', '"')
    return text


def _is_torn_text(text: str, is_open: bool) -> bool:
    """True if the last text of a file breaks off visibly; `is_open`: its line has no end."""
    is_quote = text.startswith('"') and (len(text) < 2 or not text.endswith('"'))
    return is_quote or (is_open and text.startswith("[") and "]" not in text)


def _split_name(head: _Line, text: str, names: list[str]) -> tuple[_Line, str]:
    """Split name and text where a blank separates them."""
    for name in names:
        if text == name or text.startswith(f"{name} "):
            return head._replace(name=name), text[len(name) + 1 :]
    return head._replace(name=None), text


def _message(head: _Line, text: str, channel: str, sent_at: str | None) -> ParsedMessage:
    author, kind = (head.name or "").strip(), "text"
    files: tuple[Attachment, ...] = ()
    bracketed = words.BRACKETED.fullmatch(text)
    word = bracketed[1] if bracketed else text
    if unsent := words.UNSENT.fullmatch(text):
        name = (unsent["name"] or "").strip()
        author, kind, text = (author or ("" if name in words.YOU else name)), "deleted", ""
    elif not author:
        kind = "system"
    elif text.startswith("☎"):
        kind = "call"
    elif (media := words.PLACEHOLDERS.get(word)) and (bracketed or head.raw.count("\t") < 2):
        name = (bracketed[2] or "") if bracketed and media == "file" else ""
        files, text = (Attachment(media, name),), ""
    elif bracketed and word in words.OTHERS:
        kind = "system"
    return ParsedMessage(
        author=author, text=text, sent_at=sent_at, channel=channel, kind=kind, attachments=files
    )
