"""DiscordChatExporter's TXT, from the first version with a header of 62 signs.

A preamble between two rules of 62 ``=`` (Guild, Channel, Topic, which may have several
lines, After, Before), the messages, and a postamble between two more: ``Exported N
message(s)`` (PlainTextMessageWriter). Old exports have no postamble; their preamble ends in
Messages, their number, and Range instead (PlainTextChatLogRenderer). A message is

    [26-Jun-19 06:26 PM] Name#1234 (pinned)
    what was written, in any number of lines

    {Attachments}
    an address a line

and of such blocks there are {Forwarded Message} (since 2.47, in front of all others, which
then are those of the message forwarded), {Attachments}, {Embed}, {Stickers} and
{Reactions}. Each message and each block has an empty line in front of it. Embeds are what
a linked page or a bot says, so they are not read. (The block
of a forwarded message is known from a fork's PlainTextMessageWriter.)

Dates are written as the settings or the country say, in the zone of whoever exported. So
a message begins where, behind an empty line, there is a date of the same shape as most in
the file. Nothing is escaped: who pastes a piece of such a file into a message makes
messages of it. There are no ids but the channel's, in the file's name; authors are known
by their full names, and what is a notice by Discord only its text says. The very first
versions, with a header of 48 signs and messages in groups, are not read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, pairwise
from typing import NamedTuple

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.discord import (
    Channel,
    attachment_at,
    channel_of,
    detect_order,
    message_from_fields,
    server_name,
)
from myna.sources._shared.message_table import Attachment, ParsedMessage
from myna.sources._shared.text import begins_head, head_lines, read_lines

TITLE = "DiscordChatExporter TXT"
READS = (
    *("text", "mentions", "forwards", "attachments", "stickers", "voice", "calls", "system"),
    "reactions",
)

RULE = "=" * 62

MAX_MESSAGE_CHARS = 500_000
"""Characters of a message with its blocks: several times Discord's own limit."""

_HEAD = re.compile(r"\[(?P<date>[^\[\]]{4,60})\] (?P<author>.+)")
_WORD = re.compile(r"[^\W0-9_][^\s0-9]*")
_NUMBER = re.compile("[0-9]+")
_EXPORTED = re.compile(r"Exported (.{1,30}) message\(s\)")
_OPEN_MARKUP = re.compile(r"<(?:[@#:][^<>\s]*)?$")
# In the order in which they are written.
_BLOCKS = ("{Forwarded Message}", "{Attachments}", "{Embed}", "{Stickers}", "{Reactions}")

MOST_CERTAIN = 0.98


def recognise(file: ChatFile) -> Recognition | None:
    """By its first three lines."""
    rule, *named = head_lines(file, 3)
    keys = [line.partition(": ")[0] for line in named]
    if rule.rstrip() == RULE and keys == ["Guild", "Channel"]:
        return Recognition("discord_chat_exporter_text", 0.98, "it names a guild and a channel")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages; ``position`` counts down from 0 in an export that has the newest first.

    Raises:
        SourceError: there is neither a preamble nor a message, or the file cannot be read.
    """
    first = head_lines(file, 10_000)
    dates = [date for before, line in pairwise(["", *first]) if (date := _date(before, line))]
    shaped = list(zip(map(_shape, dates), dates, strict=True))
    shapes = Counter(shape for shape, _ in shaped)
    shape = max(shapes, key=lambda shape: shapes[shape], default="")
    alike = [date for one, date in shaped if one == shape]
    step, months_first = detect_order(alike, tally)
    example = f"[{next(iter(alike), '1/2/2024 3:04')}] a"

    parts = _split_sections(read_lines(file, tally, partial(_is_whole, example)), shape)
    found = (
        _message(message, channel, number * step)
        for number, (channel, message) in enumerate(_checked_messages(parts, file, tally))
    )
    yield from message_table.to_tables(found, "discord", tally, months_first=months_first)


def _is_whole(example: str, line: str) -> bool | None:
    """True for the last line of an export, False for what breaks off in the exporter's words.

    Args:
        example: the first line of a message.
        line: the last of a file, without an end.
    """
    if line.rstrip() == RULE:
        return True
    own = (RULE, *_BLOCKS)
    if any(known.startswith(line) and known != line for known in own if len(line) > 1):
        return False
    heads = ((example, _HEAD), ("Exported 1 message(s)", _EXPORTED))
    if _OPEN_MARKUP.search(line):
        return False
    torn = any(begins_head(line, [head], pattern.fullmatch) for head, pattern in heads)
    return False if torn else None


class _Section(NamedTuple):
    """A section of the file: its lines, and the number of the first."""

    kind: str  # "preamble", "message", "postamble", "rest", or "end" behind the last
    number: int
    lines: list[str]
    is_complete: bool  # or else more lines than are kept


def _split_sections(numbered: Iterable[tuple[int, str]], shape: str) -> Iterator[_Section]:
    """Split a file into sections; `shape` is that of its dates."""
    kind, begun, kept, length, before = "rest", 1, list[str](), 0, ""
    for (number, line), (after, following) in pairwise(chain(numbered, [(0, "")])):
        line = line.removeprefix("\ufeff")
        begins = None
        if line.rstrip() == RULE:
            if following.startswith("Guild: "):
                begins = "preamble"
            elif _EXPORTED.fullmatch(following):
                begins = "postamble"
            elif kind != "message" or not after:
                begins = "rest"
        elif (date := _date(before, line)) and _shape(date) == shape:
            begins = "message"
        if begins:
            yield _Section(kind, begun, kept, length <= MAX_MESSAGE_CHARS)
            kind, begun, kept, length = begins, number, [], 0
        length += len(line) + 1
        if length <= MAX_MESSAGE_CHARS or not kept:
            kept.append(line)
        before = line
    yield _Section(kind, begun, kept, length <= MAX_MESSAGE_CHARS)
    yield _Section("end", 0, [], is_complete=True)


def _date(before: str, line: str) -> str | None:
    """The date in a line that may begin a message: an empty line is before it."""
    if not line.startswith("[") or before.strip():
        return None
    match = _HEAD.fullmatch(line)
    return match["date"] if match else None


def _shape(date: str) -> str:
    """The shape of a date: its figures as 0 and its words as a."""
    return _NUMBER.sub("0", _WORD.sub("a", date))


def _checked_messages(
    sections: Iterator[_Section], file: ChatFile, tally: Tally
) -> Iterator[tuple[Channel, list[str]]]:
    """Yield the channel and the lines of each message; note if the export's count differs.

    Raises:
        SourceError: there is neither a preamble nor a message.
    """
    channel = channel_of(file)
    # Of the current export; a file may hold several in a row.
    count, expected, is_open = 0, None, True
    total = 0
    is_export = False
    for section, following in pairwise(sections):
        is_export |= section.kind != "rest"
        if section.kind == "message":
            is_open = True
            is_last = expected == count + 1 and not section.lines[-1] and not tally.unread_bytes
            if following.kind == "end" and not is_last and not any(section.lines[1:]):
                end = file.size - tally.unread_bytes
                tally.skip_bytes(max(0, end - _size(section.lines)), end)
                continue
            count += 1
            total += 1
            if section.is_complete:
                yield channel, section.lines
            else:
                tally.skip("message too long", f"line {section.number}: {section.lines[0]}")
        elif section.kind == "preamble":
            _compare(expected, count, tally)
            count, expected, is_open = 0, None, True
            if section.is_complete:
                channel, expected = _preamble(section.lines, channel)
        elif section.kind == "postamble":
            _compare(_number(section.lines[1]), count, tally)
            count, expected, is_open = 0, None, False
        elif stray := [line for line in section.lines if line.strip(" =")]:
            tally.skip(
                "lines outside of messages", f"line {section.number}: {stray[0]}", len(stray)
            )
    if not is_export:
        raise SourceError(
            f"{file.location} is no DiscordChatExporter TXT: it has no messages such as "
            "'[date] name'; export the chat again, choosing TXT or, better, JSON as the format"
        )
    _compare(expected, count, tally)
    if is_open and expected is None:
        tally.notes.append(f"the export breaks off after {total:,} messages")
        tally.is_short = True


def _preamble(lines: list[str], channel: Channel) -> tuple[Channel, int | None]:
    """The channel, and in an old export the number of messages."""
    guild = lines[1].removeprefix("Guild: ")
    key, _, path = lines[2].partition(": ") if len(lines) > 2 else ("", "", "")
    name = path.rpartition(" / ")[2] if key == "Channel" else channel.channel
    is_old = lines[-2].startswith("Messages: ") and lines[-1].startswith("Range:")
    return Channel(server_name(guild), name, channel.channel_id), _number(
        lines[-2]
    ) if is_old else None


def _number(line: str) -> int:
    """The number in a line, with any separators."""
    return int("".join(sign for sign in line if sign in "0123456789")[:18] or "0")


def _compare(expected: int | None, count: int, tally: Tally) -> None:
    """Note when messages are missing."""
    if expected is not None and expected != count:
        tally.notes.append(f"the export speaks of {expected:,} messages, but holds {count:,}")
        tally.is_short = True


def _size(lines: list[str]) -> int:
    """The approximate size of lines in the file, in bytes."""
    return sum(len(line.encode("utf-8", "replace")) + 1 for line in lines)


def _message(lines: list[str], channel: Channel, position: int) -> ParsedMessage:
    """A message from its lines, the first of which has the date and the author."""
    date, _, author = lines[0].removeprefix("[").partition("] ")
    content: list[str] = []
    files: list[Attachment] = []
    block, reached, reactions = "", 0, ""
    is_forward = False
    for before, line in pairwise(lines):
        if line in _BLOCKS[reached:] and not before.strip():
            block, reached = line, _BLOCKS.index(line)
            is_forward |= reached == 0
        elif not block:
            content.append(line)
        elif line.strip() and not is_forward:
            if block == "{Attachments}":
                files.append(attachment_at(line))
            elif block == "{Stickers}":
                files.append(Attachment("sticker", attachment_at(line).name))
            elif block == "{Reactions}":
                reactions = f"{reactions} {line}"
    return message_from_fields(
        channel,
        author.removesuffix(" (pinned)"),
        date,
        "\n".join(content).strip("\n"),
        files=files,
        is_forward=is_forward,
        position=position,
        reactions=reactions,
    )
