"""Microsoft Teams: messages as Microsoft Graph lists them, which exporters save as JSON.

After Graph's documentation of chatMessage (v1.0): a document ``{"@odata.context", "value":
[message]}``, or a list of messages, or a document of a chat with ``messages``:

- ``id, replyToId, messageType, createdDateTime, lastEditedDateTime, deletedDateTime, subject,
  chatId, channelIdentity{teamId, channelId}, from{user|application{id, displayName}},
  body{contentType, content}, attachments[], mentions[], reactions[], eventDetail, replies[]``.
- The content is HTML. ``<at id="0">`` is the mention with that number; ``<attachment id>``
  stands for an attachment, ``<emoji alt>`` for an emoji, ``<img>`` for a picture.
- An attachment is a file ("reference"), the answered message ("messageReference"), a message
  that is passed on ("forwardedMessageReference"), or a card, which is nobody's words.
- In a channel, an answer has the ``replyToId`` of the message that began the thread.
- Notices have the messageType systemEventMessage, calls a call's eventDetail.

Not verified on real exports: which further fields their programs add. Personal accounts have
an export of another form, which the reader `skype` reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec
import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.chat_lists import get, get_objects, get_text, open_object
from myna.sources._shared.json_objects import decode_items, is_complete, report_cut_off
from myna.sources._shared.json_stream import SEPARATORS, ListPattern, Piece, pieces, pieces_from
from myna.sources._shared.message_table import (
    Attachment,
    Mention,
    ParsedMessage,
    attachment_kind,
    count_reactions,
)
from myna.sources._shared.rich_text import RichText, parse_rich_text

TITLE = "Microsoft Teams JSON (Graph)"
READS = (
    *("text", "replies", "threads", "mentions", "edits", "deleted", "forwards", "attachments"),
    *("voice", "calls", "system", "bots", "reactions"),
)

_VALUE = ListPattern(
    key=b"value",
    # Messages may hold their answers, which begin as they do: no pattern is safe.
    boundary=re.compile(rb"(?!)"),
    ending=re.compile(rb"\]\s*\}\s*\Z"),
)
_ITEMS = msgspec.json.Decoder(list[dict[str, Any]])
_BOM = b"\xef\xbb\xbf"
_LIST = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[")
_KEYS = tuple(
    re.compile(rb'"%b"\s*:' % key)
    for key in (b"createdDateTime", b"messageType", b"contentType", b"body", b"from")
)


class _Body(NamedTuple):
    """The words of a message, its mentions, and the pictures in it."""

    text: str
    mentions: tuple[Mention, ...]
    images: int


MOST_CERTAIN = 0.95


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the keys of its messages."""
    head = file.head.removeprefix(_BOM).lstrip()
    if head.startswith((b"{", b"[")) and all(key.search(head) for key in _KEYS):
        return Recognition("teams", 0.95, "its messages are those of Microsoft Graph")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order, each followed by the answers in it.

    Raises:
        SourceError: the file holds no list of messages, or cannot be read.
    """
    yield from message_table.to_tables(
        _messages(file, tally), "teams", tally, zone_assumed=False, months_first=False
    )
    if not tally.read and _LIST.match(file.head) and recognise(file) is None:
        raise SourceError(_no_list(file))
    tally.bytes_done = file.size


def _no_list(file: ChatFile) -> str:
    return (
        f"{file.location} is no export of Teams: it has no list of messages; "
        "save them as Microsoft Graph gives them, as JSON"
    )


def _messages(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    chat: dict[str, Any] = {}
    for piece in _pieces(file):
        if piece.kind == "head":
            chat = open_object(piece.data)
        elif piece.kind == "items":
            for item in decode_items(piece, _ITEMS, _VALUE, tally):
                yield from _with_answers(item, chat, file, tally)
        elif piece.kind == "lost":
            report_cut_off(piece, tally, _no_list(file), "what follows its last message is lost")
        elif _LIST.match(file.head):
            if piece.data.strip(SEPARATORS):
                tally.skip_bytes(piece.start, piece.end)
                tally.notes.append("something that is no message stands behind the list")
        elif not is_complete(b"{" + piece.data.lstrip(SEPARATORS)):
            tally.notes.append("the export breaks off behind its last message: none is missing")
        tally.bytes_done = min(piece.end, file.size)


def _pieces(file: ChatFile) -> Iterator[Piece]:
    shape = _VALUE
    if re.search(rb'"value"\s*:\s*\[', file.head) is None:
        shape = _VALUE._replace(key=b"messages")
    with file.open() as stream:
        begin = _LIST.match(file.head)
        yield from pieces_from(stream, shape, begin.end()) if begin else pieces(stream, shape)


def _with_answers(
    item: dict[str, Any], chat: dict[str, Any], file: ChatFile, tally: Tally
) -> Iterator[ParsedMessage]:
    """A message, and the answers that it holds."""
    if "messageType" not in item and "createdDateTime" not in item:
        tally.skip("no message", str(item))
        return
    yield _message(item, chat, file)
    for answer in get_objects(item, "replies"):
        yield _message(answer, chat, file)


def _message(item: dict[str, Any], chat: dict[str, Any], file: ChatFile) -> ParsedMessage:
    sender = item.get("from")
    program = get(sender, "application") or get(sender, "device")
    person = get(sender, "user") or program
    account, name = get_text(person, "id"), get_text(person, "displayName")
    root = get_text(item, "replyToId")
    body = _body(item)
    kind, text, files, reply_to = "text", body.text, tuple(_files(item, body)), root
    parts = get_objects(item, "attachments")
    for part in parts:
        if part.get("contentType") == "messageReference":
            reply_to = get_text(_content(part), "messageId") or get_text(part, "id") or root
    event = get_text(item, "eventDetail", "@odata.type").rpartition(".")[2]
    if get_text(item, "deletedDateTime"):
        kind, text, files = "deleted", "", ()
    elif "call" in event.lower():
        kind, text = "call", event
    elif event or get_text(item, "messageType") not in ("message", ""):
        kind, text = "system", event or text or get_text(item, "messageType")
    elif any(part.get("contentType") == "forwardedMessageReference" for part in parts):
        kind = "forward" if not text else kind
    elif not text and not files and parts and not reply_to:
        kind = "forward"  # a card
    place = get(item, "channelIdentity")
    channel_id = get_text(item, "chatId") or get_text(place, "channelId")
    shown = (get_text(chat, key) for key in ("topic", "displayName", "name"))
    return ParsedMessage(
        author=name or account or "unknown",
        author_id=account or None,
        text=text,
        sent_at=get_text(item, "createdDateTime") or None,
        space=get_text(place, "teamId"),
        channel=next(filter(None, shown), "") or PurePath(file.name).stem or channel_id,
        channel_id=channel_id or get_text(chat, "id") or None,
        thread=(root or None) if place else None,
        id=get_text(item, "id") or None,
        kind=kind,
        reply_to=reply_to or None,
        is_bot=not get(sender, "user") and program is not None,
        edited=bool(get_text(item, "lastEditedDateTime")) and kind == "text",
        attachments=files,
        mentions=body.mentions if kind == "text" else (),
        reactions=count_reactions(
            (get_text(reaction, "reactionType"), get_text(reaction, "user", "user", "id"))
            for reaction in get_objects(item, "reactions")
        ),
    )


def _body(item: dict[str, Any]) -> _Body:
    raw = get_text(item, "body", "content")
    if get_text(item, "body", "contentType") == "text":
        rich = RichText(raw.strip(), [])
    else:
        rich = parse_rich_text(raw, is_html=True)
    people = {
        get_text(mention, "id"): get_text(mention, "mentioned", "user", "id")
        for mention in get_objects(item, "mentions")
    }
    mentions = tuple(
        Mention(account, tag.start, tag.end)
        for tag in rich.tags
        if tag.name == "at" and tag.start < tag.end
        if (account := people.get(tag.attributes.get("id", "")))
    )
    text = rich.text
    if subject := get_text(item, "subject").strip():
        text = f"{subject}\n{text}" if text else subject
        shift = len(subject) + 1
        mentions = tuple(Mention(m.author_id, m.start + shift, m.end + shift) for m in mentions)
    return _Body(text, mentions, sum(tag.name == "img" for tag in rich.tags))


def _files(item: dict[str, Any], body: _Body) -> Iterator[Attachment]:
    """The attachments that are files, and the pictures in the text."""
    for part in get_objects(item, "attachments"):
        type_, name = get_text(part, "contentType"), get_text(part, "name")
        if type_ == "reference" or type_.startswith(("image/", "audio/", "video/")):
            family = type_.partition("/")[0]
            kinds = {"image": "image", "audio": "voice", "video": "video"}
            yield Attachment(kinds.get(family) or attachment_kind(name), name)
    for _ in range(min(body.images, 100)):
        yield Attachment("image", "")


def _content(part: dict[str, Any]) -> Any:
    """An attachment's content, which is JSON in a text."""
    try:
        return msgspec.json.decode(get_text(part, "content").encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
