"""Journals and essays: Markdown, plain text, or JSON lines, all by one author.

No program makes these files, so the format is what people do:

- an entry a file, with its date in the file's name (`2024-05-01.md`, `2024-05-01 Rain.md`)
  or in front matter between two lines of `---` (`date:`, `title:` or `prompt:`, `author:`),
- many entries a file, each under a line that is a date: a heading (`## 1 May 2024: Rain`),
  a line by itself (`Wednesday, 1 May 2024`), or a line's begin (`2024-05-01: Rain.`),
- essays, whose first line is `Prompt: …` or a heading, or the tags that myna itself
  writes, `[ESSAY] prompt` and `[JOURNAL] date`,
- JSON lines with a `text` (or `entry`), a `date`, perhaps a `prompt` (or `title`) and an
  `author`, and nothing that only a chat has.

Each entry is one message of kind ``entry``; `thread` holds its prompt or title. The author
is "Me" unless the file names one. A plain text without dates is recognised as an essay
only by its prompt; with `--source journal` it is one entry.

If the last line has no line break, the file may be cut off there: the entry is read only if
the line looks like the end of a sentence. Assumed: pictures (`![…](name)`, Obsidian's
`![[name]]`) are attachments, all other Markdown is the author's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import msgspec
import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table, rows
from myna.sources._shared.json_objects import decode_repaired
from myna.sources._shared.message_table import Attachment, ParsedMessage, attachment_kind
from myna.sources._shared.text import detect_unicode, head_lines, head_text, read_lines

TITLE = "Journal or essays (Markdown, text, JSON lines)"
READS = ("entries", "threads", "attachments")

_OBJECT = msgspec.json.Decoder(dict[str, Any])
_TEXTS = ("text", "entry", "content", "body")
_TITLES = ("prompt", "title")
_CHAT_ONLY = {"id", "channel", "space", "thread", "reply_to", "is_bot", "edited", "kind"}
_ENDINGS = (".md", ".markdown", ".txt", ".text")

_WEEKDAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"[0-3]?\d(?:st|nd|rd|th)?"
_DATE = (
    rf"(?:{_WEEKDAY}[.,]{{0,2}} )?"
    rf"(?P<date>\d{{4}}[-/.][01]?\d[-/.][0-3]?\d|{_DAY} (?:of )?{_MONTH},? \d{{4}}"
    rf"|{_MONTH} {_DAY},? \d{{4}}|[0-3]?\d[-/.][0-3]?\d[-/.]\d{{4}})(?![A-Za-z0-9/-])"
    r"(?:(?:,? | at )(?P<time>[0-2]?\d:\d\d(?::\d\d)?(?: ?[ap]\.?m\.?)?))?"
    rf"(?:,? \(?{_WEEKDAY}\)?)?"
)
_DATE_HEADING = re.compile(
    rf"(?:\#{{1,6}}[ \t]{{1,4}}|\[JOURNAL\] ?)[*_\[]{{0,3}}{_DATE}(?P<title>.*)", re.IGNORECASE
)
_DATE_LINE = re.compile(
    rf"[*_\[]{{0,3}}{_DATE}[*_\]]{{0,3}}(?P<colon>:[*_]{{0,3}})?(?:(?<=[:*_])[ \t]+(?P<text>.*))?",
    re.IGNORECASE,
)
_ESSAY = re.compile(r"\[ESSAY\]\s*(?P<prompt>.*)")
_PROMPT = re.compile(r"[*_]{0,3}Prompt:[*_]{0,3}\s*(?P<prompt>\S.*)", re.IGNORECASE)
_HEADING = re.compile(r"#{1,6}\s+(?P<prompt>\S.*)")
_FIELD = re.compile(r"(?P<name>[A-Za-z][\w-]{0,40})\s*:(?:\s+(?P<value>.*))?")
_DAY_IN_NAME = re.compile(
    r"(?P<year>\d{4})(?P<mark>[-_]?)(?P<month>0[1-9]|1[0-2])(?P=mark)(?P<day>0[1-9]|[12]\d|3[01])"
    r"(?:[ _-][^.]*)?\.\w+"
)
_COMPACT_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)")
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)\b|\bof ", re.IGNORECASE)
_PICTURE = re.compile(r"!\[[^\[\]\n]*\]\(([^()\s]+)\)|!\[\[([^\[\]|\n]+)(?:\|[^\[\]\n]*)?\]\]")
_GAP = re.compile(r"\n[ \t\n]*\n")
_SENTENCE = re.compile(r"\w[\"'”’»)\]*_]*[.!?…。！？][\"'”’»)\]*_]*\Z")

MAX_FRONT_MATTER_LINES = 200
"""A longer block is not front matter."""

Lines = Iterator[tuple[int, str]]
"""Lines of a file with their line numbers."""


@dataclass
class _Entry:
    """An entry while its lines are collected."""

    number: int  # of its first line
    opening: str = ""  # its first line, with a date or a tag
    date: str | None = None
    prompt: str | None = None
    lines: list[str] = field(default_factory=list)


MOST_CERTAIN = 0.7


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by dates above entries or in the file name, or by prompts."""
    if head_text(file).lstrip("\ufeff \r\n\t").startswith("{"):
        return _recognise_json(file)
    if not file.name.lower().endswith(_ENDINGS):
        return None
    fields, rest = _front_matter(iter(enumerate(head_lines(file, 1000), 1)), Tally())
    if fields.keys() & {"date", "prompt"}:
        return Recognition("journal", 0.7, "its front matter has a date or a prompt")
    first, *entries = _entries(rest, _Entry(1))
    filled = [line for line in first.lines if line.strip()]
    if filled and _PROMPT.match(filled[0]):
        return Recognition("journal", 0.6, "it begins with a prompt")
    if entries:
        openings = [entry.opening for entry in entries]
        only_title = all(_HEADING.match(line) for line in filled)  # before the first date
        headings = sum(opening.startswith("#") for opening in openings)
        confidence = 0.3 * only_title + 0.1 * min(2, len(openings)) + 0.1 * (headings > 1)
        if any(opening.startswith("[") for opening in openings):
            confidence = 0.7
        if confidence >= 0.3:
            because = f"its entries begin with such as '{openings[0][:40]}'"
            return Recognition("journal", confidence, because)
    text = "".join(filled)
    if _day_in_name(file.name) and sum(map(str.isalpha, text)) > 0.6 * len(text):
        return Recognition("journal", 0.3, "it is a text with a date in its name")
    return None


def _recognise_json(file: ChatFile) -> Recognition | None:
    """Recognise JSON lines with dates and texts, and no column that only a chat has."""
    authors = set()
    texts = 0
    for line in head_text(file).removeprefix("\ufeff").split("\n")[:50]:
        try:
            values = _OBJECT.decode(line)
        except (ValueError, RecursionError):
            continue
        columns = rows.match_columns([*values, "text"]) or {"author": "author"}
        date, author = values.get("date"), values.get("author")
        has_day = date is None or (isinstance(date, str) and re.fullmatch(_DATE, date, re.I))
        if columns["author"] != "author" or _CHAT_ONLY & columns.keys() or "date" not in values:
            return None
        if author is not None and not (has_day and isinstance(author, str)):
            return None
        authors.add(author)
        texts += _text(values) is not None
    if texts and len(authors) == 1:
        return Recognition("journal", 0.7, "its lines have dates and texts by one author")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The entries, in the file's order.

    Raises:
        SourceError: the file has no text, or cannot be read.
    """
    if b"\0" in file.head[:1000].replace(b"\0\0", b"") and detect_unicode(file.head) == "utf-8":
        raise SourceError(f"{file.location} is no journal: it is a binary file; give a text file")
    is_json = head_text(file).lstrip("\ufeff \r\n\t").startswith("{")
    messages = (_json_entries if is_json else _text_entries)(file, tally)
    yield from message_table.to_tables(messages, "journal", tally)


def _text_entries(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    fields, rest = _front_matter(read_lines(file, tally, _is_sentence), tally)
    prompt = next((fields[title] for title in _TITLES if title in fields), None)
    first = _Entry(1, date=fields.get("date") or _day_in_name(file.name), prompt=prompt)
    has_entries = False
    for entry in _entries(rest, first):
        if tally.unread_bytes:  # in its last line, behind which nothing comes
            tally.skip("entry that breaks off", f"line {entry.number}")
            break
        _extract_prompt(entry)
        if sent := _sent_entry(entry, fields.get("author"), file.folder_name, tally):
            has_entries = True
            yield sent
    if not has_entries and not tally.skipped and not tally.unread_bytes:
        raise SourceError(f"{file.location} is no journal: it has no text; give one that has some")


def _json_entries(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    has_entries = False
    for number, line in read_lines(file, tally, _is_object):
        if not line.strip():
            continue
        try:
            values = decode_repaired(line.encode(), _OBJECT)
        except (ValueError, RecursionError) as error:
            tally.skip("damaged line", f"line {number}: {error}")
            continue
        if (text := _text(values)) is None:
            tally.skip("no text", f"line {number}: none of {', '.join(_TEXTS)}")
            continue
        has_entries = True
        date, author = values.get("date"), values.get("author")
        entry = _Entry(
            number,
            opening=line,
            date=str(date) if isinstance(date, str | int | float) else None,
            prompt=next((p for t in _TITLES if isinstance(p := values.get(t), str)), None),
            lines=[text],
        )
        if sent := _sent_entry(entry, author if isinstance(author, str) else None, "", tally):
            yield sent
    if not has_entries and not tally.unread_bytes:
        raise SourceError(
            f"{file.location} is no journal of JSON lines: no line has a text; give each line an "
            'object such as {"date": "2024-01-31", "text": "A quiet day."}'
        )


def _sent_entry(
    entry: _Entry, author: str | None, folder: str, tally: Tally
) -> ParsedMessage | None:
    """Convert an entry to a message; None if it has neither text nor pictures."""
    text = "\n".join(entry.lines).strip()
    names = [re.split(r"[/\\]", match[1] or match[2])[-1] for match in _PICTURE.finditer(text)]
    if names:
        text = _GAP.sub("\n\n", _PICTURE.sub("", text)).strip()
    if not text and not names:
        if opening := entry.opening or entry.prompt:
            tally.skip("entry without words", f"line {entry.number}: {opening}")
        return None
    author = (author or "").strip()
    if not author:
        tally.me = "me"
    return ParsedMessage(
        author=author or "Me",
        author_id=author or "me",
        text=text,
        sent_at=_table_date(entry.date) if entry.date else None,
        channel=folder or "journal",
        thread=(entry.prompt or "").strip() or None,
        kind="entry",
        attachments=tuple(Attachment(attachment_kind(name), name) for name in names),
    )


def _front_matter(lines: Lines, tally: Tally) -> tuple[dict[str, str], Lines]:
    """The fields of the front matter, and the lines behind it (all, if there is none)."""
    taken = list(islice(lines, 1))
    if not taken or taken[0][1].rstrip() != "---":
        return {}, chain(taken, lines)
    fields: dict[str, str] = {}
    for number, line in islice(lines, MAX_FRONT_MATTER_LINES):
        taken.append((number, line))
        if line.rstrip() in ("---", "..."):
            return fields, lines
        if match := _FIELD.fullmatch(line):
            value = (match["value"] or "").strip().strip("\"'")
            if value:
                fields[match["name"].lower()] = value
        elif line.strip() and line[0] not in " \t-#":
            return {}, chain(taken, lines)
    if len(taken) > MAX_FRONT_MATTER_LINES:
        return {}, chain(taken, lines)
    tally.skip("front matter that does not end", f"line {taken[-1][0]}")
    return {}, lines


def _entries(lines: Lines, entry: _Entry) -> Iterator[_Entry]:
    """Split lines into entries, the first of which is `entry`."""
    for number, line in lines:
        if next_entry := _start_entry(number, line.rstrip()):
            yield entry
            entry = next_entry
        else:
            entry.lines.append(line)
    yield entry


def _start_entry(number: int, line: str) -> _Entry | None:
    """Start a new entry if this line begins one."""
    if headed := _DATE_HEADING.fullmatch(line):
        title = headed["title"].strip(" \t:—–-*_[]#")
        return _Entry(number, line, _date_of(headed), title or None)
    if bare := _DATE_LINE.fullmatch(line):
        if bare["text"] and not bare["colon"]:
            return None
        return _Entry(number, line, _date_of(bare), lines=[bare["text"] or ""])
    if essay := _ESSAY.fullmatch(line):
        return _Entry(number, line, prompt=essay["prompt"])
    return None


def _extract_prompt(entry: _Entry) -> None:
    """Move the prompt out of the entry's first line, if it is there."""
    while entry.lines and not entry.lines[0].strip():
        del entry.lines[0]
    first = entry.lines[0].strip() if entry.lines else ""
    match = _PROMPT.fullmatch(first) or _HEADING.fullmatch(first)
    if match and entry.prompt in (None, match["prompt"]):
        entry.prompt = match["prompt"]
        del entry.lines[0]


def _date_of(match: re.Match[str]) -> str:
    return f"{match['date']} {match['time']}" if match["time"] else match["date"]


def _table_date(date: str) -> str:
    """A date in a form that message tables accept."""
    if _COMPACT_DATE.fullmatch(date):
        return _COMPACT_DATE.sub(r"\1-\2-\3", date)
    return _ORDINAL.sub("", date)


def _day_in_name(name: str) -> str | None:
    """The day in a file name, or None."""
    match = _DAY_IN_NAME.fullmatch(name)
    return f"{match['year']}-{match['month']}-{match['day']}" if match else None


def _text(values: Mapping[str, Any]) -> str | None:
    return next((text for key in _TEXTS if isinstance(text := values.get(key), str)), None)


def _is_sentence(line: str) -> bool | None:
    """True if a line looks complete: it ends a sentence, with all brackets closed; or None."""
    pairs = (("(", ")"), ("[", "]"), ("“", "”"))
    is_closed = all(line.count(begin) == line.count(end) for begin, end in pairs)
    is_sentence = is_closed and _SENTENCE.search(line.rstrip()[-100:]) is not None
    return True if is_sentence else None


def _is_object(line: str) -> bool:
    try:
        _OBJECT.decode(line)
    except (ValueError, RecursionError):
        return False
    return True
