"""ChatLab's interchange format, 0.0.1 and 0.0.2, as one JSON document or as JSON lines.

After its specification (ChatLab, docs: chatlab-format.md):

- The document is ``chatlab{version,exportedAt}``, ``meta{name,platform,type,groupId?,
  ownerId?}``, ``members[]``, ``messages[]``. The lines are the same objects, each with a
  ``_type`` of header (which has chatlab and meta), member or message; those that begin
  with ``#`` are comments.
- A message is ``sender, accountName, groupNickname?, timestamp`` in seconds UTC, ``type,
  content``, which may be null, ``platformMessageId?, replyToMessageId?``. A member's
  ``platformId`` is the messages' ``sender``; ``ownerId`` is that of the exporter.
- The types are those of `_KINDS` and `_MEDIA`. Version 0.0.1 has no ids and no lines.

Assumed, for the specification does not say it: the content of media is a placeholder such
as "[图片]", the file's name, or else a caption; types without text of the author (locations,
money, cards, unknown ones) are read as notices, shared ones as forwards.

``source`` is the platform that the export names, so that it deduplicates with the platform's
own export, or "chatlab" if that is no plain name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import PurePath
from typing import NamedTuple

import msgspec
import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.json_objects import decode_repaired, read_objects
from myna.sources._shared.json_stream import ListPattern, documents_around
from myna.sources._shared.message_table import Attachment, ParsedMessage, attachment_kind
from myna.sources._shared.text import head_text, open_text, read_bounded_lines

TITLE = "ChatLab JSON or JSONL"
READS = (
    *("text", "replies", "deleted", "forwards", "attachments", "stickers", "voice", "calls"),
    "system",
)

_SHAPE = ListPattern(
    key=b"messages",
    # Nested lists of messages, of which the specification knows none, have other keys first.
    boundary=re.compile(
        rb',\s*(?=\{\s*(?:"platformMessageId"\s*:\s*"[^"\\]*+"\s*,\s*)?'
        rb'"sender"\s*:\s*"[^"\\]*+"\s*,\s*"accountName"\s*:)'
    ),
    ending=re.compile(rb"\]\s*\}\s*\Z"),
)
_NO_LIST = "{} is no ChatLab export: it has no messages; export it again as ChatLab JSON or JSONL"
_MEDIA = {1: "image", 2: "voice", 3: "video", 4: "file", 5: "sticker"}
_KINDS = {
    **dict.fromkeys((0, 7, 25, *_MEDIA), "text"),  # 7: links
    **dict.fromkeys((24, 26), "forward"),
    23: "call",
    81: "deleted",
}
"""All other types (8 locations, 20 to 22 money and pokes, 27 cards, 80, 99) are notices."""

_PLATFORM = re.compile(r"[a-z]{2,20}")
_NO_PLATFORM = ("mixed", "other", "unknown")
_PLACEHOLDER = re.compile(r"\[[^\[\]\n]*+\]")
_FILE_NAME = re.compile(r".*\.\w{1,5}")
_HEADER = re.compile(r'"_type"\s*:\s*"header"')
_DOCUMENT = re.compile(r'^\s*\{\s*"chatlab"\s*:\s*\{|"chatlab"\s*:\s*\{\s*"version"\s*:')

_Id = str | int | None


class _Meta(msgspec.Struct, rename="camel"):
    name: str | None = None
    platform: str | None = None
    group_id: _Id = None
    owner_id: _Id = None


class _Member(msgspec.Struct, rename="camel"):
    platform_id: _Id = None
    account_name: str | None = None
    group_nickname: str | None = None


class _Message(msgspec.Struct, rename="camel"):
    sender: _Id
    timestamp: int | float | str | None = None
    type: int = 0
    content: str | None = None
    account_name: str | None = None
    group_nickname: str | None = None
    platform_message_id: _Id = None
    reply_to_message_id: _Id = None


class _Document(msgspec.Struct):
    """A document without its messages, or a header."""

    meta: _Meta | None = None
    members: tuple[_Member, ...] = ()


class _Line(msgspec.Struct):
    type: str = msgspec.field(default="", name="_type")


_MESSAGES = msgspec.json.Decoder(list[_Message])
_LINE = msgspec.json.Decoder(_Line)
_DECODERS: dict[str, msgspec.json.Decoder[_Document | _Member | _Message]] = {
    "header": msgspec.json.Decoder(_Document),
    "member": msgspec.json.Decoder(_Member),
    "message": msgspec.json.Decoder(_Message),
}


class _Chat(NamedTuple):
    """The chat of an export, and its members by id."""

    source: str
    name: str
    id: str | None
    members: dict[str, _Member]


MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by the key "chatlab" with a version in it."""
    text = head_text(file).removeprefix("\ufeff")
    if '"chatlab"' not in text or _DOCUMENT.search(text) is None:
        return None
    header = "a header line" if _HEADER.search(text) else "a header"
    return Recognition("chatlab", 0.97, f"it has {header} of ChatLab's")


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order.

    Raises:
        SourceError: the file holds no messages of this format, or cannot be read.
    """
    if _HEADER.search(head_text(file)) or file.name.lower().endswith(".jsonl"):
        lines = _lines(file, tally)
        first = next(lines, None)
        if first is None:
            raise SourceError(_NO_LIST.format(file.location))
        header = first if isinstance(first, _Document) else None
        chat = _chat(file, header, tally)
        messages = _from_lines(chain([first], lines), chat)
    else:
        chat = _chat(file, _document(file), tally)
        messages = _from_document(file, chat, tally)
    yield from message_table.to_tables(
        messages, chat.source, tally, zone_assumed=False, months_first=False
    )
    tally.bytes_done = file.size


def _chat(file: ChatFile, document: _Document | None, tally: Tally) -> _Chat:
    meta = document.meta if document else None
    if meta is None:
        tally.notes.append("the export does not name its chat: named after the file")
        meta = _Meta()
    tally.me = _id(meta.owner_id)
    platform = (meta.platform or "").lower()
    is_plain = _PLATFORM.fullmatch(platform) and platform not in _NO_PLATFORM
    members = document.members if document else ()
    return _Chat(
        source=platform if is_plain else "chatlab",
        name=meta.name or PurePath(file.name).stem,
        id=_id(meta.group_id),
        members={key: member for member in members if (key := _id(member.platform_id))},
    )


def _document(file: ChatFile) -> _Document | None:
    """The document without its messages, from its head or else its tail."""
    with file.open() as stream:
        for data in documents_around(stream, _SHAPE):
            try:
                document = msgspec.json.decode(data, type=_Document)
            except (ValueError, RecursionError):
                continue
            if document.meta:
                return document
    return None


def _from_document(file: ChatFile, chat: _Chat, tally: Tally) -> Iterator[ParsedMessage]:
    for message in read_objects(file, _MESSAGES, _SHAPE, tally, _NO_LIST.format(file.location)):
        yield _message(message, chat)


def _lines(file: ChatFile, tally: Tally) -> Iterator[_Document | _Member | _Message]:
    """The decoded lines."""
    with file.open() as stream, open_text(stream, file) as text:
        for number, line in enumerate(read_bounded_lines(text, tally), 1):
            if not line.strip() or line.startswith("#"):
                continue
            data = line.encode("utf-8", "replace")
            try:
                kind = decode_repaired(data, _LINE).type
                decoder = _DECODERS.get(kind)
                value = decode_repaired(data, decoder) if decoder else None
            except (ValueError, RecursionError) as error:
                if line.endswith(("\n", "\r")):
                    tally.skip("damaged line", f"line {number}: {error}")
                else:
                    tally.skip_bytes(max(0, file.size - len(data)), file.size)
                    tally.notes.append(f"the file breaks off in line {number}")
                continue
            if value is None:
                tally.skip("unknown line", f"line {number}: type '{kind}'")
            else:
                yield value
            tally.bytes_done = min(file.size, stream.tell())


def _from_lines(
    values: Iterator[_Document | _Member | _Message], chat: _Chat
) -> Iterator[ParsedMessage]:
    for value in values:
        if isinstance(value, _Message):
            yield _message(value, chat)
        elif isinstance(value, _Member) and (key := _id(value.platform_id)):
            chat.members[key] = value


def _message(message: _Message, chat: _Chat) -> ParsedMessage:
    sender = _id(message.sender)
    member = chat.members.get(sender or "", _Member())
    named = message if message.group_nickname or message.account_name else member
    kind = _KINDS.get(message.type, "system")
    text = message.content or ""
    attachments: tuple[Attachment, ...] = ()
    if media := _MEDIA.get(message.type):
        text, name = _media(text, media == "file")
        attachments = (Attachment(media, name),)
    return ParsedMessage(
        author=named.group_nickname or named.account_name or sender or "unknown",
        author_id=sender,
        handle=message.account_name or member.account_name,
        text="" if kind == "deleted" else text,
        sent_at=None if message.timestamp is None else str(message.timestamp),
        channel=chat.name,
        channel_id=chat.id,
        id=_id(message.platform_message_id),
        kind=kind,
        reply_to=_id(message.reply_to_message_id),
        attachments=attachments,
    )


def _media(content: str, is_file: bool) -> tuple[str, str]:
    """The caption and the file name in the content of a media message."""
    name = ""
    if placeholder := _PLACEHOLDER.match(content):
        name = placeholder[0][1:-1].partition(":")[2].strip()
        content = content[placeholder.end() :]
    content = content.strip()
    last = re.split(r"[/\\]", content)[-1]
    is_name = attachment_kind(last) != "file" or (is_file and _FILE_NAME.fullmatch(last))
    if is_name and "\n" not in content:
        return "", last
    return content, name


def _id(value: _Id) -> str | None:
    return None if value is None or value == "" else str(value)
