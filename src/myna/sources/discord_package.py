"""Discord's own data package: what one account wrote, as it may request it from Discord.

A folder for each channel, ``messages/c<id>/`` (``messages/<id>/`` before 2021 or so), with
``channel.json`` and the messages: ``messages.json``, a list of ``{ID, Timestamp, Contents,
Attachments}``, newest first, or in older packages ``messages.csv`` with the same columns.
Attachments are addresses with blanks between them. Times are UTC. All of it is known from
descriptions by people who read their own packages, Discord describes nothing; that
``channel.json`` has a number as its type in old ones is unverified, and no type is needed.

``messages/index.json`` maps channels to titles ("kettle in Tea House", "Direct Message with
peep#0", "Unknown channel"), and ``account/user.json`` says whose package it is, in its first
fields; the rest of it can have hundreds of megabytes. Since July 2025 the folders have names
in the language of the account: some are known from people's reports. A package may have
been requested without the account: then its author is called "Me".

Nobody else's words are in it, so a conversation has one side. Neither are edits, replies and
stickers. A thread does not say which channel it belongs to, so it is a channel of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.discord import attachment_at, resolve_markup, snowflake_number
from myna.sources._shared.json_objects import decode_items
from myna.sources._shared.json_stream import ListPattern, pieces_from
from myna.sources._shared.message_table import Attachment, ParsedMessage
from myna.sources._shared.rows import find_csv_header, read_csv_rows
from myna.sources._shared.text import head_text, open_text

TITLE = "Discord data package"
READS = ("text", "mentions", "attachments", "voice")

_SHAPE = ListPattern(
    key=b"",  # the list has no name: the document is the list
    boundary=re.compile(rb',\s*(?=\{\s*"ID"\s*:\s*"?[0-9]+"?\s*,\s*"Timestamp"\s*:)'),
    ending=re.compile(rb"\]\s*\Z"),
)
_LIST = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[")
_FIRST = re.compile(_LIST.pattern + rb'\s*\{\s*"ID"\s*:\s*"?[0-9]+"?\s*,\s*"Timestamp"\s*:')
_EMPTY = re.compile(_LIST.pattern + rb"\s*\]\s*")
_COLUMNS = ["ID", "Timestamp", "Contents", "Attachments"]
_CHANNEL_FOLDER = re.compile(r"c?([0-9]{15,20})")
_MARK = re.compile(r"\s*([{,:])\s*")
_TITLES = re.compile(r'\s*\{\s*"[0-9]{15,20}"\s*:\s*(?:"|null)')
_ACCOUNTS = ("account", "compte", "アカウント", "konto", "cuenta", "conta")
"""Folders of the account: English, French and Japanese are known, the others translated."""

_FOUR_DIGITS = re.compile(r"#[0-9]{1,4}\Z")

_NO_MESSAGES = (
    "{} has none of the messages of a Discord data package: give the package.zip that Discord "
    "sent, or its folder 'messages'"
)


class _Message(msgspec.Struct, gc=False):
    """A message, with the names that Discord gives its fields."""

    ID: int | str
    Timestamp: str | None = None
    Contents: str | None = None
    Attachments: str | None = None


class _Channel(NamedTuple):
    space: str
    channel: str
    id: str | None
    users: dict[str, str]  # names, by account


_MESSAGES = msgspec.json.Decoder(list[_Message])

MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """By the fields of the first message, or by its name and those of its folder."""
    name = file.name.lower()
    if _FIRST.match(file.head):
        return Recognition("discord_package", 0.97, "its messages have an ID and a Timestamp")
    if name == "messages.json" and _is_empty(file):
        return Recognition("discord_package", 0.9, "it lies in the folder of a channel")
    if name == "messages.csv" and find_csv_header(head_text(file), _is_header):
        return Recognition("discord_package", 0.97, "its columns are ID, Timestamp, Contents, …")
    if _is_part(name, file):
        because = "it is a part of Discord's data package"
        return Recognition("discord_package", 0.9, because, holds_messages=False)
    return None


def _is_header(cells: list[str]) -> bool:
    return cells == _COLUMNS


def _is_empty(file: ChatFile) -> bool:
    """True for the list of a channel without messages."""
    in_channel = _CHANNEL_FOLDER.fullmatch(file.folder_name)
    return in_channel is not None and _EMPTY.fullmatch(file.head) is not None


def _is_part(name: str, file: ChatFile) -> bool:
    """True for the package's other files."""
    if name not in ("channel.json", "index.json", "user.json"):
        return False
    head = head_text(file).removeprefix("\ufeff")
    if name == "channel.json":
        return {"id", "type"} <= _fields(head).keys()
    if name == "index.json":
        return _TITLES.match(head) is not None
    fields = _fields(head).keys()
    return {"id", "username"} <= fields and not fields.isdisjoint({"discriminator", "global_name"})


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order; ``position`` is the order of their ids.

    Raises:
        SourceError: the file holds no messages of the package, or cannot be read.
    """
    messages = _read_list(file, tally) if _LIST.match(file.head) else _read_table(file, tally)
    yield from message_table.to_tables(
        _parse(messages, file, tally), "discord", tally, zone_assumed=False
    )
    if not tally.read and _LIST.match(file.head) and not _is_empty(file):
        raise SourceError(_NO_MESSAGES.format(file.location))
    tally.bytes_done = file.size


def _read_list(file: ChatFile, tally: Tally) -> Iterator[_Message]:
    """The messages of a list."""
    begun = _LIST.match(file.head)
    with file.open() as stream:
        for piece in pieces_from(stream, _SHAPE, begun.end() if begun else 0):
            if piece.kind == "items":
                yield from decode_items(piece, _MESSAGES, _SHAPE, tally)
            elif piece.kind == "lost":
                tally.skip_bytes(piece.start, piece.end)
                tally.notes.append("the list breaks off")
            elif piece.data.strip():
                tally.skip_bytes(piece.start, piece.end)
                tally.notes.append("something that is no message stands behind the list")
            tally.bytes_done = piece.end


def _read_table(file: ChatFile, tally: Tally) -> Iterator[_Message]:
    """The messages of a table."""
    header = find_csv_header(head_text(file), _is_header)
    if header is None:
        raise SourceError(_NO_MESSAGES.format(file.location))
    columns = {name: name for name in _COLUMNS}
    with file.open() as stream, open_text(stream, file) as lines:
        for row in read_csv_rows(lines, header, columns, file.size, tally):
            tally.bytes_done = min(stream.tell(), file.size)
            yield _Message(**row)


def _parse(messages: Iterator[_Message], file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    """The messages as parsed, all of one author."""
    channel: _Channel | None = None
    for message in messages:
        if channel is None:
            id_, handle, name = _account(file, tally)
            channel = _channel(file, id_, name)
        number = str(message.ID)
        text, mentions = resolve_markup(
            message.Contents or "", channel.users, {channel.id or "": channel.channel}
        )
        yield ParsedMessage(
            author=name,
            author_id=id_,
            handle=handle,
            text=text,
            sent_at=message.Timestamp,
            space=channel.space,
            channel=channel.channel,
            channel_id=channel.id,
            id=number or None,
            attachments=tuple(_files(message.Attachments or "")),
            mentions=tuple(mentions),
            position=snowflake_number(number),
        )


def _files(addresses: str) -> Iterator[Attachment]:
    for address in addresses.split():
        yield attachment_at(address)


def _account(file: ChatFile, tally: Tally) -> tuple[str, str | None, str]:
    """The id, login name and display name of the account that requested the package."""
    files = (file.sibling(f"../../{folder}/user.json") for folder in _ACCOUNTS)
    user = next((_companion(account) for account in files if account), {})
    id_ = _text(user.get("id"))
    if not id_:
        tally.notes.append(
            "the package does not say whose it is: the author is called Me; "
            "if it has a file user.json, rename that file's folder to 'account'"
        )
        tally.me = "me"
        return "me", None, "Me"
    tally.me = id_
    handle = _text(user.get("username"))
    return id_, handle, _text(user.get("global_name")) or handle or id_


def _channel(file: ChatFile, me: str, name: str) -> _Channel:
    """The channel of a file's messages."""
    about = file.sibling("channel.json")
    channel = _companion(about) if about else {}
    folder = _CHANNEL_FOLDER.fullmatch(file.folder_name)
    id_ = _text(channel.get("id")) or (folder[1] if folder else None)
    users = {me: name}
    guild = channel.get("guild")
    space = _text(guild.get("name")) or _text(guild.get("id")) if isinstance(guild, dict) else None
    if shown := _text(channel.get("name")):
        return _Channel(space or "", shown, id_, users)
    title = _title(file, id_)
    if title.startswith("Direct Message with "):
        other = _FOUR_DIGITS.sub("", title.removeprefix("Direct Message with "))
        recipients = channel.get("recipients")
        if isinstance(recipients, list) and me in recipients:
            users |= {str(user): other for user in recipients[:2] if user != me}
        return _Channel("", other, id_, users)
    shown, _, guild_name = title.partition(" in ")  # no channel for text has blanks in its name
    return _Channel(space or guild_name, shown or id_ or file.folder_name, id_, users)


def _title(file: ChatFile, id_: str | None) -> str:
    """A channel's title in the index, or ""."""
    index = file.sibling("../index.json")
    if index is None:
        return ""
    try:
        with index.open() as stream:
            titles = msgspec.json.decode(stream.read(), type=dict[str, Any])
    except (SourceError, ValueError, RecursionError):
        return ""
    title = _text(titles.get(id_ or "")) or ""
    return "" if title == "None" else title


def _companion(file: ChatFile) -> dict[str, Any]:
    """The first fields of another file of the package."""
    try:
        return _fields(head_text(file).removeprefix("\ufeff"))
    except SourceError:
        return {}


def _fields(text: str) -> dict[str, Any]:
    """The fields that an object begins with, up to one that is cut off or damaged."""
    found: dict[str, Any] = {}
    decoder = json.JSONDecoder(strict=False)
    position = 0
    while mark := _MARK.match(text, position):
        if mark[1] != ("," if found else "{"):
            break
        try:
            key, position = decoder.raw_decode(text, mark.end())
            colon = _MARK.match(text, position)
            if colon is None or colon[1] != ":":
                break
            value, position = decoder.raw_decode(text, colon.end())
        except (ValueError, RecursionError):
            break
        found.setdefault(str(key), value)
    return found


def _text(value: object) -> str | None:
    """A value as text; old packages may have numbers for ids."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None
