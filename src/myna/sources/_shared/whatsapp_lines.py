"""The lines of WhatsApp's export: the beginnings of messages, and their content.

A beginning has one of several formats, with dates and times in any language. The content
may be more than a person's text.
"""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise
from typing import NamedTuple

import polars as pl

from myna.sources._shared import whatsapp_formats as forms
from myna.sources._shared import whatsapp_words as words
from myna.sources._shared.dates_in_words import to_gregorian
from myna.sources._shared.message_table import Attachment, Mention, attachment_kind

EARLIEST_YEAR = 2009
"""The year of WhatsApp's first version."""

# Rust's regular expressions, which take linear time. None of them holds a nested group that
# can match the same characters in two ways.
_FIGURE = "[0-9٠-٩۰-۹०-९০-৯]"
_MARKS = f"[{forms.DIRECTION_MARKS}]*"
_BLANK = "[ \u00a0\u202f\u2009]"
_BETWEEN = f"[\u200e\u200f]?[-./年月]{_BLANK}?[\u200e\u200f]?"
_DATE = (
    rf"(?<date>[HR]?{_FIGURE}{{1,4}}{_BETWEEN}{_FIGURE}{{1,2}}{_BETWEEN}[HR]?{_FIGURE}{{1,4}}"
    rf"(?:\.|日| ?г\.?| BE)?)"
)
# With blanks: Croatian and its like, where nothing else stands between the time and the name.
_SPACED_DATE = rf"(?<date>{_FIGURE}{{1,2}}\.{_BLANK}{_FIGURE}{{1,2}}\.{_BLANK}{_FIGURE}{{2,4}}\.)"
_WORD = "[^0-9٠-٩۰-۹०-९০-৯ \u00a0\u202f\u2009\\[\\]:/,،-]+"
_BEFORE = f"(?<before>{_WORD}){_BLANK}?"
_CLOCK = (
    rf"(?<hour>{_FIGURE}{{1,2}})[:.](?<minute>{_FIGURE}{{2}})(?:[:.](?<second>{_FIGURE}{{2}}))?"
)
_AFTER = f"{_BLANK}?(?<after>{_WORD}(?:{_BLANK}{_WORD}){{0,3}})"
_COMMA = f"{_MARKS}[,،]?{_BLANK}*{_MARKS}"
ANY_WORDS = "words"
_TIMES = {
    "24 hours": _CLOCK,
    "a word before": f"{_BEFORE}{_CLOCK}",
    "a word behind": f"{_CLOCK}{_AFTER}",
    ANY_WORDS: f"(?:{_BEFORE})?{_CLOCK}(?:{_AFTER})?",
}


class LineFormat(NamedTuple):
    """The format of the first lines of messages in a file."""

    layout: str
    hours: str


LINE_FORMATS = {
    LineFormat(layout, hours): f"^{_MARKS}{begin}{first}{_COMMA}{second}{end}(?<rest>.*)$"
    for hours, time in _TIMES.items()
    for layout, begin, first, second, end in (
        ("dash", "", _DATE, time, f"{_BLANK}[-–]{_BLANK}"),
        ("brackets", rf"\[{_MARKS}", _DATE, time, rf"\]{_BLANK}?"),
        ("dash, time first", "", time, _DATE, f"{_BLANK}[-–]{_BLANK}"),
        ("brackets, time first", rf"\[{_MARKS}", time, _DATE, rf"\]{_BLANK}?"),
        ("colon", "", _DATE, time, f":{_BLANK}"),
        ("blank", "", _SPACED_DATE, time, _BLANK),
    )
}
"""Patterns of the first line of a message. A file has one of them throughout, so that a line of
another format is text that somebody copied."""

FORMAT_SAMPLE_LINES = 2_000
"""Lines from which a file's format is detected."""

_ANY_FORMAT = [
    re.compile(pattern.replace("(?<", "(?P<"))
    for form, pattern in LINE_FORMATS.items()
    if form.hours == ANY_WORDS
]

DateOrder = tuple[int, int, int]
"""The positions of year, month and day in a date."""

DATE_ORDERS: dict[DateOrder, str] = {(2, 1, 0): "day", (2, 0, 1): "month", (0, 1, 2): "year"}
"""The known orders, the likeliest first, with the name of their first field."""


def may_begin_message(line: str) -> bool:
    """True for a line that has one of the formats; the words beside its time may be no words."""
    return any(pattern.match(line) for pattern in _ANY_FORMAT)


def detect_line_format(lines: pl.Series) -> LineFormat | None:
    """The format of most of the first lines; None if no line has any."""
    for some in (lines.head(FORMAT_SAMPLE_LINES), lines.slice(FORMAT_SAMPLE_LINES)):
        likely = [
            form
            for form, pattern in LINE_FORMATS.items()
            if form.hours == ANY_WORDS and some.str.contains(pattern).any()
        ]
        if likely and (layout := _commonest(some, likely)):
            return _commonest(some, [form for form in LINE_FORMATS if form.layout == layout.layout])
    return None


def _commonest(lines: pl.Series, forms: list[LineFormat]) -> LineFormat | None:
    """The format of most lines, the first of several; None if no line has any."""
    counts = {form: int(parse_lines(lines, form)["begins"].sum()) for form in forms}
    best = max(forms, key=lambda form: counts[form])
    return best if counts[best] else None


def parse_lines(lines: pl.Series, form: LineFormat) -> pl.DataFrame:
    """Parse lines by a format.

    Returns:
        Columns line, begins (True for a message's first line; the next are null for others),
        date, time (seconds since midnight, null if invalid) and rest (the text behind them).
    """
    parsed = lines.str.extract_groups(LINE_FORMATS[form]).struct.unnest()
    none = pl.lit(None, pl.String)
    parsed = parsed.with_columns(none.alias(w) for w in ("before", "after") if w not in parsed)
    halves = {
        word: forms.half_of_day(word)
        for side in ("before", "after")
        for word in parsed[side].unique().drop_nulls()
    }
    unknown = [word for word, half in halves.items() if half is None]
    later = [word for word, half in halves.items() if half == "p"]
    timed = [word for word, half in halves.items() if half]
    parsed = parsed.with_columns(
        _number(parsed[part]).alias(part) for part in ("hour", "minute", "second")
    )
    hour = pl.col("hour")
    either = [pl.col(side).fill_null("") for side in ("before", "after")]
    is_half = pl.any_horizontal(side.is_in(timed) for side in either) & (hour <= 12)
    is_later = pl.any_horizontal(side.is_in(later) for side in either)
    hour = pl.when(is_half).then(hour % 12 + 12 * is_later).otherwise(hour)
    minute, second = pl.col("minute"), pl.col("second").fill_null(0)
    is_valid = (hour < 24) & (minute < 60) & (second < 61)
    is_word = pl.any_horizontal(side.is_in(unknown) for side in either)
    return parsed.select(
        line=lines,
        begins=pl.col("date").is_not_null() & ~is_word,
        date="date",
        time=pl.when(is_valid).then((hour * 60 + minute) * 60 + second),
        rest="rest",
    )


def _number(figures: pl.Series) -> pl.Series:
    """Parse figures of any script."""
    number = figures.cast(pl.Int64, strict=False)
    if number.null_count() == figures.null_count():
        return number
    known = {text: int(text) for text in figures.unique().drop_nulls()}
    return figures.replace_strict(known, default=None, return_dtype=pl.Int64)


def detect_date_order(dates: list[str]) -> tuple[DateOrder, bool, bool]:
    """Detect the order of year, month and day in dates; True if it is clear, True if certain."""
    dated = [date_numbers(text) for text in dates]
    american = any(re.match(r"[1-9]/\d{1,2}/\d\d$", text) for text in dates)
    readings = []
    for order in sorted(DATE_ORDERS, key=lambda order: american and DATE_ORDERS[order] != "month"):
        read = [to_date(numbers, order) for numbers in dated]
        known = [day for day in read if day is not None and day.year >= EARLIEST_YEAR]
        turns = sum(a > b for a, b in pairwise(known))
        changes = sum(a.day != b.day for a, b in pairwise(known))
        readings.append(((len(read) - len(known), turns, -changes), order, read))
    best = min(readings, key=lambda reading: reading[0])
    others = [(score, read) for score, order, read in readings if order != best[1]]
    # Hardly any language has a year of two figures in front.
    rivals = [(score, read) for score, order, read in readings if order[1:] != (1, 2)]
    is_clear = all(score > best[0] or read == best[2] for score, read in rivals)
    return best[1], is_clear, all(score[0] > best[0][0] for score, _ in others)


def date_numbers(text: str) -> tuple[int, int, int]:
    """A date's three numbers as written, with years of Japan's eras converted."""
    first, second, third = [int(number) for number in re.findall(r"\d+", text)][:3]
    for era, before in (("H", 1988), ("R", 2018)):
        if text.startswith(era):
            first += before
        elif era in text:
            third += before
    return first, second, third


def to_date(numbers: tuple[int, int, int], order: DateOrder) -> date | None:
    """The date, or None if there is no such day."""
    year, month, day = (numbers[position] for position in order)
    if year < 100:
        year += 2000
    day_ = to_gregorian(year, month, day)
    return day_ if day_ and day_.year >= 1970 else None


_NUMBER = re.compile(r"\+?[\d ()./-]{6,30}")
_QUOTES = re.compile('["“”„«»「」]')
_MENTION = re.compile(
    "(?<![\\w.])@(?:\u2068([^\u2068\u2069\n]{1,100})\u2069|(\\+?\\d{7,15})(?!\\d))"
)
_NUMBERED = re.compile(r"\d{8}-")
_FILE_ATTACHED = re.compile(r"(.{1,300}) \(([^()]{1,60})\)\s*")
_NAMED_BEFORE = re.compile(r"(?:([\s\S]*)\s)??[\u200e\u200f]?(\S[^\n<>]*\.\w{2,4})[\s\u200e]*")
_EXTENSION = re.compile(r".*\.\w{0,8}")
_MAP_LINK = re.compile(r"(.{0,300}?): ?https://(?:maps\.google\.com/\?q=|foursquare\.com/)\S*\s*")
_DOCUMENTS = ("csv", "doc", "docx", "pdf", "ppt", "pptx", "rtf", "txt", "xls", "xlsx", "zip")


class Content(NamedTuple):
    """The content of a message: its kind, text, files and mentions."""

    kind: str
    text: str
    edited: bool = False
    files: tuple[Attachment, ...] = ()
    mentions: tuple[Mention, ...] = ()


def parse_author(raw: str) -> tuple[str, str] | None:
    """The display name and the key of an account, or None if this is no name."""
    name = forms.normalize(raw)
    if not name or len(name) > 100 or len(_QUOTES.findall(name)) % 2:
        return None
    if _NUMBER.fullmatch(name):
        figures = re.sub(r"[^\d+]", "", name)
        return name, figures
    if name.startswith("~"):
        chosen = name[1:].strip() or name
        return chosen, f"~{chosen}"
    return name, name


def parse_notice(text: str) -> Content:
    """A notice of the app itself."""
    text = forms.strip_marks(text)
    is_call = forms.phrase_key(text) in words.CALLS
    return Content("call" if is_call else "system", "" if is_call else text)


def parse_content(body: str, more: str, is_ios: bool) -> Content:
    """Parse the content of a person's message, which may be more than text.

    Args:
        body: its first line, with its direction marks.
        more: its other lines, each with a line end in front.
        is_ios: True if text by the app itself begins with U+200E.
    """
    plain, whole = forms.normalize(body), "" if more else forms.phrase_key(body)
    is_deleted = whole in words.DELETED or whole in words.YOU_DELETED
    if is_deleted or (whole and plain.startswith(words.DELETED_BEGINNINGS)):
        return Content("deleted", "")
    is_marked = is_ios and body.startswith("\u200e")
    if whole in words.CALLS or (is_marked and plain.startswith(words.CALL_BEGINNINGS)):
        return Content("call", "")
    if whole == words.NULL and not is_ios:
        return Content("text", "", files=(Attachment("file", ""),))
    body, more, edited = _unedited(body, more)
    if media := _media(body, more):
        text, file = media
        return _with_mentions(text, edited, (file,))
    if plain in words.POLL:
        return _with_mentions(_poll(more), edited)
    if (is_marked and body[1:2] != "@") or plain.startswith(forms.NOTICE_BEGINNINGS):
        return parse_notice(body + more)
    return _with_mentions(body + more, edited)


def _unedited(body: str, more: str) -> tuple[str, str, bool]:
    """The first line and the others without the mark of an edit; True if there was one."""
    whole = (body + more).rstrip()
    begin = whole.rfind("<")
    if begin <= 0 or not whole.endswith(">"):
        return body, more, False
    phrase, before = forms.phrase_key(whole[begin:]), whole[:begin].rstrip(" ")
    is_marked = (
        before.rstrip(forms.DIRECTION_MARKS) and before.endswith("\u200e") and ":" not in phrase
    )
    if phrase not in words.EDITED and not (is_marked and phrase not in words.OMITTED_MEDIA):
        return body, more, False
    body, end, more = before.rstrip(f" {forms.DIRECTION_MARKS}").partition("\n")
    return body, end + more, True


def _media(body: str, more: str) -> tuple[str, Attachment] | None:
    """The caption and the attachment of a message with media, else None.

    A caption keeps the line end before it: cleaning strips outer blanks.
    """
    if found := words.OMITTED_MEDIA.get(forms.phrase_key(body)):
        file, caption = Attachment(*found), forms.normalize(more)
        # A document leaves its name in place of the caption.
        if file == ("file", "") and caption.rpartition(".")[2].lower() in _DOCUMENTS:
            return "", Attachment("file", caption)
        return more, file
    for kind_of in (_attached, _file_attached, _map_place):
        if attached := kind_of(body, more):
            return attached
    return None


def _attached(body: str, more: str) -> tuple[str, Attachment] | None:
    """Media of iOS, behind their caption: `<attached: name>`, or a phrase for omitted media."""
    whole = (body + more).rstrip()
    before, mark, last = whole.rpartition("\u200e")
    if mark and (found := words.OMITTED_MEDIA.get(forms.phrase_key(last))):
        kind, name = found
        return _titled(before, Attachment(kind, name))
    if not whole.endswith(">"):
        return None
    before, begin, last = whole.rpartition("<")
    word, colon, name = last.removesuffix(">").partition(":")
    is_mark = not colon and forms.phrase_key(word) in words.ATTACHED
    if is_mark and (match := _NAMED_BEFORE.fullmatch(before)):
        # Before 2018 the name stood in front of the mark.
        return (match[1] or "").rstrip(), Attachment(_kind(match[2]), match[2])
    name = forms.normalize(name)
    is_file = _NUMBERED.match(name) or (
        (before.endswith("\u200e") or forms.phrase_key(word) in words.ATTACHED)
        and _EXTENSION.fullmatch(name)
    )
    if not (begin and colon and len(word) <= 40 and is_file):
        return None
    return _titled(before, Attachment(_kind(name), name))


def _titled(before: str, file: Attachment) -> tuple[str, Attachment]:
    """The caption before a file; a document has its title and pages there instead."""
    title, is_document, _ = before.partition(" • ")
    if not is_document:
        return before.rstrip(f" {forms.DIRECTION_MARKS}"), file
    return "", file if file.name else Attachment(file.kind, forms.normalize(title))


def _file_attached(body: str, more: str) -> tuple[str, Attachment] | None:
    """Media of Android, with a caption in the lines below: `name (file attached)`."""
    match = _FILE_ATTACHED.fullmatch(body) if len(body) < 400 else None
    if match is None:
        return None
    name = forms.normalize(match[1])
    is_known = forms.phrase_key(match[2]) in words.FILE_ATTACHED
    if not is_known and not (body.startswith("\u200e") and _EXTENSION.fullmatch(name)):
        return None
    # The caption of a document repeats its name.
    is_title = forms.normalize(more) in (name, name.rpartition(".")[0])
    return "" if is_title else more, Attachment(_kind(name), name)


def _map_place(body: str, more: str) -> tuple[str, Attachment] | None:
    """A place on a map: its name, if any, is before the link or in lines above."""
    above, end, last = (body + more).rpartition("\n")
    match = _MAP_LINK.fullmatch(last) if len(last) < 1_000 else None
    if match is None:
        return None
    if forms.phrase_key(match[1]) in words.LOCATION_WORDS:
        return above + end, Attachment("file", "location")
    is_marked = body.startswith("\u200e")
    return (above + end + match[1], Attachment("file", "location")) if is_marked else None


def _kind(name: str) -> str:
    """The kind of an attachment by the name that WhatsApp gives it."""
    upper = name.upper()
    if upper.endswith(".WEBP") or "-STICKER-" in upper:
        return "sticker"
    if upper.startswith("GIF-") or "-GIF-" in upper:
        return "gif"
    if upper.startswith("PTT-") or (upper.startswith("AUD-") and upper.endswith(".")):
        return "voice"
    return attachment_kind(name)


def _poll(lines: str) -> str:
    """A poll's question and its answers, one a line, without the votes."""
    before, question, *options = [*forms.strip_marks(lines).split("\n"), ""]
    answers = []
    for option in filter(None, options):
        answer = option.partition(":")[2].strip()
        answers.append(answer.rpartition(" (")[0] if answer.endswith(")") else answer)
    return "\n".join([before, question, *answers]) if question else ""


def _with_mentions(text: str, edited: bool = False, files: tuple[Attachment, ...] = ()) -> Content:
    """A text with its mentions found: `@` and a number, or a name between isolates."""
    text = text.lstrip(forms.DIRECTION_MARKS)
    parts: list[str] = []
    spans = []
    length = end = 0
    for match in _MENTION.finditer(text):
        account = parse_author(match[1] or match[2])
        if account is None:
            continue
        name, author_id = account
        if match[2] and not author_id.startswith("+"):
            author_id = f"+{author_id}"
        parts += (text[end : match.start()], f"@{name}")
        length += match.start() - end + len(name) + 1
        spans.append(Mention(author_id, length - len(name) - 1, length))
        end = match.end()
    return Content("text", "".join([*parts, text[end:]]), edited, files, tuple(spans))
