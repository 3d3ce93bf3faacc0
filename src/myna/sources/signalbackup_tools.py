"""Signal for Android chats, exported from a backup by signalbackup-tools.

Its text (`--exporttxt`) is a file for each chat, `Name (_id5).txt`, known from the tool's
own `exporttxt.cc` and `TXTaddReactions`:

    [May 01, 2024 18:02:11] <ada> who wants tea? (bo: 👍; peep: ❤️)
    [May 01, 2024 18:02:30] *** <bo> sent file "pot.jpg"        or: of type image/jpeg
    [May 01, 2024 18:02:30] <bo> what it was sent with
    [May 01, 2024 18:03:00] <ada> Poll: which?
                                       [2] green
    [May 01, 2024 18:04:00] *** bo called you

Times are times of receipt, in the exporting computer's zone, which is not given. Everyone
has their own name, the owner of the backup too. Bodies are not escaped: a text that itself
ends like reactions is read so. Quotes and deleted messages are not exported, and mentions
are names. A file and the text sent with it are two messages here.

Its CSV (`--exportcsv message=file.csv`, before Signal 6 tables sms and mms) is one table of
the database as it is, known from `exportcsv.cc`; the columns used are those of Signal's own
MessageTable, `type` (in mms `msg_box`) being the bits of its MessageTypes, as in the tool's
`msgtypes.h`. Names and attachments are in other tables: people are named by their number
in the table of recipients, in old backups by their phone number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.message_table import (
    ParsedMessage,
    Reaction,
    count_reactions,
)
from myna.sources._shared.rows import find_csv_header, read_csv_rows
from myna.sources._shared.signal import (
    MENTION_PLACEHOLDER,
    RecentIds,
    attachment,
    count_cut_off,
    match_heads,
    split_messages,
)
from myna.sources._shared.text import head_lines, head_text, open_text

TITLE = "Signal (signalbackup-tools)"
READS = (
    "text",
    "replies",
    "edits",
    "deleted",
    "attachments",
    "voice",
    "calls",
    "system",
    "reactions",
)

_HEAD = re.compile(
    r"\[([A-Z][a-z]{2} \d\d, \d{4} \d\d:\d\d:\d\d)\] "
    r"(?:\*\*\* (?P<status>.*)|<(?P<user>.*?)>(?: (?P<text>.*))?)$"
)
_EXAMPLE = "[May 01, 2024 18:02:11] <b> a"
_FILE = re.compile(r'<([^>]*+)> sent file(?: "(?P<name>.*)"| of type (?P<type>\S+))?(?: \(.*\))?')
_MAX_STATUS_CHARS = 5_000
_CALL = re.compile(
    r"(?:You called|.*called you|(?:[A-Z][a-z]+ )?(?:\w+ )?call(?: (?:from|to) .*)?)\.?"
)
_POLL_OPTION = re.compile(r"\n {20,}+\[\d+\] ")
_EMOJI_CATEGORIES = ("So", "Sk", "Sm", "Mn", "Me", "Cf")
# Characters of keycap emoji such as 1️⃣.
_KEYCAP = "0123456789#*\ufe0f\u20e3"
_NAME = re.compile(r"(.*) \(_id\d+\)")

_ME = "You"
_TYPE_COLUMNS = ("type", "msg_box")
_REQUIRED_COLUMNS = {"_id", "thread_id", "body", "expires_in"}

# MessageTypes of Signal for Android.
_BASE = 0x1F
_CALLS = (1, 2, 3, 8, 10, 11, 12)
_INCOMING, _DRAFT = 20, 27
_OUTGOING = range(21, 27)
# Keys exchanged, groups and timers changed, sessions ended, and the special types.
_NOTICE = 0xF_0040_0000 | 0xF_0000 | 0xFF00

MOST_CERTAIN = 0.95


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by the first message, or by the names of the columns."""
    if any(map(_HEAD.match, head_lines(file, 5))):
        return Recognition("signalbackup_tools", 0.95, "its lines are signalbackup-tools'")
    if find_csv_header(head_text(file), _is_header):
        return Recognition("signalbackup_tools", 0.95, "its columns are those of Signal's messages")
    return None


def _is_header(cells: list[str]) -> bool:
    return set(cells) >= _REQUIRED_COLUMNS and any(name in cells for name in _TYPE_COLUMNS)


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order.

    Raises:
        SourceError: the file holds no message of signalbackup-tools, or cannot be read.
    """
    stem = PurePath(file.name).stem
    if header := find_csv_header(head_text(file), _is_header):
        tally.me = _ME
        columns = {name: name for name in header.names}
        with file.open() as stream, open_text(stream, file) as text:
            rows = read_csv_rows(text, header, columns, file.size, tally)
            messages = _from_rows(rows, stem, tally)
            for frame in message_table.to_tables(messages, "signal", tally, months_first=False):
                tally.bytes_done = stream.tell()
                yield frame
            tally.bytes_done = file.size
        return
    name = _NAME.fullmatch(stem)
    messages = _from_text(file, name[1] if name else stem, tally)
    yield from message_table.to_tables(messages, "signal", tally, months_first=False)
    if not tally.read:
        raise SourceError(
            f"{file.location} holds no message of signalbackup-tools: export the chat again with "
            "'--exporttxt', or the table of messages with '--exportcsv message=messages.csv'"
        )


def _from_text(file: ChatFile, channel: str, tally: Tally) -> Iterator[ParsedMessage]:
    for message in split_messages(match_heads(file, tally, _HEAD, _EXAMPLE), tally):
        date, status, user, begin = message.head.groups()
        body = "\n".join([begin or status or "", *message.below])
        if sent := _FILE.fullmatch((status or "")[:_MAX_STATUS_CHARS]):
            attached = attachment(sent["name"] or "", sent["type"] or "")
            yield ParsedMessage(sent[1], "", date, channel, attachments=(attached,))
        elif status is not None:
            kind = "call" if _CALL.fullmatch(body[:_MAX_STATUS_CHARS]) else "system"
            yield ParsedMessage("", body, date, channel, kind=kind)
        elif message.is_last and not body.strip():
            count_cut_off(message, tally)
        elif body.startswith("Poll: "):
            yield ParsedMessage(user, _POLL_OPTION.sub("\n", body), date, channel)
        else:
            text, reactions = _split_reactions(body)
            yield ParsedMessage(user, text, date, channel, reactions=reactions)


def _split_reactions(body: str) -> tuple[str, tuple[Reaction, ...]]:
    """Split off the reactions that the tool appends: ` (name: 👍; name: ❤️)`."""
    begin = len(body) if body.endswith(")") else 0
    for _ in range(8):  # the names may have brackets
        begin = body.rfind(" (", 0, begin)
        if begin < 0:
            break
        parts = body[begin + 2 : -1].split("; ")
        if all(map(_is_reaction, parts)):
            pairs = (part.rpartition(": ") for part in parts)
            return body[:begin], count_reactions((emoji, name) for name, _, emoji in pairs)
    return body, ()


def _is_reaction(part: str) -> bool:
    name, _, emoji = part.rpartition(": ")
    is_name = bool(name) and "\n" not in name and name.count("(") == name.count(")")
    return is_name and not emoji.isascii() and all(map(_is_emoji, emoji.rstrip(_KEYCAP)))


def _is_emoji(character: str) -> bool:
    return unicodedata.category(character) in _EMOJI_CATEGORIES or character in "‼⁉〰"


def _from_rows(
    rows: Iterable[Mapping[str, str]], name: str, tally: Tally
) -> Iterator[ParsedMessage]:
    recent = RecentIds()
    for row in rows:
        try:
            bits = int(row.get("msg_box") or row.get("type") or "")
        except ValueError:
            tally.skip("damaged row", f"message {row['_id']}: its type is no number")
            continue
        base = bits & _BASE
        if base == _DRAFT:
            tally.skip("draft that was not sent", f"message {row['_id']}")
            continue
        if row.get("latest_revision_id"):
            tally.skip("earlier version of an edited message", f"message {row['_id']}")
            continue
        kind = _kind(bits, row)
        thread = row["thread_id"]
        sent_at = row.get("date_sent") or row.get("date") or "0"
        message_id = _id_prefix(row) + row["_id"]
        other = row.get("from_recipient_id") or row.get("recipient_id") or row.get("address")
        yield ParsedMessage(
            author=_ME if base in _OUTGOING else other or "Unknown",
            text=row["body"].replace(MENTION_PLACEHOLDER, "@unknown") if kind == "text" else "",
            sent_at=None if sent_at in ("0", "-1") else sent_at,
            channel=f"{name} {thread}",
            channel_id=thread,
            id=message_id,
            kind=kind,
            reply_to=recent.get(f"{thread}/{row.get('quote_id')}"),
            edited=bool(row.get("original_message_id")),
        )
        if kind == "text":
            recent.add(f"{thread}/{sent_at}", message_id)


def _kind(bits: int, row: Mapping[str, str]) -> str:
    if bits in _CALLS:
        return "call"
    if bits & _NOTICE or bits & _BASE not in (_INCOMING, *_OUTGOING):
        return "system"
    return "deleted" if row.get("remote_deleted") == "1" else "text"


def _id_prefix(row: Mapping[str, str]) -> str:
    """A prefix that keeps the ids of the old tables apart: both count from 1."""
    if "msg_box" in row:
        return "mms-"
    return "sms-" if "protocol" in row else ""
