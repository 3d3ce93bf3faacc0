"""Telegram's messages: the fields of one, and the tables of many.

What the format is stands in `telegram`, whose documents and chats these messages are of.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import polars as pl

from myna import messages
from myna.sources import Tally
from myna.sources._shared import json_stream
from myna.sources._shared.json_objects import decode_with_damages, without_gc
from myna.sources._shared.json_stream import SEPARATORS, ItemBatch, ListPattern, Piece
from myna.sources._shared.message_table import (
    MAX_REMEMBERED,
    MentionSpan,
    attachment_kind,
    list_column,
)
from myna.sources._shared.times import UTC_TIME, in_datetime_range, parse_times

MESSAGE_LIST = ListPattern(
    key=b"messages",
    # Every message begins like this, and nothing else in such a list does.
    boundary=re.compile(
        rb',\s*(?=\{\s*"id"\s*:\s*-?[0-9]+\s*,\s*"type"\s*:\s*"(?:message|service|unsupported)")'
    ),
    # Known by the indentation: otherwise a message that is cut off could end like this.
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


class _Part(msgspec.Struct, gc=False):
    """A stretch of a text with markup."""

    type: str = "plain"
    text: str = ""
    href: str | None = None
    user_id: int | str | None = None


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
    text: str | list[str | _Part] | None = ""
    forwarded_from: str | None = ""  # null where it was a deleted account
    reply_to_message_id: int | str | None = None
    reply_to_peer_id: str | int | None = None
    via_bot: str | None = None
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
    """A chat; ``id`` has a prefix as that of a sender, with whom it may be the same."""

    id: str
    name: str
    type: str
    handles: dict[str, str]  # accounts whose login names are known


ChatBatch = list[tuple[Chat, ItemBatch]]


def account_id(number: int) -> str:
    """An account's id as newer exports write it, from an old one's number."""
    return f"{'channel' if number >= 2 * OLD_ID_SHIFT else 'user'}{number % OLD_ID_SHIFT}"


_Columns = defaultdict[str, list[Any]]
"""Columns of the message table by name; those of lists hold tuples that begin with a row."""

TopicRoots = dict[tuple[str, str], str]
"""Topics of forums: what the thread is called, by chat and the id of what began it."""


@without_gc()
def decode_batch(task: ChatBatch) -> tuple[pl.DataFrame, tuple[Tally, TopicRoots]]:
    """The message table of some items, what became of them, and topics that begin there."""
    tally = Tally()
    columns: _Columns = defaultdict(list)
    roots: TopicRoots = {}
    for place, (chat, batch) in enumerate(task):
        for piece in json_stream.load_batch(batch, MESSAGE_LIST):
            _add(columns, piece, place, chat, roots, tally)
            tally.bytes_done = piece.end
    return _table(columns, [chat for chat, _ in task]), (tally, roots)


def _add(
    columns: _Columns, piece: Piece, place: int, chat: Chat, roots: TopicRoots, tally: Tally
) -> None:
    """Add the messages of a piece: comprehensions for what all have, a loop for the rest."""
    found, damages = decode_with_damages(piece, MESSAGES_DECODER, MESSAGE_LIST)
    for damage in damages:
        # Behind damage at the end of all chats' list, its brackets can be left over.
        if not piece.data[damage.start - piece.start :].strip(SEPARATORS + b"]}"):
            continue
        tally.skip("damaged message", damage.location)
    every, found = found, [message for message in found if message.type != "unsupported"]
    if unsupported := len(every) - len(found):
        example = next(message.id for message in every if message.type == "unsupported")
        tally.skip("not supported by Telegram Desktop", f"message {example}", unsupported)
    tally.read += len(found)
    before = len(columns["id"])
    kind = ["text"] * len(found)
    text: list[Any] = [message.text for message in found]
    for row, message in enumerate(found):
        if message.type != "message":
            kind[row] = "call" if message.action in _CALLS else "system"
            text[row] = _notice(message)
            if message.action == "topic_created":
                roots[chat.id, str(message.id)] = f"{message.title or 'topic'} [{message.id}]"
            continue
        if not isinstance(text[row], str):
            text[row], kind[row], spans = _shown(message.text or [], chat)
            columns["mentions"] += [(before + row, *span) for span in spans]
        if message.forwarded_from != "":
            kind[row] = "forward"
        elif message.via_bot:
            kind[row] = "command"
        if message.poll is not None:
            text[row] = f"{text[row]}\n{message.poll.question}".strip()
        if message.photo or message.file or message.location_information or (
            message.contact_information
        ):  # fmt: skip
            columns["attachments"] += [(before + row, *file) for file in _files(message)]
    senders = [message.from_id or message.actor_id for message in found]
    shown = [message.sender or message.actor for message in found]
    if set(map(type, senders)) != {str}:
        for row, sender in enumerate(senders):
            if not isinstance(sender, str):
                senders[row], shown[row] = _sender(sender, shown[row], chat)
    bot = chat.id if chat.type == "bot_chat" else None
    columns["chat"] += [place] * len(found)
    columns["id"] += [str(message.id) for message in found]
    columns["author_id"] += senders
    columns["author"] += [name or DELETED_ACCOUNT for name in shown]
    columns["unix"] += [message.date_unixtime for message in found]
    columns["local"] += [None if message.date_unixtime else message.date for message in found]
    columns["kind"] += kind
    columns["text"] += text
    columns["reply_to"] += [
        None if message.reply_to_message_id is None else _reply(message, chat) for message in found
    ]
    columns["is_bot"] += [sender == bot for sender in senders]
    columns["edited"] += [
        message.edited is not None and message.edited > "1971" for message in found
    ]


def _notice(message: _Message) -> str:
    """What a notice says: Telegram has no text for it."""
    said = (message.action or "").replace("_", " ")
    return f"{said}: {message.title}" if message.title else said


def _shown(parts: str | list[str | _Part], chat: Chat) -> tuple[str, str, list[MentionSpan]]:
    """The text as it was shown, without what it quotes; its kind, and the mentions in it."""
    own = [part for part in parts if isinstance(part, str) or part.type != "blockquote"]
    has_quote = len(own) < len(parts)
    kind = "text"
    if has_quote and not "".join(p if isinstance(p, str) else p.text for p in own).strip():
        own, kind = list(parts), "forward"
    done: list[str] = []
    spans: list[MentionSpan] = []
    length = 0
    for number, part in enumerate(own):
        shown = part if isinstance(part, str) else part.text
        if isinstance(part, _Part):
            account = chat.handles.get(shown.lower()) if part.type == "mention" else None
            if part.type == "mention_name" and part.user_id is not None:
                shown, account = f"@{shown.removeprefix('@')}", f"user{part.user_id}"
            elif part.type == "text_link" and part.href and part.href not in shown:
                shown = f"{shown} ({part.href})"
            elif part.type == "bot_command" and number == 0:
                kind = "command"
            if account and shown:
                spans.append(MentionSpan(account, length, length + len(shown)))
        elif has_quote and not length:
            shown = shown.lstrip("\n")
        done.append(shown)
        length += len(shown)
    return "".join(done), kind, spans


def _files(message: _Message) -> Iterator[tuple[str, str]]:
    """Kinds and names of what was sent with a message."""
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
    """The name of a file, "" where it was not exported."""
    if path.endswith(")") and "(File " in path:
        return ""
    return re.split(r"[/\\]", path)[-1]


def _sender(number: int | None, name: str | None, chat: Chat) -> tuple[str, str | None]:
    """Account and name where the account is a number, or is not said."""
    if number is not None:
        return account_id(number), name
    if name is None and chat.type.endswith("_channel"):
        return chat.id, chat.name
    return name or "deleted", name


def _reply(message: _Message, chat: Chat) -> str | None:
    """What a message answers, if that is in the same chat."""
    elsewhere = message.reply_to_peer_id not in (None, chat.id)
    return None if elsewhere else str(message.reply_to_message_id)


def _table(columns: _Columns, chats: list[Chat]) -> pl.DataFrame:
    """The message table of columns as `_add` fills them."""
    height = len(columns["id"])
    times = _times(columns.pop("unix", []), columns.pop("local", []))
    places = pl.Series(columns.pop("chat", []), dtype=pl.UInt32)
    names = pl.Series([chat.name for chat in chats], dtype=pl.String)
    ids = pl.Series([chat.id for chat in chats], dtype=pl.String)
    special = {
        "channel": names.gather(places),
        "channel_id": ids.gather(places),
        "sent_at": times["sent_at"],
        "zone_assumed": times["zone_assumed"],
        "attachments": list_column("attachments", height, columns["attachments"]),
        "mentions": list_column("mentions", height, columns["mentions"]),
    }
    return messages.table({**columns, **special}).with_columns(
        source=pl.lit("telegram"),
        # Ids count up with time.
        position=pl.coalesce(pl.col("id").cast(pl.Int64, strict=False), "position"),
    )


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
    """The topics of forums, and which messages are in them."""

    def __init__(self) -> None:
        self.roots: TopicRoots = {}
        # Two generations, so that memory stays flat: what is answered is seldom old.
        self.recent: TopicRoots = {}
        self.older: TopicRoots = {}

    def sorted(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The messages with their topics as threads; only true replies stay such."""
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
