"""Signal Desktop chats, exported by sigtop (`sigtop export-messages`).

It makes a file for each chat, `Name (detail).txt` or `.json`, where the detail is the
phone number, user name or account id of a person, or "group". Known from sigtop's own
`fmt_text.go`, `fmt_json.go`, `signal/message.go`, `quote.go`, `edit.go`, `mention.go` and
`recipient.go`; its short text format is not read.

The text begins with `Conversation: Name (detail)`. A message is a head of fields, an empty
line, perhaps a quote and an empty line, the body, and an empty line:

    From: ada (+15550101)                     absent if it has no sender; or You
    Type: incoming                            or outgoing, call-history, group-v2-change, …
    Sent: Wed, 1 May 2024 18:02:11 +0200
    Received: Wed, 1 May 2024 18:02:12 +0200
    Attachment: pot.jpg (image/jpeg, 1234 bytes)      or "no filename (…"
    Reaction: 👍 from bo (+15550102)
    Edited: 2 versions

    > From: bo (+15550102)
    > Sent: Wed, 1 May 2024 18:01:59 +0200
    >
    > who wants tea?

    me

Instead of quote and body an edited message has its versions, the last one first, each line
behind `| ` and with the fields Version, Attachment and Sent. Bodies are not escaped: a
message begins at a field From or Type behind an empty line, if the required fields follow.
Ids are absent: they are made of time and sender, and quotes are resolved by time.

The JSON is a list of Signal Desktop's own records, one per line: id, conversationId, type,
body, sent_at (ms), source (phone), sourceUuid or sourceServiceId, attachments{contentType,
fileName}, bodyRanges{start, length, mentionUuid or mentionAci} in UTF-16 units, quote{id:
when the quoted message was sent}, sticker{data{emoji}}, deletedForEveryone, editHistory.
It has no names: in a chat of two the other person is named after the file, in a group
everyone has their id. Desktops since 2025 keep parts of the record elsewhere, and sigtop's
JSON then lacks them (not verified): a record without type is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, dropwhile, pairwise, takewhile
from pathlib import PurePath
from typing import Any, NamedTuple

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.message_table import (
    Attachment,
    Mention,
    MessageIds,
    ParsedMessage,
    count_reactions,
)
from myna.sources._shared.signal import (
    LONG_TEXT_TYPE,
    MENTION_PLACEHOLDER,
    MessageLines,
    RecentIds,
    as_dicts,
    as_text,
    attachment,
    count_cut_off,
    read_objects,
    split_messages,
)
from myna.sources._shared.text import head_lines, read_lines

TITLE = "Signal (sigtop)"
READS = (
    *("text", "replies", "mentions", "edits", "deleted", "attachments", "stickers", "voice"),
    *("calls", "system", "reactions"),
)

_ME = "You"
_KINDS = {"incoming": "text", "outgoing": "text", "story": "text", "call-history": "call"}
_HEAD = re.compile(r"(?:From: .*\nType: [\w-]++|Type: [\w-]++\n(?:Sent|Received): .*)$")
_VERSION = re.compile(r"\| Version: \d+")
_HEAD_BEGINNINGS = ("From: ", "Type: ")
_DETAILED = re.compile(r"(.*) \(([^()]*)\)")
_FILE = re.compile(r"(.*) \(([^(),]*), -?\d+ bytes\)")
_KEYS = ('"conversationId"', '"type"', '"sent_at"')

MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by the first fields, or by the first record."""
    first_lines = head_lines(file, 6)
    if _is_text(first_lines):
        return Recognition("sigtop", 0.97, "it begins with sigtop's fields")
    for line in first_lines[:3]:
        if line.lstrip("[ ").startswith("{") and all(key in line for key in _KEYS):
            return Recognition("sigtop", 0.95, "its records are Signal Desktop's")
    return None


def _is_text(lines: list[str]) -> bool:
    return len(lines) > 2 and lines[0].startswith("Conversation: ") and not lines[1]


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order.

    Raises:
        SourceError: the file holds no message of sigtop, or cannot be read.
    """
    tally.me = _ME
    is_list = any(line.lstrip().startswith(("[", "{")) for line in head_lines(file, 3))
    messages = _from_list(file, tally) if is_list else _from_text(file, tally)
    yield from message_table.to_tables(messages, "signal", tally, months_first=False)
    if not tally.read:
        raise SourceError(
            f"{file.location} holds no message of sigtop: export the chat again with "
            "'sigtop export-messages'"
        )


class _Parsed(NamedTuple):
    """A parsed message of a text file, or a version of it."""

    fields: dict[str, str]
    files: tuple[Attachment, ...]
    quoted: str | None  # time of the quoted message
    body: str


def _from_text(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    first = head_lines(file, 1)[0]
    has_name = first.startswith("Conversation: ")
    chat = first.removeprefix("Conversation: ") if has_name else PurePath(file.name).stem
    ids, recent = MessageIds(), RecentIds()
    for message in split_messages(_headed(file, tally), tally):
        parsed = _parse_message(message, tally)
        if parsed is None:
            continue
        author, detail = _split_detail(parsed.fields.get("From", "Unknown"))
        sent_at = parsed.fields.get("Sent") or parsed.fields.get("Received") or "unknown"
        sent = ParsedMessage(
            author=author,
            text=parsed.body,
            sent_at=None if sent_at == "unknown" else sent_at,
            channel=_split_detail(chat)[0],
            channel_id=chat,
            author_id=detail,
            handle=detail,
            kind=_kind(parsed),
            reply_to=recent.get(parsed.quoted or ""),
            edited="Edited" in parsed.fields,
            attachments=parsed.files,
        )
        sent = sent._replace(id=ids.new(sent))
        if sent.kind == "text" and sent.id:
            recent.add(sent_at, sent.id)
        yield sent


def _headed(file: ChatFile, tally: Tally) -> Iterator[tuple[int, str, re.Match[str] | None]]:
    """The lines; with a match for each that begins a message, together with the next line."""
    before = ""
    lines = chain(read_lines(file, tally, _is_whole), [(0, "")])
    for (number, line), (_, after) in pairwise(lines):
        if number > 1 or not line.startswith("Conversation: "):
            yield number, line, None if before else _HEAD.match(f"{line}\n{after}")
            before = line


def _is_whole(line: str) -> bool | None:
    """False for the beginning of a field that begins a message."""
    torn = len(line) > 1 and any(begin.startswith(line) for begin in _HEAD_BEGINNINGS)
    return False if torn else None


def _parse_message(message: MessageLines, tally: Tally) -> _Parsed | None:
    """Parse a message; None if the file may break off before its text."""
    lines = [message.head[0].partition("\n")[0], *message.below]
    if message.is_last and lines[-1].startswith(_HEAD_BEGINNINGS) and not lines[-2]:
        tally.skip("message broken off", "in its first line")
        del lines[-1]
    parsed = _parse_lines(lines)
    if message.is_last and ("" not in lines or (_kind(parsed) == "text" and not parsed.body)):
        count_cut_off(message, tally)
        return None
    return parsed


def _kind(parsed: _Parsed) -> str:
    return _KINDS.get(parsed.fields.get("Type", ""), "system")


def _parse_lines(lines: list[str]) -> _Parsed:
    """Parse fields, quote and body; of an edited message, those of the last version."""
    end = lines.index("") if "" in lines else len(lines)
    fields: dict[str, str] = {}
    files: list[Attachment] = []
    for line in lines[:end]:
        name, _, value = line.partition(": ")
        if name == "Attachment":
            files += _file(value)
        else:
            fields.setdefault(name, value)
    rest = lines[end + 1 :]
    if "Edited" in fields and rest and rest[0].startswith("| Version: "):
        last = _parse_lines(_last_version(rest))
        return last._replace(fields=fields, files=last.files or tuple(files))
    quoted = None
    if rest[:1] and rest[0].startswith("> From: ") and "".join(rest[1:2])[:8] in ("", "> Sent: "):
        quoted = "".join(rest[1:2]).removeprefix("> Sent: ")
        rest = list(dropwhile(lambda line: line.startswith(">"), rest))
    return _Parsed(fields, tuple(files), quoted, "\n".join(rest).strip("\n"))


def _last_version(lines: list[str]) -> list[str]:
    """The lines of the first version, without their `| `."""
    version: list[str] = []
    for line in takewhile(lambda line: line.startswith("|"), lines):
        if version and not version[-1] and _VERSION.fullmatch(line):
            break
        version.append(line[2:])
    return version


def _split_detail(detailed: str) -> tuple[str, str | None]:
    """A name, and the phone number, user name or id in brackets behind it."""
    match = _DETAILED.fullmatch(detailed)
    return (match[1], match[2]) if match else (detailed, None)


def _file(field: str) -> list[Attachment]:
    """A field's attachment; empty for the rest of a long text, which the body has."""
    match = _FILE.fullmatch(field)
    name, content_type = match.groups() if match else (field, "")
    name = "" if name == "no filename" else name
    return [] if content_type == LONG_TEXT_TYPE else [attachment(name, content_type)]


def _from_list(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    channel, detail = _split_detail(PurePath(file.name).stem)
    other = channel if detail and detail != "group" else None
    recent = RecentIds()
    for number, record in read_objects(file, tally):
        kind = record.get("type")
        if not isinstance(kind, str):
            tally.skip("no message", f"line {number}: it has no type")
            continue
        account = _ME if kind == "outgoing" else _account(record, "source") or other or "Unknown"
        last = next(iter(as_dicts(record.get("editHistory"))), record)
        last = last if isinstance(last.get("body"), str) else record
        text, mentions = _with_mentions(as_text(last.get("body")), as_dicts(last.get("bodyRanges")))
        is_deleted = record.get("deletedForEveryone") is True
        quote = record.get("quote")
        message_id = as_text(record.get("id")) or None
        sent_at = record.get("sent_at")
        yield ParsedMessage(
            author=account if kind == "outgoing" else other or account,
            text="" if is_deleted else text,
            sent_at=sent_at * 1000 if type(sent_at) is int else None,
            channel=channel,
            channel_id=as_text(record.get("conversationId")) or None,
            id=message_id,
            author_id=account,
            kind="deleted" if is_deleted else _KINDS.get(kind, "system"),
            reply_to=recent.get(str(quote.get("id"))) if isinstance(quote, dict) else None,
            edited=len(as_dicts(record.get("editHistory"))) > 1,
            attachments=_files(record),
            reactions=count_reactions(
                (as_text(one.get("emoji")), None) for one in as_dicts(record.get("reactions"))
            ),
            mentions=() if is_deleted else mentions,
        )
        if message_id and kind in ("incoming", "outgoing"):
            recent.add(str(sent_at), message_id)


def _account(record: dict[str, Any], prefix: str) -> str:
    """The id of an account; the name of its field changed over the years."""
    ids = (as_text(record.get(prefix + end)) for end in ("ServiceId", "Aci", "Uuid", ""))
    return next(filter(None, ids), "")


def _with_mentions(body: str, ranges: list[dict[str, Any]]) -> tuple[str, tuple[Mention, ...]]:
    """The text with "@unknown" for each mention (the export has no names), and the mentions."""
    units = body.encode("utf-16-le", "surrogatepass")
    done: list[str] = []
    spans: list[Mention] = []
    length = after = 0  # length of `done`; end of the last mention in `units`

    def add(piece: str) -> None:
        nonlocal length
        done.append(piece)
        length += len(piece)

    targets: list[tuple[int, int, str]] = []
    for item in ranges:
        start, size, account = item.get("start"), item.get("length"), _account(item, "mention")
        if isinstance(start, int) and isinstance(size, int) and account:
            targets.append((start, size, account))
    for start, size, account in sorted(targets):
        begin, end = 2 * start, 2 * (start + size)
        if after <= begin <= end <= len(units):
            add(_text(units[after:begin]))
            spans.append(Mention(account, length, length + len("@unknown")))
            add("@unknown")
            after = end
    add(_text(units[after:]))
    return "".join(done), tuple(spans)


def _text(units: bytes) -> str:
    return units.decode("utf-16-le", "replace").replace(MENTION_PLACEHOLDER, "@unknown")


def _files(record: dict[str, Any]) -> tuple[Attachment, ...]:
    """The sticker and the attachments of a record."""
    files: list[Attachment] = []
    sticker = record.get("sticker")
    if isinstance(sticker, dict):
        data = sticker.get("data")
        files.append(
            Attachment("sticker", as_text(data.get("emoji")) if isinstance(data, dict) else "")
        )
    for item in as_dicts(record.get("attachments")):
        name, content_type = as_text(item.get("fileName")), as_text(item.get("contentType"))
        if content_type != LONG_TEXT_TYPE:
            files.append(attachment(name, content_type))
    return tuple(files)
