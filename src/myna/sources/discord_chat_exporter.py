"""DiscordChatExporter's JSON, all versions from 2.23 to 2.47.

The document is ``guild, channel, dateRange, exportedAt, messages[], messageCount``; the
field names and their values are those of its JsonMessageWriter.cs. What differs between
versions is only what is absent: mentions before 2.25, replies before 2.26, stickers
before 2.33, interactions before 2.38, forwards before 2.47.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import PurePath
from typing import NamedTuple

import msgspec
import polars as pl

from myna.sources import ChatFile, Recognition, StoredTable, Tally
from myna.sources._shared import json_stream
from myna.sources._shared.discord import file_name, resolve_markup
from myna.sources._shared.html import find_mentions
from myna.sources._shared.json_objects import decode_items, report_cut_off, without_gc
from myna.sources._shared.json_stream import SEPARATORS, ItemBatch, ListPattern, Piece
from myna.sources._shared.message_table import Columns, Mention, attachment_kind, from_columns
from myna.sources._shared.parallel import map_in_order
from myna.sources._shared.times import parse_times

TITLE = "DiscordChatExporter JSON"
READS = (
    *("text", "replies", "threads", "mentions", "edits", "forwards", "attachments", "stickers"),
    *("voice", "calls", "system", "bots", "reactions"),
)

_SHAPE = ListPattern(
    key=b"messages",
    # Every message begins like this, and nothing else in the document does.
    boundary=re.compile(
        rb',\s*(?=\{\s*"id"\s*:\s*"[0-9]+"\s*,\s*"type"\s*:\s*"\w+"\s*,\s*"timestamp"\s*:)'
    ),
    ending=re.compile(rb'\]\s*,\s*"messageCount"\s*:\s*[0-9]+\s*\}\s*\Z'),
)

# MessageKind is written by name where the exporter has one, else as its number in
# Discord's API. Every other kind is a notice by Discord.
_KINDS = {"Default": "text", "0": "text", "Reply": "text", "19": "text"}
_KINDS |= {"Call": "call", "3": "call", "20": "command", "23": "command"}
_REPLIES = ("Reply", "19")
_THREADS = ("GuildNewsThread", "GuildPublicThread", "GuildPrivateThread", "10", "11", "12")


class _Fields(msgspec.Struct, rename="camel", gc=False):
    """The fields of an object that are read; all others are skipped."""


class _User(_Fields):
    id: str
    name: str | None = None
    nickname: str | None = None
    discriminator: str | None = None
    is_bot: bool = False

    @property
    def key(self) -> str:
        """The account: of a webhook, which speaks as anybody, with the name that it took.

        Bots have a discriminator of their own, webhooks 0000.
        """
        is_webhook = self.is_bot and self.discriminator == "0000"
        return f"{self.id}/{self.name}" if is_webhook else self.id


class _File(_Fields):
    file_name: str | None = None
    url: str | None = None

    @property
    def name(self) -> str:
        """The file's name, if need be from its address."""
        return self.file_name or file_name(self.url or "")


class _Sticker(_Fields):
    name: str | None = None


class _Emoji(_Fields):
    id: str | None = None
    name: str | None = None


class _Giver(_Fields):
    id: str = ""


class _Reaction(_Fields):
    emoji: _Emoji | None = None
    count: int = 0
    users: tuple[_Giver, ...] = ()


class _Reference(_Fields):
    message_id: str | None = None
    type: str | None = None


class _Message(_Fields):
    id: str
    timestamp: str
    author: _User
    type: str = "Default"
    content: str | None = None
    timestamp_edited: str | None = None
    # Most are empty, and the empty tuple is no new object.
    attachments: tuple[_File, ...] = ()
    stickers: tuple[_Sticker, ...] = ()
    mentions: tuple[_User, ...] = ()
    reactions: tuple[_Reaction, ...] = ()
    reference: _Reference | None = None
    forwarded_message: _Fields | None = None
    interaction: _Fields | None = None


class _Guild(_Fields):
    id: str = "0"
    name: str | None = None


class _Channel(_Fields):
    id: str = ""
    type: str = ""
    name: str | None = None
    category: str | None = None
    category_id: str | None = None


class _Document(_Fields):
    """The document without its messages, which are cut out between head and tail."""

    guild: _Guild | None = None
    channel: _Channel | None = None
    message_count: int | None = None


_MESSAGES = msgspec.json.Decoder(list[_Message])

MOST_CERTAIN = 0.99


def recognise(file: ChatFile) -> Recognition | None:
    """By the keys at the beginning, in any order."""
    head = file.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"{"):
        return None
    if b'"guild"' in head and b'"channel"' in head:
        return Recognition("discord_chat_exporter", 0.99, "it has a guild and a channel")
    if b'"messages"' in head and b'"isPinned"' in head and b'"discriminator"' in head:
        return Recognition("discord_chat_exporter", 0.9, "its messages are Discord's")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame | StoredTable]:
    """The messages, in the file's order; ``position`` is the order of their ids.

    Raises:
        SourceError: the file holds no list of messages, or cannot be read.
    """
    with file.open() as stream:
        around: list[Piece] = []  # pieces without messages: head, and tail or lost
        batches = json_stream.batches(file, stream, _SHAPE, around)
        begin = list(islice(batches, 1))  # behind the head
        head = _document(around[0].data + b"]}") if around[0].kind == "head" else None
        chat = _chat(file, head, tally)
        work = partial(_decode_batch, chat=chat)
        for frame, part in map_in_order(work, chain(begin, batches), file):
            tally.add(part)
            if frame.height:
                yield frame
    end = around[-1]
    if end.kind == "tail":
        _check_end(head, end.data, tally)
    else:
        no_list = (
            f"{file.location} is no DiscordChatExporter JSON: it has no list of messages; "
            "export the chat again, choosing JSON as the format"
        )
        report_cut_off(end, tally, no_list, "what follows its last message is lost")
    tally.bytes_done = file.size


@without_gc()
def _decode_batch(batch: ItemBatch, chat: _Chat) -> tuple[pl.DataFrame, Tally]:
    """Decode items to a message table and their tally."""
    tally = Tally()
    columns: Columns = defaultdict(list)
    for piece in json_stream.load_batch(batch, _SHAPE):
        _add(columns, piece, chat, tally)
        tally.bytes_done = piece.end
    return _table(columns, chat), tally


class _Chat(NamedTuple):
    """The channel or thread of a document's messages."""

    space: str
    channel: str
    channel_id: str | None
    thread: str | None
    channels: dict[str, str]  # names of channels, by id


def _chat(file: ChatFile, head: _Document | None, tally: Tally) -> _Chat:
    """The channel, from the document's head, or from its tail if the keys are in another order."""
    document = head
    if document is None or document.channel is None:
        with file.open() as stream:
            for piece in json_stream.pieces(stream, _SHAPE):
                if piece.kind == "tail":
                    document = _document(b"{" + piece.data.lstrip(SEPARATORS))
    if document is None or document.channel is None:
        tally.notes.append("the export does not say which channel it is: named after the file")
        return _Chat("", PurePath(file.name).stem, None, None, {})
    guild, channel = document.guild or _Guild(), document.channel
    name = channel.name or channel.id
    is_direct = guild.id == "0" or channel.type.startswith("Direct")
    is_thread = channel.type in _THREADS
    return _Chat(
        space="" if is_direct else guild.name or guild.id,
        channel=channel.category or name if is_thread else name,
        channel_id=channel.category_id if is_thread else channel.id or None,
        # Two threads of a channel may have the same name.
        thread=f"{name} [{channel.id}]" if is_thread else None,
        channels={channel.id: name},
    )


def _document(data: bytes) -> _Document | None:
    """The document's own fields, or None if it is damaged."""
    try:
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=_Document)
    except (ValueError, RecursionError):
        return None


def _check_end(head: _Document | None, tail: bytes, tally: Tally) -> None:
    """Note if messages are missing, by the end of the document."""
    end = _document(b"{" + tail.lstrip(SEPARATORS))
    count = tally.read + sum(tally.skipped.values())
    if end is None and count:
        tally.notes.append("the export breaks off behind its last message: none is missing")
    elif end is None:
        tally.notes.append("the export breaks off before its first message")
        tally.is_short = True
    expected = next((d.message_count for d in (head, end) if d and d.message_count), None)
    if expected is not None and expected != count:
        tally.notes.append(f"the export speaks of {expected:,} messages, but holds {count:,}")
        tally.is_short = True


def _add(columns: Columns, piece: Piece, chat: _Chat, tally: Tally) -> None:
    """Add a piece's messages: comprehensions for common fields, a loop for rare ones."""
    decoded = decode_items(piece, _MESSAGES, _SHAPE, tally)
    tally.read += len(decoded)
    before = len(columns["id"])
    text = [message.content or "" for message in decoded]
    kind = [_KINDS.get(message.type, "system") for message in decoded]
    reply_to: list[str | None] = [None] * len(decoded)
    special = [
        row
        for row, message in enumerate(decoded)
        if message.reference is not None
        or message.attachments
        or message.mentions
        or message.stickers
        or message.reactions
        or message.interaction is not None
        or message.forwarded_message is not None
        or "<" in text[row]
    ]
    for row in special:
        message = decoded[row]
        reference = message.reference
        if reference is not None and message.type in _REPLIES and reference.type != "Forward":
            reply_to[row] = reference.message_id
        if message.forwarded_message or (reference is not None and reference.type == "Forward"):
            # Its attachments and words are someone else's and are not read.
            kind[row] = "forward"
        elif message.interaction is not None:
            kind[row] = "command"
        words = text[row]
        if (">" in words and "<" in words) or (message.mentions and "@" in words):
            text[row], spans = _display_text(message, chat)
            columns["mentions"] += [(before + row, *span) for span in spans]
        for file in message.attachments:
            columns["attachments"].append((before + row, attachment_kind(file.name), file.name))
        for sticker in message.stickers:
            columns["attachments"].append((before + row, "sticker", sticker.name or ""))
        for reaction in message.reactions:
            if (emoji := reaction.emoji) and emoji.name and 0 < reaction.count < 2**31:
                shown = f":{emoji.name}:" if emoji.id else emoji.name
                by = [user.id for user in reaction.users if user.id]
                columns["reactions"].append((before + row, shown, reaction.count, by))
    authors = [message.author for message in decoded]
    columns["id"] += [message.id for message in decoded]
    columns["author_id"] += [author.key for author in authors]
    columns["handle"] += [author.name for author in authors]
    columns["author"] += [author.nickname or author.name or author.id for author in authors]
    columns["sent_at"] += [message.timestamp for message in decoded]
    columns["kind"] += kind
    columns["text"] += text
    columns["reply_to"] += reply_to
    columns["is_bot"] += [author.is_bot for author in authors]
    columns["edited"] += [message.timestamp_edited is not None for message in decoded]


def _table(columns: Columns, chat: _Chat) -> pl.DataFrame:
    """The message table of columns as filled by `_add`."""
    # Ids count up with time across the parts of an export, whatever its order.
    return from_columns(columns, parse_times(columns.pop("sent_at", []))).with_columns(
        source=pl.lit("discord"),
        space=pl.lit(chat.space),
        channel=pl.lit(chat.channel),
        channel_id=pl.lit(chat.channel_id or f"{chat.space}/{chat.channel}"),
        thread=pl.lit(chat.thread, dtype=pl.String),
    )


def _display_text(message: _Message, chat: _Chat) -> tuple[str, list[Mention]]:
    """The text with its markup resolved, and the mentions in it."""
    users = {user.id: user.nickname or user.name or "unknown" for user in message.mentions}
    text, spans = resolve_markup(message.content or "", users, chat.channels)
    # Before 2.40 a mention could show either name.
    names = {user.name: user.id for user in message.mentions if user.name}
    names |= {user.nickname: user.id for user in message.mentions if user.nickname}
    return text, find_mentions(text, names, spans)
