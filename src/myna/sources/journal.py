"""Journals and essays: Markdown, plain text, or JSON lines, all by one author.

No program has made these files, so there is no format but what people do:

- an entry a file, with its date in the file's name (`2024-05-01.md`, `2024-05-01 Rain.md`)
  or in front matter between two lines of `---` (`date:`, `title:` or `prompt:`, `author:`),
- many entries a file, each under a line that is a date: a heading (`## 1 May 2024: Rain`),
  a line by itself (`Wednesday, 1 May 2024`), or a line's begin (`2024-05-01: Rain.`),
- essays, whose first line is `Prompt: …`, or a heading; or the signs that myna itself
  sets before them, `[ESSAY] prompt` and `[JOURNAL] date`,
- JSON lines with a `text` (or `entry`), a `date`, perhaps a `prompt` (or `title`) and an
  `author`, and nothing that only a chat has.

Each entry is one message of kind ``entry``. The message table has no column for what an
entry was written for, so `thread` holds it: the prompt, or the entry's title. Who wrote
it is "Me", unless the file says. A pure text without any date is recognised as an essay
only by its prompt; read on demand (`--source journal`), it is one entry.

The last line of such a file often lacks its end. The file may then be cut off there, so
the entry is read only if the line looks like the end of a sentence, which a cut need not
spare. Assumed: pictures (`![…](name)`, Obsidian's `![[name]]`) are attachments, all other
Markdown is the author's.
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
from myna.sources._shared.text import detect_encoding, head_lines, head_text, read_lines

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
_HEADED = re.compile(
    rf"(?:\#{{1,6}}[ \t]{{1,4}}|\[JOURNAL\] ?)[*_\[]{{0,3}}{_DATE}(?P<title>.*)", re.IGNORECASE
)
_BARE = re.compile(
    rf"[*_\[]{{0,3}}{_DATE}[*_\]]{{0,3}}(?P<colon>:[*_]{{0,3}})?(?:(?<=[:*_])[ \t]+(?P<text>.*))?",
    re.IGNORECASE,
)
_ESSAY = re.compile(r"\[ESSAY\]\s*(?P<prompt>.*)")
_PROMPT = re.compile(r"[*_]{0,3}Prompt:[*_]{0,3}\s*(?P<prompt>\S.*)", re.IGNORECASE)
_HEADING = re.compile(r"#{1,6}\s+(?P<prompt>\S.*)")
_FIELD = re.compile(r"(?P<name>[A-Za-z][\w-]{0,40})\s*:(?:\s+(?P<value>.*))?")
_NAMED_DAY = re.compile(
    r"(?P<year>\d{4})(?P<mark>[-_]?)(?P<month>0[1-9]|1[0-2])(?P=mark)(?P<day>0[1-9]|[12]\d|3[01])"
    r"(?:[ _-][^.]*)?\.\w+"
)
_FIGURES = re.compile(r"(\d{4})(\d\d)(\d\d)")
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)\b|\bof ", re.IGNORECASE)
_PICTURE = re.compile(r"!\[[^\[\]\n]*\]\(([^()\s]+)\)|!\[\[([^\[\]|\n]+)(?:\|[^\[\]\n]*)?\]\]")
_GAP = re.compile(r"\n[ \t\n]*\n")
_SENTENCE = re.compile(r"\w[\"'”’»)\]*_]*[.!?…。！？][\"'”’»)\]*_]*\Z")

LONGEST_FRONT = 200
"""Lines of front matter; where more follow, it is none."""

Lines = Iterator[tuple[int, str]]
"""Lines of a file with their numbers."""


@dataclass
class _Entry:
    """An entry as it is gathered."""

    number: int  # of its first line
    begin: str = ""  # what it began with: a date, or a sign
    date: str | None = None
    prompt: str | None = None
    lines: list[str] = field(default_factory=list)


def recognise(file: ChatFile) -> Recognition | None:
    """By dates that entries stand under, or the file is named after; by prompts."""
    if head_text(file).lstrip("\ufeff \r\n\t").startswith("{"):
        return _recognise_json(file)
    if not file.name.lower().endswith(_ENDINGS):
        return None
    about, rest = _front(iter(enumerate(head_lines(file, 1000), 1)), Tally())
    if about.keys() & {"date", "prompt"}:
        return Recognition("journal", 0.7, "its front matter has a date or a prompt")
    first, *entries = _entries(rest, _Entry(1))
    words = [line for line in first.lines if line.strip()]
    if words and _PROMPT.match(words[0]):
        return Recognition("journal", 0.6, "it begins with a prompt")
    if entries:
        signs = [entry.begin for entry in entries]
        starts = all(_HEADING.match(line) for line in words)  # with a date, but for a title
        headings = sum(sign.startswith("#") for sign in signs)
        confidence = 0.3 * starts + 0.1 * min(2, len(signs)) + 0.1 * (headings > 1)
        if any(sign.startswith("[") for sign in signs):
            confidence = 0.7
        if confidence >= 0.3:
            because = f"its entries begin with such as '{signs[0][:40]}'"
            return Recognition("journal", confidence, because)
    text = "".join(words)
    if _named_day(file.name) and sum(map(str.isalpha, text)) > 0.6 * len(text):
        return Recognition("journal", 0.3, "it is a text that is named after a day")
    return None


def _recognise_json(file: ChatFile) -> Recognition | None:
    """By lines that have dates and texts, and nothing that only a chat has."""
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
        SourceError: the file holds no words, or cannot be read.
    """
    if b"\0" in file.head[:1000].replace(b"\0\0", b"") and detect_encoding(file.head) == "utf-8":
        raise SourceError(f"{file.location} is no journal: it is no text; give one that is")
    is_json = head_text(file).lstrip("\ufeff \r\n\t").startswith("{")
    found = _json_entries(file, tally) if is_json else _text_entries(file, tally)
    yield from message_table.to_tables(found, "journal", tally)


def _text_entries(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    about, rest = _front(read_lines(file, tally, _is_sentence), tally)
    prompt = next((about[title] for title in _TITLES if title in about), None)
    first = _Entry(1, date=about.get("date") or _named_day(file.name), prompt=prompt)
    found = False
    for entry in _entries(rest, first):
        if tally.unread_bytes:  # in its last line, behind which nothing comes
            tally.skip("entry that breaks off", f"line {entry.number}")
            break
        _take_prompt(entry)
        sent = _sent_entry(entry, about.get("author"), file.folder_name, tally)
        found = found or sent is not None
        if sent:
            yield sent
    if not found and not tally.skipped and not tally.unread_bytes:
        raise SourceError(f"{file.location} is no journal: it has no words; give one that has some")


def _json_entries(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    found = False
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
        found = True
        date, author = values.get("date"), values.get("author")
        entry = _Entry(
            number,
            begin=line,
            date=str(date) if isinstance(date, str | int | float) else None,
            prompt=next((p for t in _TITLES if isinstance(p := values.get(t), str)), None),
            lines=[text],
        )
        if sent := _sent_entry(entry, author if isinstance(author, str) else None, "", tally):
            yield sent
    if not found and not tally.unread_bytes:
        raise SourceError(
            f"{file.location} is no journal of JSON lines: no line has a text; give each line an "
            'object such as {"date": "2024-01-31", "text": "A quiet day."}'
        )


def _sent_entry(
    entry: _Entry, author: str | None, folder: str, tally: Tally
) -> ParsedMessage | None:
    """The message that an entry is, if it has words or pictures."""
    text = "\n".join(entry.lines).strip()
    names = [re.split(r"[/\\]", found[1] or found[2])[-1] for found in _PICTURE.finditer(text)]
    if names:
        text = _GAP.sub("\n\n", _PICTURE.sub("", text)).strip()
    if not text and not names:
        if sign := entry.begin or entry.prompt:
            tally.skip("entry without words", f"line {entry.number}: {sign}")
        return None
    author = (author or "").strip()
    if not author:
        tally.me = "me"
    return ParsedMessage(
        author=author or "Me",
        author_id=author or "me",
        text=text,
        sent_at=_moment(entry.date) if entry.date else None,
        channel=folder or "journal",
        thread=(entry.prompt or "").strip() or None,
        kind="entry",
        attachments=tuple(Attachment(attachment_kind(name), name) for name in names),
    )


def _front(found: Lines, tally: Tally) -> tuple[dict[str, str], Lines]:
    """The fields of front matter, and the lines behind it: all, where there is none."""
    taken = list(islice(found, 1))
    if not taken or taken[0][1].rstrip() != "---":
        return {}, chain(taken, found)
    fields: dict[str, str] = {}
    for number, line in islice(found, LONGEST_FRONT):
        taken.append((number, line))
        if line.rstrip() in ("---", "..."):
            return fields, found
        if given := _FIELD.fullmatch(line):
            value = (given["value"] or "").strip().strip("\"'")
            if value:
                fields[given["name"].lower()] = value
        elif line.strip() and line[0] not in " \t-#":
            return {}, chain(taken, found)
    if len(taken) > LONGEST_FRONT:
        return {}, chain(taken, found)
    tally.skip("front matter that does not end", f"line {taken[-1][0]}")
    return {}, found


def _entries(found: Lines, entry: _Entry) -> Iterator[_Entry]:
    """The entry that lines begin in the midst of, and those that begin among them."""
    for number, line in found:
        if begun := _begun(number, line.rstrip()):
            yield entry
            entry = begun
        else:
            entry.lines.append(line)
    yield entry


def _begun(number: int, line: str) -> _Entry | None:
    """The entry that begins with this line, if one does."""
    if headed := _HEADED.fullmatch(line):
        title = headed["title"].strip(" \t:—–-*_[]#")
        return _Entry(number, line, _date(headed), title or None)
    if bare := _BARE.fullmatch(line):
        if bare["text"] and not bare["colon"]:
            return None
        return _Entry(number, line, _date(bare), lines=[bare["text"] or ""])
    if essay := _ESSAY.fullmatch(line):
        return _Entry(number, line, prompt=essay["prompt"])
    return None


def _take_prompt(entry: _Entry) -> None:
    """Take the prompt out of the entry's first line, if it is there."""
    while entry.lines and not entry.lines[0].strip():
        del entry.lines[0]
    first = entry.lines[0].strip() if entry.lines else ""
    given = _PROMPT.fullmatch(first) or _HEADING.fullmatch(first)
    if given and entry.prompt in (None, given["prompt"]):
        entry.prompt = given["prompt"]
        del entry.lines[0]


def _date(found: re.Match[str]) -> str:
    return f"{found['date']} {found['time']}" if found["time"] else found["date"]


def _moment(date: str) -> str:
    """A date in a form that the message table takes."""
    if _FIGURES.fullmatch(date):
        return _FIGURES.sub(r"\1-\2-\3", date)
    return _ORDINAL.sub("", date)


def _named_day(name: str) -> str | None:
    """The day that a file is named after."""
    named = _NAMED_DAY.fullmatch(name)
    return f"{named['year']}-{named['month']}-{named['day']}" if named else None


def _text(values: Mapping[str, Any]) -> str | None:
    return next((text for key in _TEXTS if isinstance(text := values.get(key), str)), None)


def _is_sentence(line: str) -> bool:
    """Whether a line seems to end where its author ended it."""
    pairs = (("(", ")"), ("[", "]"), ("“", "”"))
    is_closed = all(line.count(begin) == line.count(end) for begin, end in pairs)
    return is_closed and _SENTENCE.search(line.rstrip()[-100:]) is not None


def _is_object(line: str) -> bool:
    try:
        _OBJECT.decode(line)
    except (ValueError, RecursionError):
        return False
    return True
