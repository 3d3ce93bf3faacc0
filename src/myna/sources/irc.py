"""IRC: the logs of irssi, ZNC, WeeChat, HexChat and mIRC, and Ubuntu's public ones.

All write a line for each thing that happened, and differ in little, so one table of
patterns reads them all:

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
marks (`@ada`).

Assumed: what somebody does is their words, shown as ``*waves*``; a notice is a notice of
the network. What nobody says is by one author, `NETWORK`: those who only join are nobody.
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
"""Whose words notices are. The account has a blank in front, as no nick has."""

CLOCKS_DIFFER = 3600
"""Seconds that a clock may go back by without another day: it is put right, or summer ends."""

HALF_A_DAY = 12 * 3600

_STAMP = re.compile(
    r"\[?(?:(?P<date>\d{4}-\d\d-\d\d)[ T]|(?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) )?"
    r"(?P<time>(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?)(?:\.\d{1,9})?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?\]?(?=[ \t])"
)
# What follows the time; the first pattern that fits.
_LINES = tuple(
    (what, re.compile(pattern, re.DOTALL))
    for what, pattern in (
        ("notice", r"\t(?:-->|<--|--|=!=|)\t(?P<text>.*)"),
        ("act", r"\t \*\t(?P<nick>\S{1,64})(?: (?P<text>.*))?"),
        ("words", r"\t[ @+%&~!]{0,3}(?P<nick>[^\s<>]{1,64})\t(?P<text>.*)"),
        ("words", r" {1,2}<[ @+%&~!]{0,3}(?P<nick>[^\s<>]{1,64})>(?:[ \t](?P<text>.*))?"),
        ("words", r" \((?P<nick>[^\s/()]{1,64})/[#&][^\s()]*\) (?P<text>.*)"),
        ("notice", r" (?:-!-|\*\*\*) (?P<text>.*)"),
        ("notice", r" (?P<text>-[^\s:()<>-][^\s:()<>]{0,63}(?:[:(]\S*)?- .*)"),
        ("act", r" {1,2}\*[ \t](?P<nick>\S{1,64})(?: (?P<text>.*))?"),
    )
)
# HexChat and mIRC mark notices like acts.
_NOTICE = re.compile(
    r"(?:Joins|Parts|Quits|Disconnected|Rejoined|Now talking (?:on|in)|Topic (?:for|is)|Set by)\b"
    r"|\S+ \(\S*\) (?:has )?(?:joined|left|[Qq]uit)\b|\S+ has quit \(|\S+ is now known as \S+$"
    r"|\S+ sets mode|\S+ (?:gives|removes) channel|\S+ was kicked by "
    r"|\S+ (?:has )?changed? the topic"
)
_UBUNTU = "=== "
_MARKER = re.compile(
    r"(?:--- (?:Log opened|Log closed|Day changed)|\*\*\*\* (?:BEGIN|ENDING) LOGGING AT"
    r"|Session (?:Start|Time|Close):) (?P<when>.*)"
)
_CHANNEL_LINE = "Session Ident: "
_WHEN = re.compile(
    r"(?:[A-Z][a-z]{2} )?(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2})"
    r"(?: [\d:]{5,8})?,? (?P<year>\d{4})"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CODES = re.compile(  # colours and letter forms
    "\x03(?:[0-9]{1,2}(?:,[0-9]{1,2})?)?|\x04(?:[0-9A-Fa-f]{6})?|[\x02\x0f\x11\x16\x1d-\x1f]"
)
_NAMED_DAY = re.compile(r"(?<!\d)(\d{4})(-?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
_NAMED_CHANNEL = re.compile(r"#+[^\s#,][^\s,]*")
_WEECHAT_NAME = re.compile(r"irc\.(?P<network>[^.]+)\.(?P<channel>.+)\.weechatlog")


class _Line(NamedTuple):
    """What a line tells; `what` is one of those of _LINES, ``marker`` or ``channel``."""

    what: str
    text: str
    nick: str = ""
    stamp: re.Match[str] | None = None


class _Clock:
    """Which day and time it is in the log."""

    def __init__(self, day: date | None) -> None:
        self.day = day
        self.seconds = 0  # since midnight
        self.half = 0  # seconds that have to be added to a time of a 12-hour clock
        self.has_12_hours: bool | None = None  # until it is known
        self.now: str | None = None  # as the message table's times are written

    def turn_to(self, when: str) -> bool:
        """Go to the day that a line of the program names; whether it can be read."""
        if (found := _WHEN.match(when)) is None:
            return False
        return self._turn(int(found["year"]), _month(found), int(found["day"]))

    def tell(self, stamp: re.Match[str]) -> str | None:
        """The time of a line, where a day is known."""
        if stamp["date"]:
            self.now = f"{stamp['date']} {stamp['time']}{stamp['zone'] or ''}"
            return self.now
        if self.day is None:
            return None
        if stamp["month"]:
            month = _month(stamp)
            self._turn(self.day.year + (month < self.day.month), month, int(stamp["day"]))
        hour, minute, second = int(stamp["hour"]), int(stamp["minute"]), int(stamp["second"] or 0)
        if hour > 23 or minute > 59 or second > 59:
            return f"{self.day} {stamp['time']}"  # which is no time, and is counted so
        seconds = (hour * 60 + minute) * 60 + second
        if hour > 12:
            self.has_12_hours, self.half = False, 0
        elif self.has_12_hours:
            seconds = seconds % HALF_A_DAY + self.half
        if seconds < self.seconds - CLOCKS_DIFFER:
            seconds = self._round(seconds)
        self.seconds = seconds
        minutes = seconds // 60
        self.now = f"{self.day} {minutes // 60:02}:{minutes % 60:02}:{seconds % 60:02}"
        return self.now

    def _round(self, seconds: int) -> int:
        """The time after the hand went round, to noon or into the next day."""
        if self.has_12_hours is None and seconds + HALF_A_DAY - self.seconds <= CLOCKS_DIFFER:
            self.has_12_hours = seconds + HALF_A_DAY >= self.seconds
        if self.has_12_hours:
            self.half = HALF_A_DAY - self.half
            seconds = seconds % HALF_A_DAY + self.half
        if not self.half and self.day:
            self.day = min(self.day, date.max - timedelta(1)) + timedelta(1)
        return seconds

    def _turn(self, year: int, month: int, day: int) -> bool:
        try:
            self.day = date(year, month, day)
        except ValueError:
            return False
        self.seconds = self.half = 0
        return True


def recognise(file: ChatFile) -> Recognition | None:
    """By the shape of its lines: nearly all of them must have it."""
    found = [line for line in head_lines(file, 500) if line.strip()]
    shapes = [_line(line) for line in found]
    known = [shape for shape in shapes if shape]
    said = [line for line, shape in zip(found, shapes, strict=True) if shape and shape.nick]
    if len(known) * 5 < len(shapes) * 4 or not any(shape.stamp for shape in known):
        return None
    if shapes[0] and shapes[0].what == "marker":
        return Recognition("irc", 0.95, f"it begins with '{found[0][:20]}'")
    if not said:
        return Recognition("irc", 0.6, "its lines are notices such as those of IRC")
    # Archives of Signal are written as such lines too, with a date in the brackets.
    is_sure = not re.match(r"\[\d{4}-", said[0]) or "#" in file.name
    because = f"its lines are such as '{said[0][:40]}'"
    return Recognition("irc", 0.9 if is_sure else 0.5, because)


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """What was said and what happened, in the file's order.

    Raises:
        SourceError: no line is that of a log, or the file cannot be read.
    """
    yield from message_table.to_tables(_messages(file, tally), "irc", tally, months_first=False)


def _messages(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    space, channel = _place(file)
    clock = _Clock(_named_day(file.name))
    is_log = has_times = False
    for number, text in read_lines(file, tally):
        line = _line(text)
        if line is None:
            if text.strip():
                tally.skip("no line of a log", f"line {number}: {text}")
            continue
        is_log = True
        if line.what == "marker":
            if not clock.turn_to(line.text):
                tally.skip("a day that cannot be read", f"line {number}: {text}")
            continue
        if line.what == "channel":
            channel = line.text or channel
            continue
        sent_at = clock.tell(line.stamp) if line.stamp else clock.now
        has_times = has_times or sent_at is not None
        shown = f"*{line.text}*" if line.what == "act" and line.text else line.text
        yield ParsedMessage(
            author=line.nick or NETWORK,
            author_id=line.nick.casefold() or f" {NETWORK}",
            text=shown,
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


def _line(line: str) -> _Line | None:
    """What a line of a log tells; None where it is no such line."""
    if not line.isprintable():
        line = _CODES.sub("", line)
    if marker := _MARKER.match(line):
        return _Line("marker", marker["when"])
    if line.startswith(_CHANNEL_LINE):
        return _Line("channel", line.removeprefix(_CHANNEL_LINE).strip())
    if line.startswith(_UBUNTU):
        return _Line("notice", line.removeprefix(_UBUNTU))
    stamp = _STAMP.match(line)
    # LINE has tabs as WeeChat does, and no dates.
    if stamp is None or (line[stamp.end()] == "\t" and not stamp["date"]):
        return None
    for what, pattern in _LINES:
        if found := pattern.fullmatch(line, stamp.end()):
            fields = found.groupdict()
            nick, text = fields.get("nick") or "", fields["text"] or ""
            if what == "act" and _NOTICE.match(f"{nick} {text}"):
                return _Line("notice", f"{nick} {text}", stamp=stamp)
            return _Line(what, text, nick, stamp)
    return None


def _month(found: re.Match[str]) -> int:
    """The number of a month that is named in English; 0 where it is not."""
    return _MONTHS.index(found["month"]) + 1 if found["month"] in _MONTHS else 0


def _named_day(name: str) -> date | None:
    """The day that a file is named after."""
    found = _NAMED_DAY.search(name)
    try:
        return date(int(found[1]), int(found[3]), int(found[4])) if found else None
    except ValueError:
        return None


def _place(file: ChatFile) -> tuple[str, str]:
    """The network, where it is known, and the channel: from the file's or its folder's name."""
    network, name = "", PurePath(file.name).stem
    if found := _WEECHAT_NAME.fullmatch(file.name):
        network, name = found["network"], found["channel"]
    if day := _NAMED_DAY.search(name):
        name = name[: day.start()]
    channel = _NAMED_CHANNEL.search(name)
    shown = (channel[0] if channel else name).rstrip("._- ")
    return network, shown or file.folder_name or file.name
