"""IRC logs of irssi, ZNC, WeeChat, HexChat and mIRC, and Ubuntu's public ones.

All write one line per event and differ little, so one table of patterns reads them all:

    irssi    `12:01 <@ada> tea?`, `12:01  * ada waves`, `12:01 -!- bo [b@x] has joined #tea`,
             `--- Log opened Wed May 01 12:00:00 2024`, `--- Day changed Thu May 02 2024`
    ZNC      `[12:01:02] <ada> tea?`, `* ada waves`, `*** Joins: bo (b@x)`, `-bo- notice`
    Ubuntu   `[12:01] <ada> tea?`, `[12:01]  * ada waves`, `=== bo is now known as bob`
    WeeChat  `2024-05-01 12:01:02<TAB>@ada<TAB>tea?`, names `-->`, `<--`, `--`, ` *`
    HexChat  `May 01 12:01:02 <ada><TAB>tea?`, `**** BEGIN LOGGING AT Wed May  1 12:00:00 2024`
    mIRC     `[12:01] <ada> tea?`, `Session Start: Wed May 01 12:00:00 2024`

Checked on real logs: Ubuntu's (the corpus of Kummerfeld et al. 2019). The lines of irssi
are those of MoinMoin's parser, those of WeeChat jekyll-rp-logs's; those of ZNC, HexChat
and mIRC are unverified. The day is the one that such a line or the file's name says; a
clock that goes back by more than an hour has passed midnight, or, if it never showed an
hour above 12 and goes back by nearly 12, noon: some of Ubuntu's logs of 2004 to 2007 have
such clocks. No log says its zone. Accounts are nicks, in lower case and without their
marks (`@ada`), their host (`ada!a@host`) and what is put behind a nick that is taken
(`ada_`, `ada__`).

Assumed: an action is its author's text, shown as ``*waves*``; notices are those of the
network and have one author, `NETWORK`: nicks that only join have no account.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import PurePath
from typing import NamedTuple

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.message_table import ParsedMessage
from myna.sources._shared.text import head_lines, read_lines

TITLE = "IRC logs (irssi, ZNC, WeeChat, HexChat, mIRC)"
READS = ("text", "system")

NETWORK = "IRC"
"""Author of notices. The account has a space in front, as no nick has."""

MAX_STEP_SECONDS = 3600
"""A clock may go back so far within a day: it was corrected, or summer time ended."""

HALF_DAY_SECONDS = 12 * 3600

_STAMP = re.compile(
    r"\[?(?:(?P<date>\d{4}-\d\d-\d\d)[ T]|(?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) )?"
    r"(?P<time>(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?)(?:\.\d{1,9})?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?\]?(?=[ \t])"
)
# The text behind the time; the first matching pattern counts.
_LINE_PATTERNS = tuple(
    (kind, re.compile(pattern, re.DOTALL))
    for kind, pattern in (
        ("notice", r"\t(?:-->|<--|--|=!=|)\t(?P<text>.*)"),
        ("action", r"\t \*\t(?P<nick>\S{1,64})(?: (?P<text>.*))?"),
        ("message", r"\t[ @+%&~!]{0,3}(?P<nick>[^\s<>]{1,64})\t(?P<text>.*)"),
        ("message", r" {1,2}<[ @+%&~!]{0,3}(?P<nick>[^\s<>]{1,64})>(?:[ \t](?P<text>.*))?"),
        ("message", r" \((?P<nick>[^\s/()]{1,64})/[#&][^\s()]*\) (?P<text>.*)"),
        ("notice", r" {1,2}(?:-!-|\*\*\*) (?P<text>.*)"),
        ("notice", r" (?P<text>-[^\s:()<>-][^\s:()<>]{0,63}(?:[:(]\S*)?- .*)"),
        ("action", r" {1,2}\*[ \t](?P<nick>\S{1,64})(?: (?P<text>.*))?"),
    )
)
# HexChat and mIRC write notices like actions.
_NOTICE = re.compile(
    r"(?:Joins|Parts|Quits|Disconnected|Rejoined|Now talking (?:on|in)|Topic (?:for|is)|Set by)\b"
    r"|\S+ \(\S*\) (?:has )?(?:joined|left|[Qq]uit)\b|\S+ has quit \(|\S+ is now known as \S+$"
    r"|\S+ sets mode|\S+ (?:gives|removes) channel|\S+ was kicked by "
    r"|\S+ (?:has )?changed? the topic"
)
_UBUNTU = "=== "
_MARKER = re.compile(
    r"(?:--- (?:Log opened|Log closed|Day changed)|\*\*\*\* (?:BEGIN|ENDING) LOGGING AT"
    r"|Session (?:Start|Time|Close):) (?P<date>.*)"
)
_CHANNEL_LINE = "Session Ident: "
_DATE = re.compile(
    r"(?:[A-Z][a-z]{2} )?(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2})"
    r"(?: [\d:]{5,8})?,? (?P<year>\d{4})"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FORMAT_CODES = re.compile(  # colours and letter forms
    "\x03(?:[0-9]{1,2}(?:,[0-9]{1,2})?)?|\x04(?:[0-9A-Fa-f]{6})?|[\x02\x0f\x11\x16\x1d-\x1f]"
)
_DAY_IN_NAME = re.compile(r"(?<!\d)(\d{4})(-?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
_CHANNEL_IN_NAME = re.compile(r"#+[^\s#,][^\s,]*")
_WEECHAT_NAME = re.compile(r"irc\.(?P<network>[^.]+)\.(?P<channel>.+)\.weechatlog")


class _Line(NamedTuple):
    """A parsed line; `kind` is one of _LINE_PATTERNS, ``marker`` or ``channel``."""

    kind: str
    text: str
    nick: str = ""
    stamp: re.Match[str] | None = None


class _Clock:
    """The current day and time in the log."""

    def __init__(self, day: date | None) -> None:
        self.day = day
        self.seconds = 0  # since midnight
        self.offset = 0  # seconds to add to a time of a 12-hour clock
        self.has_12_hours: bool | None = None  # until it is known
        self.now: str | None = None  # as the message table's times are written

    def set_day(self, text: str) -> bool:
        """Set the day from a marker line; return False if it cannot be read."""
        if (date_match := _DATE.match(text)) is None:
            return False
        year, day = int(date_match["year"]), int(date_match["day"])
        return self._start_day(year, _month(date_match), day)

    def time_of(self, stamp: re.Match[str]) -> str | None:
        """The time of a line; None while no day is known."""
        if stamp["date"]:
            self.now = f"{stamp['date']} {stamp['time']}{stamp['zone'] or ''}"
            return self.now
        if self.day is None:
            return None
        if stamp["month"]:
            month = _month(stamp)
            self._start_day(self.day.year + (month < self.day.month), month, int(stamp["day"]))
        hour, minute, second = int(stamp["hour"]), int(stamp["minute"]), int(stamp["second"] or 0)
        if hour > 23 or minute > 59 or second > 59:
            return f"{self.day} {stamp['time']}"  # an invalid time, counted as such later
        seconds = (hour * 60 + minute) * 60 + second
        if hour > 12:
            self.has_12_hours, self.offset = False, 0
        elif self.has_12_hours:
            seconds = seconds % HALF_DAY_SECONDS + self.offset
        if seconds < self.seconds - MAX_STEP_SECONDS:
            seconds = self._wrap_around(seconds)
        self.seconds = seconds
        minutes = seconds // 60
        self.now = f"{self.day} {minutes // 60:02}:{minutes % 60:02}:{seconds % 60:02}"
        return self.now

    def _wrap_around(self, seconds: int) -> int:
        """The time after the clock wrapped around, at noon or midnight."""
        if (
            self.has_12_hours is None
            and seconds + HALF_DAY_SECONDS - self.seconds <= MAX_STEP_SECONDS
        ):
            self.has_12_hours = seconds + HALF_DAY_SECONDS >= self.seconds
        if self.has_12_hours:
            self.offset = HALF_DAY_SECONDS - self.offset
            seconds = seconds % HALF_DAY_SECONDS + self.offset
        if not self.offset and self.day:
            self.day = min(self.day, date.max - timedelta(1)) + timedelta(1)
        return seconds

    def _start_day(self, year: int, month: int, day: int) -> bool:
        try:
            self.day = date(year, month, day)
        except ValueError:
            return False
        self.seconds = self.offset = 0
        return True


MOST_CERTAIN = 0.95


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by its lines: at least four in five must parse."""
    texts = [line for line in head_lines(file, 500) if line.strip()]
    parsed = [_parse_line(text) for text in texts]
    valid = [line for line in parsed if line]
    messages = [text for text, line in zip(texts, parsed, strict=True) if line and line.nick]
    if len(valid) * 5 < len(parsed) * 4 or not any(line.stamp for line in valid):
        return None
    if parsed[0] and parsed[0].kind == "marker":
        return Recognition("irc", 0.95, f"it begins with '{texts[0][:20]}'")
    if not messages:
        return Recognition("irc", 0.6, "its lines are notices such as those of IRC")
    # Archives of Signal are written as such lines too, with a date in the brackets.
    is_sure = not re.match(r"\[\d{4}-", messages[0]) or "#" in file.name
    because = f"its lines are such as '{messages[0][:40]}'"
    return Recognition("irc", 0.9 if is_sure else 0.5, because)


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """Messages and notices, in the file's order.

    Raises:
        SourceError: no line is of an IRC log, or the file cannot be read.
    """
    yield from message_table.to_tables(_messages(file, tally), "irc", tally, months_first=False)


def _messages(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    space, channel = _network_and_channel(file)
    clock = _Clock(_day_in_name(file.name))
    is_log = has_times = False
    for number, text in read_lines(file, tally, _is_whole):
        line = _parse_line(text)
        if line is None:
            if text.strip():
                tally.skip("no line of a log", f"line {number}: {text}")
            continue
        is_log = True
        if line.kind == "marker":
            if not clock.set_day(line.text):
                tally.skip("a day that cannot be read", f"line {number}: {text}")
            continue
        if line.kind == "channel":
            channel = line.text or channel
            continue
        sent_at = clock.time_of(line.stamp) if line.stamp else clock.now
        has_times = has_times or sent_at is not None
        yield ParsedMessage(
            author=line.nick.partition("!")[0] or NETWORK,
            author_id=_account(line.nick) or f" {NETWORK}",
            text=f"*{line.text}*" if line.kind == "action" and line.text else line.text,
            sent_at=sent_at,
            channel=channel,
            space=space,
            kind="text" if line.nick else "system",
        )
    if not is_log:
        raise SourceError(
            f"{file.location} is no IRC log: no line is such as '[12:01] <ada> hello'; "
            "give a log of irssi, ZNC, WeeChat, HexChat or mIRC"
        )
    if not has_times:
        tally.notes.append("no day is known: the messages have no times, only their order")


def _account(nick: str) -> str:
    """The account of a nick: without its host, and what is put behind one that is taken."""
    name = nick.partition("!")[0].casefold()
    return name.rstrip("_`") or name


def _is_whole(line: str) -> bool | None:
    """False for a last line that breaks off before its text."""
    parsed = _parse_line(line)
    return None if parsed and (parsed.text or not parsed.stamp) else False


def _parse_line(line: str) -> _Line | None:
    """Parse a line; None if it is not of an IRC log."""
    if not line.isprintable():
        line = _FORMAT_CODES.sub("", line)
    if marker := _MARKER.match(line):
        return _Line("marker", marker["date"])
    if line.startswith(_CHANNEL_LINE):
        return _Line("channel", line.removeprefix(_CHANNEL_LINE).strip())
    if line.startswith(_UBUNTU):
        return _Line("notice", line.removeprefix(_UBUNTU))
    stamp = _STAMP.match(line)
    # LINE has tabs as WeeChat does, and no dates.
    if stamp is None or (line[stamp.end()] == "\t" and not stamp["date"]):
        return None
    for kind, pattern in _LINE_PATTERNS:
        if match := pattern.fullmatch(line, stamp.end()):
            fields = match.groupdict()
            nick, text = fields.get("nick") or "", fields["text"] or ""
            if kind == "action" and _NOTICE.match(f"{nick} {text}"):
                return _Line("notice", f"{nick} {text}", stamp=stamp)
            return _Line(kind, text, nick, stamp)
    return None


def _month(match: re.Match[str]) -> int:
    """The number of an English month name; 0 if it is none."""
    return _MONTHS.index(match["month"]) + 1 if match["month"] in _MONTHS else 0


def _day_in_name(name: str) -> date | None:
    """The day in a file name, or None."""
    match = _DAY_IN_NAME.search(name)
    try:
        return date(int(match[1]), int(match[3]), int(match[4])) if match else None
    except ValueError:
        return None


def _network_and_channel(file: ChatFile) -> tuple[str, str]:
    """The network ("" if unknown) and the channel, from the names of the file and its folder."""
    network, name = "", PurePath(file.name).stem
    if match := _WEECHAT_NAME.fullmatch(file.name):
        network, name = match["network"], match["channel"]
    if day := _DAY_IN_NAME.search(name):
        name = name[: day.start()]
    channel = _CHANNEL_IN_NAME.search(name)
    name = (channel[0] if channel else name).rstrip("._- ")
    return network or file.found.get("space", ""), name or file.folder_name or file.name
