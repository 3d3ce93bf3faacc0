"""Google Hangouts as Google Takeout exported it: `Hangouts.json`.

Known from public parsers of such files and a description of a real one of 2014:

    {"conversations": [{"conversation": {"conversation_id": {"id": …}, "conversation": {"type",
    "name"?, "self_conversation_state", "participant_data": [{"id": {"gaia_id", "chat_id"},
    "fallback_name"?}]}}, "events": [event]}]}

and, until 2017, ``conversation_state`` in place of ``conversations``, with ``{"conversation_state":
{"conversation", "event": [event]}}`` in it. An event has ``conversation_id, sender_id{gaia_id},
timestamp`` (µs UTC), ``self_event_state{user_id}, event_id, event_type`` and, by its type,

- ``chat_message{message_content{segment[{type, text, link_data}], attachment[]}}`` (REGULAR_
  CHAT_MESSAGE, SMS): segments are TEXT, LINK and LINE_BREAK; an annotation of type 4 marks
  what was typed as `/me …`;
- ``membership_change``, ``conversation_rename``, ``hangout_event`` (calls), and others.

Not verified: the names of attachments, which are the last part of their addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote

import polars as pl

from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.chat_lists import Chat, get, get_objects, get_text, read_chats
from myna.sources._shared.json_stream import ListPattern
from myna.sources._shared.message_table import Attachment, ParsedMessage, attachment_kind

TITLE = "Google Hangouts (Takeout)"
READS = ("text", "attachments", "stickers", "calls", "system")

_NEW = ListPattern(
    key=b"events",
    boundary=re.compile(rb',\s*(?=\{\s*"conversation_id"\s*:\s*\{\s*"id")'),
    ending=re.compile(rb"\]\s*\}\s*\]\s*\}\s*\Z"),
    has_many_lists=True,
)
_OLD = _NEW._replace(key=b"event", ending=re.compile(rb"\]\s*\}\s*\}\s*\]\s*\}\s*\Z"))
_KEYS = (b'"conversation_id"', b'"participant_data"', b'"self_conversation_state"', b'"gaia_id"')
_BEGINNING = re.compile(rb'\{\s*"(?:conversations|conversation_state|continuation_end_timestamp)"')
_PHOTO_KINDS = {"PHOTO": "image", "ANIMATED_PHOTO": "gif", "VIDEO": "video"}

MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the keys of its conversations."""
    head = file.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    begins = _BEGINNING.match(head)
    if begins and sum(key in head for key in _KEYS) >= 3:
        return Recognition("hangouts", 0.97, "its conversations are those of Hangouts")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages of all conversations, in the file's order.

    Raises:
        SourceError: the file holds no conversations, or cannot be read.
    """
    yield from message_table.to_tables(
        _messages(file, tally), "hangouts", tally, zone_assumed=False, months_first=False
    )


def _messages(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    no_list = (
        f"{file.location} is no export of Hangouts: it has no list of events; "
        "take Hangouts.json from a Takeout"
    )
    is_old = re.search(rb'"conversation_state"\s*:\s*\[', file.head) is not None
    around = (b'{"a":[{"b":{' if is_old else b'{"a":[{', b"")
    shape = _OLD if is_old else _NEW
    chat: Chat | None = None
    names: dict[str, str] = {}
    channel = ""
    for fields, event in read_chats(file, shape, tally, no_list, around):
        if fields is not chat:
            chat = fields
            about = get(chat, "conversation", "conversation") or get(chat, "conversation")
            names = _names(about)
            channel = _channel(about, names, event) or PurePath(file.name).stem
        if me := _account(get(event, "self_event_state", "user_id")):
            tally.me = me
        yield _message(event, channel, names)


def _account(id_: Any) -> str:
    return get_text(id_, "gaia_id") or get_text(id_, "chat_id")


def _names(about: Any) -> dict[str, str]:
    """The names of a conversation's people, by account."""
    people = get_objects(about, "participant_data")
    return {
        account: get_text(person, "fallback_name")
        for person in people
        if (account := _account(person.get("id")))
    }


def _channel(about: Any, names: dict[str, str], event: dict[str, Any]) -> str:
    """A conversation's name, or those of its other people."""
    me = _account(get(event, "self_event_state", "user_id"))
    others = ", ".join(name or account for account, name in names.items() if account != me)
    return get_text(about, "name") or others


def _message(event: dict[str, Any], channel: str, names: dict[str, str]) -> ParsedMessage:
    account = _account(event.get("sender_id"))
    kind, text, files = _content(event, names)
    time = get_text(event, "timestamp")
    return ParsedMessage(
        author=names.get(account) or account or "unknown",
        author_id=account or None,
        text=text,
        sent_at=int(time) if time.isdecimal() and len(time) < 19 else time or None,
        channel=channel,
        channel_id=get_text(event, "conversation_id", "id") or None,
        id=get_text(event, "event_id") or None,
        kind=kind,
        attachments=files,
    )


def _content(
    event: dict[str, Any], names: dict[str, str]
) -> tuple[str, str, tuple[Attachment, ...]]:
    """The kind of an event, its text and its attachments."""
    content = get(event, "chat_message", "message_content")
    if isinstance(content, dict):
        text = "".join(map(_segment, get_objects(content, "segment")))
        notes = get_objects(event, "chat_message", "annotation")
        if any(get_text(note, "type") == "4" for note in notes):
            text = f"/me {text}"
        files = tuple(map(_file, get_objects(content, "attachment")))
        return "text", text, files
    if isinstance(call := event.get("hangout_event"), dict):
        seconds = get_text(call, "hangout_duration_secs")
        words = get_text(call, "event_type").lower().replace("_", " ")
        return "call", f"{words}, {seconds} s" if seconds else words, ()
    if isinstance(change := event.get("membership_change"), dict):
        people = [_account(person) for person in get_objects(change, "participant_id")]
        who = ", ".join(names.get(person) or person for person in people)
        return "system", f"{get_text(change, 'type').lower()}: {who}", ()
    if isinstance(rename := event.get("conversation_rename"), dict):
        return "system", f"renamed: {get_text(rename, 'new_name')}", ()
    return "system", get_text(event, "event_type").lower().replace("_", " "), ()


def _segment(segment: dict[str, Any]) -> str:
    """A segment's text; a link whose text is not its address has that behind it."""
    if segment.get("type") == "LINE_BREAK":
        return "\n"
    text = get_text(segment, "text")
    return text or get_text(segment, "link_data", "link_target")


def _file(attachment: dict[str, Any]) -> Attachment:
    item = attachment.get("embed_item")
    photo = get(item, "embeds.PlusPhoto.plus_photo") or get(item, "plus_photo")
    url = get_text(photo, "url") or get_text(item, "url")
    name = unquote(url.partition("?")[0].rpartition("/")[2])
    name = name if "." in name else ""
    kind = _PHOTO_KINDS.get(get_text(photo, "media_type"))
    return Attachment(kind or ("image" if photo else attachment_kind(name)), name)
