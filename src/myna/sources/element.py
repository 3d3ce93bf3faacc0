"""Matrix rooms that Element exported as JSON.

The document is known from Element's own `JSONExport.ts`: ``room_name, room_creator, topic,
export_date, exported_by, messages[]``, indented by two blanks, in a file of its own or, with
attachments, as `export.json` in an archive. The messages are the room's events, oldest
first, decrypted: ``type, sender, event_id, origin_server_ts`` (ms) and ``content``, with
what the Matrix specification (client-server API, "Room events") says of them.

- An edit is an event of its own (m.replace with m.new_content), which Element leaves out,
  or stands in the edited event's ``unsigned`` (m.relations), or has replaced its content.
- A deleted event has an empty content, and ``redacted_because`` in its ``unsigned``.
- A reply has m.in_reply_to, and from older clients begins with a quote, `> <@ada:x.org> …`.
  In a thread (m.thread) it may be there only for clients that know no threads.
- A file's body is its name, or a caption where it has a ``filename`` as well.
- Mentions are links to matrix.to in the ``formatted_body``.
- m.notice is what bots send. An emote is read as what was typed, `/me waves`.
- A person's name is in their latest m.room.member event, if the export goes back to it;
  otherwise it is the first part of their id.
- ``exported_by`` is a name: `tally.me` is the member with that name, if only one has it.

Not verified: events of polls, voice messages and calls beyond what the specification and its
proposals (MSC3381, MSC3245, MSC3401) say.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import unquote

import msgspec
import polars as pl

from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.json_objects import decode_repaired, read_objects
from myna.sources._shared.json_stream import ListPattern, pieces
from myna.sources._shared.message_table import (
    Attachment,
    Mention,
    ParsedMessage,
    attachment_kind,
    count_reactions,
)

TITLE = "Element (Matrix) JSON"
READS = (
    *("text", "replies", "threads", "mentions", "edits", "deleted", "attachments", "stickers"),
    *("voice", "calls", "system", "bots", "reactions"),
)

_SHAPE = ListPattern(
    key=b"messages",
    # Only events are indented so, and no string contains a line break.
    boundary=re.compile(rb",\r?\n    (?=\{\s)"),
    ending=re.compile(rb"\n  \]\r?\n\}\s*\Z"),
)
_EVENTS = msgspec.json.Decoder(list[dict[str, Any]])
_DOCUMENT = msgspec.json.Decoder(dict[str, Any])
_FILES = ("m.image", "m.video", "m.audio", "m.file")
_POLLS = ("m.poll.start", "org.matrix.msc3381.poll.start")
_TEXTS = ("m.text", "org.matrix.msc1767.text")
_IGNORED_TYPES = ("m.reaction", "m.room.redaction")
_FALLBACK = re.compile(r"> (?:\* )?<@[^\n]*(?:\n>[^\n]*)*\n*+")
_PILL = re.compile(
    r'<a href="https://matrix\.to/#/(@[^"?<>]{1,300}+)[^"<>]{0,300}+"[^<>]{0,300}+>([^<]{1,300}+)</a>'
)
_MAX_MENTIONS = 100  # in one text

_Event = dict[str, Any]


class MatrixRoom:
    """The names, edits, deletions and reactions of a Matrix room, read before its messages."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.name = _text(document.get("room_name"))
        self.exporter = _text(document.get("exported_by"))
        self.names: dict[str, str] = {}
        self.edits: dict[tuple[str, str], _Event] = {}  # the last, by event and sender
        self.deleted: set[str] = set()
        self.reactions: dict[str, list[tuple[str, str]]] = {}  # keys and senders, by event

    def add_event(self, event: _Event) -> None:
        """Collect a name, an edit, a deletion or a reaction from an event."""
        content, sender = _dict(event.get("content")), _text(event.get("sender"))
        if event.get("type") == "m.room.member":
            if name := _text(content.get("displayname")):
                self.names[_text(event.get("state_key")) or sender] = name
        elif event.get("type") == "m.room.redaction":
            self.deleted.add(_text(event.get("redacts")) or _text(content.get("redacts")))
        elif event.get("type") == "m.reaction":
            relation = _dict(content.get("m.relates_to"))
            if key := _text(relation.get("key")):
                given = self.reactions.setdefault(_text(relation.get("event_id")), [])
                given.append((key, sender))
        elif target := edited_event_id(event):
            before = self.edits.get((target, sender))
            if before is None or _time(before) <= _time(event):
                self.edits[target, sender] = event

    def display_name(self, account: str) -> str:
        """The display name of an account."""
        return self.names.get(account) or account.removeprefix("@").partition(":")[0] or "Unknown"

    def exporter_account(self) -> str | None:
        """The account that made the export, if it is known."""
        if self.exporter.startswith("@"):
            return self.exporter
        accounts = [account for account, name in self.names.items() if name == self.exporter]
        return accounts[0] if len(accounts) == 1 else None


MOST_CERTAIN = 0.95


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by the first keys."""
    head = file.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    keys = (b'"room_name"', b'"exported_by"', b'"messages"')
    if head.startswith(b"{") and all(key in head for key in keys):
        return Recognition("element", 0.95, "it has a room and the name of the exporter")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order; a first pass collects edits and names.

    Raises:
        SourceError: the file holds no list of messages, or cannot be read.
    """
    room = MatrixRoom(_head(file))
    for event in _events(file, Tally()):
        room.add_event(event)
    tally.me = room.exporter_account()
    messages = room_messages(_events(file, tally), room, tally)
    yield from message_table.to_tables(
        messages, "matrix", tally, zone_assumed=False, months_first=False
    )


def _events(file: ChatFile, tally: Tally) -> Iterator[_Event]:
    no_list = (
        f"{file.location} is not an export of Element: it has no list of messages; "
        "export the chat again, choosing JSON as the format"
    )
    yield from read_objects(file, _EVENTS, _SHAPE, tally, no_list, "what follows is not read")
    tally.bytes_done = file.size


def _head(file: ChatFile) -> dict[str, Any]:
    """The fields before the messages."""
    with file.open() as stream:
        head = next(pieces(stream, _SHAPE))
    try:
        return decode_repaired(head.data.removeprefix(b"\xef\xbb\xbf") + b"]}", _DOCUMENT)
    except (ValueError, RecursionError):
        return {}


def room_messages(
    events: Iterator[_Event], room: MatrixRoom, tally: Tally
) -> Iterator[ParsedMessage]:
    """The messages of a room's events; those that could not be decrypted are counted."""
    already_edited: set[tuple[str, str]] = set()  # events that were read with their last edit
    for event in events:
        sender, id_ = _text(event.get("sender")), _text(event.get("event_id"))
        if event.get("type") in _IGNORED_TYPES:
            continue
        target = edited_event_id(event)
        if target and (target, sender) in already_edited:
            continue
        key = (target or id_, sender)
        edit = room.edits.get(key) or _embedded_edit(event)
        already_edited |= {key} if key in room.edits else set()
        message = _message(event, target or id_, edit, room)
        if message is None:
            tally.skip("message that could not be decrypted", id_)
        else:
            yield message


def _message(
    event: _Event, id_: str, edit: _Event | None, room: MatrixRoom
) -> ParsedMessage | None:
    """Convert an event to a message with the text of its last edit; None if it is encrypted."""
    original = _dict(event.get("content"))
    content = original
    if edit is not None:
        content = _dict(_dict(edit.get("content")).get("m.new_content")) or original
    type_, msgtype = _text(event.get("type")), _text(content.get("msgtype"))
    if type_ == "m.room.encrypted" or msgtype == "m.bad.encrypted":
        return None
    unsigned = _dict(event.get("unsigned"))
    relation = _dict(original.get("m.relates_to"))
    in_thread = relation.get("rel_type") == "m.thread"
    reply_to = _text(_dict(relation.get("m.in_reply_to")).get("event_id"))
    if in_thread and relation.get("is_falling_back") is True:
        reply_to = ""
    kind, text, files = _content(type_, content)
    mentions: tuple[Mention, ...] = ()
    if id_ in room.deleted or "redacted_because" in unsigned:
        kind, text, files = "deleted", "", ()
    elif kind == "text":
        if reply_to and (quote := _FALLBACK.match(text)):
            text = text[quote.end() :]
        text, mentions = _with_mentions(text, _text(content.get("formatted_body")))
        text = f"/me {text}" if msgtype == "m.emote" else text
        mentions = tuple(
            Mention(span.author_id, span.start + 4, span.end + 4) if msgtype == "m.emote" else span
            for span in mentions
        )
    sender = _text(event.get("sender"))
    return ParsedMessage(
        author=room.display_name(sender),
        text=text,
        sent_at=_time(event) * 1000 or None,
        channel=room.name or "room",
        channel_id=_text(event.get("room_id")) or None,
        thread=(_text(relation.get("event_id")) or None) if in_thread else None,
        id=id_ or None,
        author_id=sender or None,
        handle=sender or None,
        kind=kind,
        reply_to=reply_to or None,
        is_bot=msgtype == "m.notice",
        edited=edit is not None,
        attachments=files,
        mentions=mentions,
        reactions=count_reactions(room.reactions.get(id_, ())),
    )


def _content(type_: str, content: dict[str, Any]) -> tuple[str, str, tuple[Attachment, ...]]:
    """The kind of an event, its text and its attachments."""
    body, msgtype = _text(content.get("body")), _text(content.get("msgtype"))
    if type_ == "m.sticker":
        return "text", "", (Attachment("sticker", body),)
    if type_ in _POLLS:
        texts = (_text(content.get(key)) for key in (*_TEXTS, "body"))
        return "text", next(filter(None, texts), ""), ()
    if "m.call" in type_ or "call.member" in type_:
        return "call", type_, ()
    if type_ != "m.room.message":
        return "system", " ".join(filter(None, (type_, _text(content.get("membership"))))), ()
    if msgtype in _FILES:
        name = _text(content.get("filename")) or body
        return "text", "" if name == body else body, (Attachment(_file_kind(content, name), name),)
    return "text" if msgtype in ("m.text", "m.notice", "m.emote") else "system", body, ()


def _file_kind(content: dict[str, Any], name: str) -> str:
    if "org.matrix.msc3245.voice" in content:
        return "voice"
    if content.get("msgtype") == "m.image":
        return "gif" if _dict(content.get("info")).get("mimetype") == "image/gif" else "image"
    return "video" if content.get("msgtype") == "m.video" else attachment_kind(name)


def _with_mentions(text: str, formatted: str) -> tuple[str, tuple[Mention, ...]]:
    """Replace each link to a person by `@name`; return the text and its mentions."""
    done: list[str] = []
    spans: list[Mention] = []
    length = after = 0  # length of `done`; end of the last mention in `text`
    for match in islice(_PILL.finditer(formatted), _MAX_MENTIONS):
        account, label = unquote(match[1]), html.unescape(match[2])
        # Some clients leave the link in the text.
        link = f"[{label}](https://matrix.to/#/{match[1]})"
        in_text = link if text.find(link, after) >= 0 else label
        start = text.find(in_text, after)
        if start < 0:
            continue
        name = "@" + label.removeprefix("@")
        done += [text[after:start], name]
        length += start - after
        spans.append(Mention(account, length, length + len(name)))
        length += len(name)
        after = start + len(in_text)
    return "".join([*done, text[after:]]), tuple(spans)


def edited_event_id(event: _Event) -> str:
    """The id of the event that this one edits; "" if it is no edit."""
    relation = _dict(_dict(event.get("content")).get("m.relates_to"))
    return _text(relation.get("event_id")) if relation.get("rel_type") == "m.replace" else ""


def _embedded_edit(event: _Event) -> _Event | None:
    """The last edit, if the event contains it."""
    inside = _dict(_dict(event.get("unsigned")).get("m.relations")).get("m.replace")
    return inside if isinstance(inside, dict) else None


def _time(event: _Event) -> int:
    """Milliseconds since 1970 UTC; 0 if the event has no time."""
    time = event.get("origin_server_ts")
    return time if isinstance(time, int) else 0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
