"""Telegram's messages: the fields of one, and the tables of many.

The format is described in `telegram`, which reads the documents and chats around them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import polars as pl

from myna.sources import Tally
from myna.sources._shared import json_stream
from myna.sources._shared.json_objects import decode, without_gc
from myna.sources._shared.json_stream import SEPARATORS, ItemBatch, ListPattern, Piece
from myna.sources._shared.message_table import (
    MAX_REMEMBERED,
    Columns,
    Mention,
    attachment_kind,
    from_columns,
)
from myna.sources._shared.times import UTC_TIME, in_datetime_range, parse_times

MESSAGE_LIST = ListPattern(
    key=b"messages",
    # Every message begins like this, and nothing else in such a list does.
    boundary=re.compile(
        rb',\s*(?=\{\s*"id"\s*:\s*-?[0-9]+\s*,\s*"type"\s*:\s*"(?:message|service|unsupported)")'
    ),
    # With the indentation: otherwise a message that is cut off could end like this.
    ending=re.compile(rb"\]\r?\n(?:\}|   \}\r?\n  \]\r?\n \}\r?\n\})\s*\Z"),
    has_many_lists=True,
)

DELETED_ACCOUNT = "Deleted Account"
_CALLS = ("phone_call", "group_call", "conference_call")
_MEDIA = {
    "sticker": "sticker",
    "animation": "gif",
    "voice_message": "voice",
    "video_message": "video",
    "video_file": "video",
    "audio_file": "file",
}
OLD_ID_SHIFT = 2**32


class _TextEntity(msgspec.Struct, gc=False):
    """A piece of text with markup."""

    type: str = "plain"
    text: str = ""
    href: str | None = None
    user_id: int | str | None = None


class _Giver(msgspec.Struct, gc=False):
    """One of the last to give a reaction; the others are not named."""

    from_id: str | None = None


class _Reaction(msgspec.Struct, gc=False):
    """A kind of reaction; of custom emoji there is only the path of a picture."""

    type: str = "emoji"
    count: int = 0
    emoji: str | None = None
    recent: tuple[_Giver, ...] = ()


class _Poll(msgspec.Struct, gc=False):
    question: str = ""


class _Message(msgspec.Struct, gc=False, rename={"sender": "from"}):
    id: int | str
    type: str = "message"
    date: str | None = None
    date_unixtime: str | int | None = None
    sender: str | None = None
    from_id: str | int | None = None
    actor: str | None = None
    actor_id: str | int | None = None
    action: str | None = None
    title: str | None = None
    edited: str | None = None
    text: str | list[str | _TextEntity] | None = ""
    forwarded_from: str | None = ""  # null where it was a deleted account
    reply_to_message_id: int | str | None = None
    reply_to_peer_id: str | int | None = None
    via_bot: str | None = None
    reactions: tuple[_Reaction, ...] = ()
    photo: str | None = None
    file: str | None = None
    file_name: str | None = None
    media_type: str | None = None
    mime_type: str | None = None
    sticker_emoji: str | None = None
    poll: _Poll | None = None
    location_information: msgspec.Raw = msgspec.Raw()
    contact_information: msgspec.Raw = msgspec.Raw()


MESSAGES_DECODER = msgspec.json.Decoder(list[_Message])


class Chat(NamedTuple):
    """A chat; ``id`` has a prefix like a sender's, which may be the same."""

    id: str
    name: str
    type: str
    handles: dict[str, str]  # accounts, by login name


ChatBatch = list[tuple[Chat, ItemBatch]]


def account_id(number: int) -> str:
    """An account's id in the form of newer exports, from the number in an old one."""
    return f"{'channel' if number >= 2 * OLD_ID_SHIFT else 'user'}{number % OLD_ID_SHIFT}"


TopicRoots = dict[tuple[str, str], str]
"""Names of the threads of forum topics, by chat and the id of the topic's first message."""


@without_gc()
def decode_batch(chats: ChatBatch) -> tuple[pl.DataFrame, tuple[Tally, TopicRoots]]:
    """Decode items to a message table, their tally, and the topics that begin in them."""
    tally = Tally()
    columns: Columns = defaultdict(list)
    roots: TopicRoots = {}
    for chat_index, (chat, batch) in enumerate(chats):
        for piece in json_stream.load_batch(batch, MESSAGE_LIST):
            _add(columns, piece, chat_index, chat, roots, tally)
            tally.bytes_done = piece.end
    return _table(columns, [chat for chat, _ in chats]), (tally, roots)


def _add(
    columns: Columns, piece: Piece, chat_index: int, chat: Chat, roots: TopicRoots, tally: Tally
) -> None:
    """Add a piece's messages: comprehensions for common fields, a loop for rare ones."""
    decoded, damages = decode(piece, MESSAGES_DECODER, MESSAGE_LIST)
    for damage in damages:
        # Behind damage at the end of the list of chats, its brackets can be left over.
        if not piece.data[damage.start - piece.start :].strip(SEPARATORS + b"]}"):
            continue
        tally.skip("damaged message", damage.location)
    every, decoded = decoded, [message for message in decoded if message.type != "unsupported"]
    if unsupported := len(every) - len(decoded):
        example = next(message.id for message in every if message.type == "unsupported")
        tally.skip("not supported by Telegram Desktop", f"message {example}", unsupported)
    tally.read += len(decoded)
    before = len(columns["id"])
    kind = ["text"] * len(decoded)
    text: list[Any] = [message.text for message in decoded]
    for row, message in enumerate(decoded):
        if message.type != "message":
            kind[row] = "call" if message.action in _CALLS else "system"
            text[row] = _notice(message)
            if message.action == "topic_created":
                roots[chat.id, str(message.id)] = f"{message.title or 'topic'} [{message.id}]"
            continue
        if not isinstance(text[row], str):
            text[row], kind[row], spans = _display_text(message.text or [], chat)
            columns["mentions"] += [(before + row, *span) for span in spans]
        if message.forwarded_from != "":
            kind[row] = "forward"
        elif message.via_bot:
            kind[row] = "command"
        for reaction in message.reactions:
            if 0 < reaction.count < 2**31:
                shown = reaction.emoji or f":{reaction.type}:"
                by = [one.from_id for one in reaction.recent if one.from_id]
                columns["reactions"].append((before + row, shown, reaction.count, by))
        if message.poll is not None:
            text[row] = f"{text[row]}\n{message.poll.question}".strip()
        if message.photo or message.file or message.location_information or (
            message.contact_information
        ):  # fmt: skip
            columns["attachments"] += [(before + row, *file) for file in _files(message)]
    senders = [message.from_id or message.actor_id for message in decoded]
    names = [message.sender or message.actor for message in decoded]
    if set(map(type, senders)) != {str}:
        for row, sender in enumerate(senders):
            if not isinstance(sender, str):
                senders[row], names[row] = _sender(sender, names[row], chat)
    bot = chat.id if chat.type == "bot_chat" else None
    columns["chat"] += [chat_index] * len(decoded)
    columns["id"] += [str(message.id) for message in decoded]
    columns["author_id"] += senders
    columns["author"] += [name or DELETED_ACCOUNT for name in names]
    columns["unix"] += [message.date_unixtime for message in decoded]
    columns["local"] += [None if message.date_unixtime else message.date for message in decoded]
    columns["kind"] += kind
    columns["text"] += text
    columns["reply_to"] += [
        None if message.reply_to_message_id is None else _reply(message, chat)
        for message in decoded
    ]
    columns["is_bot"] += [sender == bot for sender in senders]
    columns["edited"] += [
        message.edited is not None and message.edited > "1971" for message in decoded
    ]


def _notice(message: _Message) -> str:
    """The text of a notice, made from its action and title: it has none of its own."""
    action = (message.action or "").replace("_", " ")
    return f"{action}: {message.title}" if message.title else action


def _display_text(
    entities: str | list[str | _TextEntity], chat: Chat
) -> tuple[str, str, list[Mention]]:
    """The text as displayed, without quotations; its kind, and the mentions in it."""
    own = [entity for entity in entities if isinstance(entity, str) or entity.type != "blockquote"]
    has_quote = len(own) < len(entities)
    kind = "text"
    if has_quote and not "".join(p if isinstance(p, str) else p.text for p in own).strip():
        own, kind = list(entities), "forward"
    pieces: list[str] = []
    spans: list[Mention] = []
    length = 0
    for number, entity in enumerate(own):
        piece = entity if isinstance(entity, str) else entity.text
        if isinstance(entity, _TextEntity):
            account = chat.handles.get(piece.lower()) if entity.type == "mention" else None
            if entity.type == "mention_name" and entity.user_id is not None:
                piece, account = f"@{piece.removeprefix('@')}", f"user{entity.user_id}"
            elif entity.type == "text_link" and entity.href and entity.href not in piece:
                piece = f"{piece} ({entity.href})"
            elif entity.type == "bot_command" and number == 0:
                kind = "command"
            if account and piece:
                spans.append(Mention(account, length, length + len(piece)))
        elif has_quote and not length:
            piece = piece.lstrip("\n")
        pieces.append(piece)
        length += len(piece)
    return "".join(pieces), kind, spans


def _files(message: _Message) -> Iterator[tuple[str, str]]:
    """Kinds and names of a message's attachments."""
    if message.photo:
        yield "image", _name(message.photo)
    if message.file:
        name = message.file_name or _name(message.file)
        kind = _MEDIA.get(message.media_type or "")
        if kind is None:
            kind = attachment_kind(name)
            broad = (message.mime_type or "").partition("/")[0]
            if not name and broad in ("image", "video"):
                kind = broad
        yield kind, (message.sticker_emoji or name) if kind == "sticker" else name
    if message.location_information:
        yield "file", "location"
    if message.contact_information:
        yield "file", "contact"


def _name(path: str) -> str:
    """The name of a file, "" if it was not exported."""
    if path.endswith(")") and "(File " in path:
        return ""
    return re.split(r"[/\\]", path)[-1]


def _sender(number: int | None, name: str | None, chat: Chat) -> tuple[str, str | None]:
    """Account and name, if the account is a number or missing."""
    if number is not None:
        return account_id(number), name
    if name is None and chat.type.endswith("_channel"):
        return chat.id, chat.name
    return name or "deleted", name


def _reply(message: _Message, chat: Chat) -> str | None:
    """The id of the message replied to, if that is in the same chat."""
    is_elsewhere = message.reply_to_peer_id not in (None, chat.id)
    return None if is_elsewhere else str(message.reply_to_message_id)


def _table(columns: Columns, chats: list[Chat]) -> pl.DataFrame:
    """The message table of columns as filled by `_add`."""
    times = _times(columns.pop("unix", []), columns.pop("local", []))
    indices = pl.Series(columns.pop("chat", []), dtype=pl.UInt32)
    names = pl.Series([chat.name for chat in chats], dtype=pl.String).gather(indices)
    ids = pl.Series([chat.id for chat in chats], dtype=pl.String).gather(indices)
    table = from_columns(columns, times, channel=names, channel_id=ids)
    return table.with_columns(source=pl.lit("telegram"))


def _times(unix: list[str | int | None], local: list[str | None]) -> pl.DataFrame:
    """Columns ``sent_at`` and ``zone_assumed``."""
    seconds = pl.Series("seconds", unix, pl.String, strict=False).cast(pl.Int64, strict=False)
    frame = seconds.to_frame().select(
        sent_at=in_datetime_range(
            pl.when(pl.col("seconds").abs() < 2**40)
            .then(pl.col("seconds") * 1_000_000)
            .cast(UTC_TIME)
        ),
        zone_assumed=False,
    )
    if not frame["sent_at"].null_count():
        return frame
    read = parse_times(local)
    return frame.select(
        sent_at=pl.coalesce("sent_at", read["sent_at"]),
        zone_assumed=pl.col("sent_at").is_null() & read["zone_assumed"],
    )


class ForumTopics:
    """The topics of forums, and the messages in them."""

    def __init__(self) -> None:
        self.roots: TopicRoots = {}
        # Two generations, so that memory stays flat: most replies are to recent messages.
        self.recent: TopicRoots = {}
        self.older: TopicRoots = {}

    def assign_threads(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Set the threads of messages to their topics, and keep only true replies."""
        forums = {chat for chat, _ in self.roots}
        threads: list[str | None] = []
        replies: list[str | None] = []
        for chat, number, reply in frame.select("channel_id", "id", "reply_to").iter_rows():
            thread = self.roots.get((chat, number))
            if thread is None and reply is not None and chat in forums:
                answered = (chat, reply)
                thread = self.recent.get(answered) or self.older.get(answered)
                if answered in self.roots:
                    thread, reply = self.roots[answered], None
                if thread is not None:
                    self.recent[chat, number] = thread
            threads.append(thread)
            replies.append(reply)
        if len(self.recent) > MAX_REMEMBERED:
            self.recent, self.older = {}, self.recent
        return frame.with_columns(
            thread=pl.Series(threads, dtype=pl.String), reply_to=pl.Series(replies, dtype=pl.String)
        )
