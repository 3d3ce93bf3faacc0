r"""Telegram Desktop's ``result.json``: one chat, or all of an account's.

The writer is Telegram Desktop's export_output_json.cpp, read in versions of 2019 and 2023:

-   One chat is ``{name, type, id, messages[]}``; an account is ``{about,
    personal_information, contacts, …, chats{about, list[chat]}, left_chats{…}}``. Saved
    messages and replies have no name; that of a deleted account is null.
-   A message has ``id``, ``type`` (message, service; unsupported with nothing else), ``date``
    (local, no zone), ``date_unixtime`` (not in old exports), ``edited`` (in old exports
    1970 where it was not), ``from`` (null: deleted account) and ``from_id``, and as a
    notice ``actor``, ``actor_id``, ``action``.
-   ``text`` is a string, or a list of strings and ``{type, text}``; ``text_entities`` says
    the same again and is not read.
-   Control characters are written as ``\x0B``, which is no JSON.
-   A file that was not exported is "(File not included. …)" in place of its path.
-   The messages of a group before it became a supergroup have negative ids.
-   Old exports have numbers for ids: an account's own, or 2³² more; for groups and
    channels, 2·2³² more (kUserPeerIdShift and kChatPeerIdShift in export_data_types.cpp).
    A sender with such a number is taken for a channel, which is an assumption.
-   A message in a topic of a forum that answers nothing "replies" to the notice that
    began the topic (messageReplyHeader of Telegram's API, with forum_topic). So do those
    that answer one of these, by way of it; the exporter itself writes no topic.

In a private chat with another account `tally.me` is whoever is not that account. Words in
a quotation block are not the author's own; what was sent by way of a bot is a command.
Who signed the posts of a channel is not read: they are the channel's.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePath
from typing import Any, BinaryIO, NamedTuple

import msgspec
import polars as pl

from myna import messages
from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally, _json_stream
from myna.sources._columns import attachment_kind, lists
from myna.sources._file import HEAD
from myna.sources._json_stream import SEPARATORS, Batch, Piece, Shape, without_gc
from myna.sources._parallel import ordered
from myna.sources._sent import REMEMBERED, Span
from myna.sources._times import UTC, utc

TITLE = "Telegram Desktop JSON"
READS = (
    *("text", "replies", "threads", "mentions", "edits", "forwards", "attachments", "stickers"),
    *("voice", "calls", "system", "bots"),
)

_ALL = Shape(
    key=b"messages",
    # Every message begins like this, and nothing else in such a list does.
    boundary=re.compile(
        rb',\s*(?=\{\s*"id"\s*:\s*-?[0-9]+\s*,\s*"type"\s*:\s*"(?:message|service|unsupported)")'
    ),
    # Known by the indentation: otherwise a message that is cut off could end like this.
    ending=re.compile(rb"\]\r?\n(?:\}|   \}\r?\n  \]\r?\n \}\r?\n\})\s*\Z"),
    several=True,
)
_ONE = _ALL._replace(several=False)

_SCALAR = rb'(?:null|-?[0-9]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")'
_IS_ONE = re.compile(rb'\{(?:\s*"(?:name|type|id)"\s*:\s*' + _SCALAR + rb'\s*,)*+\s*"messages"\s*:')
_IS_ALL = re.compile(
    rb'\{\s*"about"\s*:\s*' + _SCALAR + rb'\s*,\s*"(?:personal_information|profile_pictures|'
    rb'stories|contacts|frequent_contacts|sessions|web_sessions|other_data|chats|left_chats)"\s*:'
)
_TYPE = re.compile(
    rb'"type"\s*:\s*"(?:(?:personal|bot)_chat|saved_messages|replies|verification_codes|'
    rb'private_group|(?:private|public)_(?:supergroup|channel))"'
)
_DATE = re.compile(rb'"date"\s*:\s*"[0-9-]+T[0-9:]+"')
_OBJECT = re.compile(rb'\{\s*"[^"\\]*+"\s*:')
_PERSONAL = re.compile(rb'"personal_information"\s*:\s*(?=\{)')
_OLD_SENDER = re.compile(rb'"(?:from|actor)_id"\s*:\s*[0-9]')

_UNNAMED = {"saved_messages": "Saved Messages", "replies": "Replies"}
_UNNAMED |= {"verification_codes": "Verification Codes"}
_DELETED = "Deleted Account"
_CALLS = ("phone_call", "group_call", "conference_call")
_MEDIA = {
    "sticker": "sticker",
    "animation": "gif",
    "voice_message": "voice",
    "video_message": "video",
    "video_file": "video",
    "audio_file": "file",
}
_SHIFT = 2**32
_LAST_SECOND = 253_402_300_800  # the year 10000, which no datetime can say


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


class _ChatFields(msgspec.Struct):
    id: int | str | None = None
    type: str | None = None
    name: str | None = None


_MESSAGES = msgspec.json.Decoder(list[_Message])
_CHAT_FIELDS = msgspec.json.Decoder(_ChatFields)
_DOCUMENT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def recognise(file: ChatFile) -> Recognition | None:
    """By the keys at the beginning, and what types of chats and messages there are."""
    head = file.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"{"):
        return None
    if _IS_ALL.match(head) and (b"Telegram" in head or _TYPE.search(head)):
        return Recognition("telegram", 0.98, "it is an account's data, with Telegram's chats")
    if b'"messages"' in head and _TYPE.search(head):
        return Recognition("telegram", 0.98, "its chat is of a type of Telegram's")
    if _IS_ONE.match(head) and _DATE.search(head) and _ALL.boundary.search(head):
        return Recognition("telegram", 0.9, "its messages are Telegram's")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order; ``position`` is the order of their ids in a chat.

    Raises:
        SourceError: the file holds no list of messages, or cannot be read.
    """
    around: list[Piece] = []  # what is no message: heads, and tail or what is lost
    is_one = _IS_ONE.match(file.head.removeprefix(b"\xef\xbb\xbf").lstrip()) is not None
    topics = _Topics()
    with file.open() as stream:
        tasks = (_one if is_one else _all)(file, stream, around, tally)
        for frame, part, begun in ordered(_batch, tasks, file.size, file.place):
            tally.add(part)
            topics.roots |= begun
            if frame.height:
                yield topics.sorted(frame) if topics.roots else frame
    end = around[-1]
    if end.kind == "tail":
        _check_end(end, is_one, tally)
    elif end.start or _is_cut_off(end.data):
        tally.lose(end.start, end.end)
        tally.notes.append(f"the export breaks off after {tally.read:,} messages")
    else:
        raise SourceError(
            f"{file.place} has no chats of Telegram Desktop: it has no list of messages; "
            "export again with chats, choosing JSON as the format"
        )
    tally.bytes_done = file.size


class _Chat(NamedTuple):
    """A chat; ``id`` has a prefix as that of a sender, with whom it may be the same."""

    id: str
    name: str
    type: str
    handles: dict[str, str]  # accounts whose login names are known


_Task = list[tuple[_Chat, Batch]]


def _one(file: ChatFile, stream: BinaryIO, around: list[Piece], tally: Tally) -> Iterator[_Task]:
    """The batches of a document that is one chat."""
    chat = None
    for batch in _json_stream.batches(file, stream, _ONE, around):
        if chat is None:
            chat = _chat(around[0].data, file, {}, tally)
            tally.me = _other_than(chat, file.head)
        yield [(chat, batch)]


def _all(file: ChatFile, stream: BinaryIO, around: list[Piece], tally: Tally) -> Iterator[_Task]:
    """The batches of a document of many chats, most of which are small."""
    task: _Task = []
    size = 0
    handles: dict[str, str] = {}
    chat: _Chat | None = None
    for piece in _json_stream.pieces(stream, _ALL):
        if chat is not None and piece.kind == "items":
            task.append((chat, [piece]))
            size += len(piece.data)
            if size >= _json_stream.BATCH:
                yield task
                task, size = [], 0
            continue
        around[:] = [piece]
        if piece.kind == "head":
            if piece.start == 0:
                tally.me, handles = _owner(piece.data)
            chat = _chat(piece.data, file, handles, tally)
            if tally.me is None and chat.type == "saved_messages":
                tally.me = chat.id
    if task:
        yield task


def _chat(head: bytes, file: ChatFile, handles: dict[str, str], tally: Tally) -> _Chat:
    """The chat whose messages begin behind this."""
    near = head.removeprefix(b"\xef\xbb\xbf")[-HEAD:]
    begins = [found.start() for found in _OBJECT.finditer(near)]
    fields = _ChatFields()
    with suppress(ValueError, RecursionError, IndexError):
        fields = _json_stream.decode_repaired(near[begins[-1] :] + b"]}", _CHAT_FIELDS)
    kind = fields.type or ""
    name = fields.name or _UNNAMED.get(kind)
    if name is None:
        if fields.id is None:
            tally.notes.append("a chat does not say which it is: named after the file")
        name = PurePath(file.name).stem if fields.id is None else _DELETED
    number = fields.id if fields.id is not None else name
    if isinstance(number, int) and _OLD_SENDER.search(file.head):
        number %= _SHIFT
    is_user = kind.endswith("_chat") or kind in _UNNAMED
    prefix = "user" if is_user else "chat" if kind == "private_group" else "channel"
    return _Chat(f"{prefix}{number}", name, kind, handles)


def _owner(head: bytes) -> tuple[str | None, dict[str, str]]:
    """Whose account it is, and the login name that others mention it by."""
    if (begin := _PERSONAL.search(head)) is None:
        return None, {}
    near = head[begin.end() : begin.end() + 16 * 1024].decode("utf-8", "replace")
    try:
        owner, _ = json.JSONDecoder(strict=False).raw_decode(near)
    except (ValueError, RecursionError):
        return None, {}
    me = f"user{owner.get('user_id')}" if isinstance(owner.get("user_id"), int) else None
    handle = owner.get("username")
    return me, {handle.lower(): me} if me and isinstance(handle, str) else {}


def _other_than(chat: _Chat, head: bytes) -> str | None:
    """Who exported a private chat: the account in it that the chat is not named after."""
    if chat.type == "saved_messages":
        return chat.id
    if chat.type not in ("personal_chat", "bot_chat"):
        return None
    senders = re.finditer(rb'"(?:from|actor)_id"\s*:\s*(?:"(user[0-9]+)"|([0-9]{1,20}))', head)
    found = (one[1].decode() if one[1] else _peer(int(one[2])) for one in senders)
    return next((sender for sender in found if sender != chat.id), None)


def _peer(number: int) -> str:
    """An account's id as newer exports write it, from an old one's number."""
    return f"{'channel' if number >= 2 * _SHIFT else 'user'}{number % _SHIFT}"


def _is_cut_off(data: bytes) -> bool:
    """Whether this is the beginning of a document, and not a whole other one."""
    begins = data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
    return begins and len(data) <= _json_stream.HEAD_LIMIT and not _is_whole(data)


def _is_whole(data: bytes) -> bool:
    try:
        _json_stream.decode_repaired(data.removeprefix(b"\xef\xbb\xbf"), _DOCUMENT)
    except (ValueError, RecursionError):
        return False
    return True


def _check_end(end: Piece, is_one: bool, tally: Tally) -> None:
    """Note what the end of a document says about it."""
    rest = end.data.lstrip(SEPARATORS)
    if not _is_whole((b"{" if is_one else b'{"chats":{"list":[{') + rest):
        what = "none is missing" if is_one else "there may have been more chats"
        tally.notes.append(f"the export breaks off behind a last message: {what}")
        if rest.strip(SEPARATORS + b"}]"):
            tally.lose(end.start, end.end)
    if not tally.read and not tally.skipped:
        tally.notes.append("the export holds no messages")


_Columns = defaultdict[str, list[Any]]
"""Columns of the message table by name; those of lists hold tuples that begin with a row."""

_Roots = dict[tuple[str, str], str]
"""Topics of forums: what the thread is called, by chat and the id of what began it."""


@without_gc()
def _batch(task: _Task) -> tuple[pl.DataFrame, Tally, _Roots]:
    """The message table of some items, what became of them, and topics that begin there."""
    tally = Tally()
    columns: _Columns = defaultdict(list)
    roots: _Roots = {}
    for place, (chat, batch) in enumerate(task):
        for piece in _json_stream.load(batch):
            _add(columns, piece, place, chat, roots, tally)
            tally.bytes_done = piece.end
    return _table(columns, [chat for chat, _ in task]), tally, roots


def _add(
    columns: _Columns, piece: Piece, place: int, chat: _Chat, roots: _Roots, tally: Tally
) -> None:
    """Add the messages of a piece: comprehensions for what all have, a loop for the rest."""
    found, damages = _json_stream.decode(piece, _MESSAGES, _ALL)
    for damage in damages:
        # Behind damage at the end of all chats' list, its brackets can be left over.
        if not piece.data[damage.start - piece.start :].strip(SEPARATORS + b"]}"):
            continue
        where = f"bytes {damage.start} to {damage.end}: {damage.problem}"
        tally.skip("damaged message", where)
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
    columns["author"] += [name or _DELETED for name in shown]
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


def _shown(parts: str | list[str | _Part], chat: _Chat) -> tuple[str, str, list[Span]]:
    """The text as it was shown, without what it quotes; its kind, and the mentions in it."""
    own = [part for part in parts if isinstance(part, str) or part.type != "blockquote"]
    has_quote = len(own) < len(parts)
    kind = "text"
    if has_quote and not "".join(p if isinstance(p, str) else p.text for p in own).strip():
        own, kind = list(parts), "forward"
    done: list[str] = []
    spans: list[Span] = []
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
                spans.append(Span(account, length, length + len(shown)))
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


def _sender(number: int | None, name: str | None, chat: _Chat) -> tuple[str, str | None]:
    """Account and name where the account is a number, or is not said."""
    if number is not None:
        return _peer(number), name
    if name is None and chat.type.endswith("_channel"):
        return chat.id, chat.name
    return name or "deleted", name


def _reply(message: _Message, chat: _Chat) -> str | None:
    """What a message answers, if that is in the same chat."""
    elsewhere = message.reply_to_peer_id not in (None, chat.id)
    return None if elsewhere else str(message.reply_to_message_id)


def _table(columns: _Columns, chats: list[_Chat]) -> pl.DataFrame:
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
        "attachments": lists("attachments", height, columns["attachments"]),
        "mentions": lists("mentions", height, columns["mentions"]),
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
        sent_at=pl.when(pl.col("seconds").abs() < _LAST_SECOND)
        .then(pl.col("seconds") * 1_000_000)
        .cast(UTC),
        zone_assumed=False,
    )
    if not frame["sent_at"].null_count():
        return frame
    read = utc(local)
    return frame.select(
        sent_at=pl.coalesce("sent_at", read["sent_at"]),
        zone_assumed=pl.col("sent_at").is_null() & read["zone_assumed"],
    )


class _Topics:
    """The topics of forums, and which messages are in them."""

    def __init__(self) -> None:
        self.roots: _Roots = {}
        # Two generations, so that memory stays flat: what is answered is seldom old.
        self.recent: _Roots = {}
        self.older: _Roots = {}

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
        if len(self.recent) > REMEMBERED:
            self.recent, self.older = {}, self.recent
        return frame.with_columns(
            thread=pl.Series(threads, dtype=pl.String), reply_to=pl.Series(replies, dtype=pl.String)
        )
