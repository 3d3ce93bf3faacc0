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
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePath
from typing import BinaryIO

import msgspec
import polars as pl

from myna.sources import ChatFile, Recognition, StoredTable, Tally
from myna.sources._shared import json_stream
from myna.sources._shared.files import HEAD_BYTES
from myna.sources._shared.json_objects import decode_repaired, is_complete, report_cut_off
from myna.sources._shared.json_stream import SEPARATORS, Piece
from myna.sources._shared.parallel import load_table, map_in_order
from myna.sources._shared.telegram_messages import (
    DELETED_ACCOUNT,
    MESSAGE_LIST,
    OLD_ID_SHIFT,
    Chat,
    ChatBatch,
    ForumTopics,
    account_id,
    decode_batch,
)

TITLE = "Telegram Desktop JSON"
READS = (
    *("text", "replies", "threads", "mentions", "edits", "forwards", "attachments", "stickers"),
    *("voice", "calls", "system", "bots", "reactions"),
)

_SINGLE_LIST = MESSAGE_LIST._replace(has_many_lists=False)

# Groups are not possessive: before Python 3.11.5 those go wrong.
_SCALAR = rb'(?:null|-?[0-9]++|"[^"\\]*+(?:\\.[^"\\]*+)*")'
_IS_SINGLE_CHAT = re.compile(
    rb'\{(?:\s*"(?:name|type|id)"\s*:\s*' + _SCALAR + rb'\s*,)*\s*"messages"\s*:'
)
_IS_ALL_CHATS = re.compile(
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


class _ChatFields(msgspec.Struct):
    id: int | str | None = None
    type: str | None = None
    name: str | None = None


_CHAT_FIELDS = msgspec.json.Decoder(_ChatFields)
_DOCUMENT = msgspec.json.Decoder(dict[str, msgspec.Raw])

MOST_CERTAIN = 0.98


def recognise(file: ChatFile) -> Recognition | None:
    """By the keys at the beginning, and the types of chats and messages."""
    head = file.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"{"):
        return None
    if _IS_ALL_CHATS.match(head) and (b"Telegram" in head or _TYPE.search(head)):
        return Recognition("telegram", 0.98, "it is an account's data, with Telegram's chats")
    if b'"messages"' in head and _TYPE.search(head):
        return Recognition("telegram", 0.98, "its chat is of a type of Telegram's")
    if _IS_SINGLE_CHAT.match(head) and _DATE.search(head) and MESSAGE_LIST.boundary.search(head):
        return Recognition("telegram", 0.9, "its messages are Telegram's")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame | StoredTable]:
    """The messages, in the file's order; ``position`` is the order of their ids in a chat.

    Raises:
        SourceError: the file holds no list of messages, or cannot be read.
    """
    around: list[Piece] = []  # pieces without messages: heads, and tail or lost
    is_single = _IS_SINGLE_CHAT.match(file.head.removeprefix(b"\xef\xbb\xbf").lstrip()) is not None
    topics = ForumTopics()
    with file.open() as stream:
        tasks = (_single_chat if is_single else _all_chats)(file, stream, around, tally)
        for table, (part, begun) in map_in_order(decode_batch, tasks, file):
            tally.add(part)
            topics.roots |= begun
            if table.height and topics.roots:
                yield topics.assign_threads(load_table(table))
            elif table.height:
                yield table
    end = around[-1]
    if end.kind == "tail":
        _check_end(end, is_single, tally)
    else:
        no_list = (
            f"{file.location} has no chats of Telegram Desktop: it has no list of messages; "
            "export again with chats, choosing JSON as the format"
        )
        report_cut_off(end, tally, no_list, "what follows its last message is lost")
    tally.bytes_done = file.size


def _single_chat(
    file: ChatFile, stream: BinaryIO, around: list[Piece], tally: Tally
) -> Iterator[ChatBatch]:
    """The batches of a document that is one chat."""
    chat = None
    for items in json_stream.batches(file, stream, _SINGLE_LIST, around):
        if chat is None:
            chat = _chat(around[0].data, file, {}, tally)
            tally.me = _exporter(chat, file.head)
        yield [(chat, items)]


def _all_chats(
    file: ChatFile, stream: BinaryIO, around: list[Piece], tally: Tally
) -> Iterator[ChatBatch]:
    """The batches of a document of many chats, most of which are small."""
    batch: ChatBatch = []
    size = 0
    handles: dict[str, str] = {}
    chat: Chat | None = None
    for piece in json_stream.pieces(stream, MESSAGE_LIST):
        if chat is not None and piece.kind == "items":
            batch.append((chat, [piece]))
            size += len(piece.data)
            if size >= json_stream.BATCH_BYTES:
                yield batch
                batch, size = [], 0
            continue
        around[:] = [piece]
        if piece.kind == "head":
            if piece.start == 0:
                tally.me, handles = _owner(piece.data)
            chat = _chat(piece.data, file, handles, tally)
            if tally.me is None and chat.type == "saved_messages":
                tally.me = chat.id
    if batch:
        yield batch


def _chat(head: bytes, file: ChatFile, handles: dict[str, str], tally: Tally) -> Chat:
    """The chat whose messages follow this head."""
    near = head.removeprefix(b"\xef\xbb\xbf")[-HEAD_BYTES:]
    begins = [match.start() for match in _OBJECT.finditer(near)]
    fields = _ChatFields()
    with suppress(ValueError, RecursionError, IndexError):
        fields = decode_repaired(near[begins[-1] :] + b"]}", _CHAT_FIELDS)
    kind = fields.type or ""
    name = fields.name or _UNNAMED.get(kind)
    if name is None:
        if fields.id is None:
            tally.notes.append("a chat does not say which it is: named after the file")
        name = PurePath(file.name).stem if fields.id is None else DELETED_ACCOUNT
    number = fields.id if fields.id is not None else name
    if isinstance(number, int) and _OLD_SENDER.search(file.head):
        number %= OLD_ID_SHIFT
    is_user = kind.endswith("_chat") or kind in _UNNAMED
    prefix = "user" if is_user else "chat" if kind == "private_group" else "channel"
    return Chat(f"{prefix}{number}", name, kind, handles)


def _owner(head: bytes) -> tuple[str | None, dict[str, str]]:
    """The exporter's account, and the account by its login name, as in mentions."""
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


def _exporter(chat: Chat, head: bytes) -> str | None:
    """The exporter of a private chat: the account in it that the chat is not named after."""
    if chat.type == "saved_messages":
        return chat.id
    if chat.type not in ("personal_chat", "bot_chat"):
        return None
    senders = re.finditer(rb'"(?:from|actor)_id"\s*:\s*(?:"(user[0-9]+)"|([0-9]{1,20}))', head)
    accounts = (one[1].decode() if one[1] else account_id(int(one[2])) for one in senders)
    return next((sender for sender in accounts if sender != chat.id), None)


def _check_end(end: Piece, is_single: bool, tally: Tally) -> None:
    """Note if the end of a document is missing."""
    rest = end.data.lstrip(SEPARATORS)
    if not is_complete((b"{" if is_single else b'{"chats":{"list":[{') + rest):
        what = "none is missing" if is_single else "there may have been more chats"
        tally.notes.append(f"the export breaks off behind a last message: {what}")
        if rest.strip(SEPARATORS + b"}]"):
            tally.skip_bytes(end.start, end.end)
