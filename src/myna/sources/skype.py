"""Skype's own export of an account, `messages.json`, which personal accounts of Teams have too.

Known from public parsers and typings of such files:

    {"userId": "8:ada", "exportDate": …, "conversations": [{"id": "8:bo", "displayName": "Bo",
    "threadProperties", "MessageList": [{"id", "displayName", "originalarrivaltime" (UTC),
    "messagetype", "content", "conversationid", "from": "8:bo", "properties"}]}]}

newest first. By ``messagetype``,

- Text is plain; RichText is XML: ``<quote messageid author>`` is the message that is answered,
  and no words of the sender's; ``<e_m ts_ms>`` says that it was edited; ``<at id>`` is a mention;
  ``<ss type>`` an emoticon, whose characters stand in it; RichText/Html is HTML.
- RichText/UriObject, Media_…, Files are attachments; RichText/Location, Contacts, Poll, and
  cards are not words; Event/Call is a call; ThreadActivity and the rest are notices.
- ``properties.deletetime`` is of deleted messages, ``properties.emotions`` are reactions.

Accounts ``28:…`` are programs. Not verified: the form of answers and files in personal Teams,
and ``properties.edittime`` there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import polars as pl

from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.chat_lists import Chat, get_objects, get_text, read_chats
from myna.sources._shared.json_stream import ListPattern
from myna.sources._shared.message_table import (
    Attachment,
    Mention,
    ParsedMessage,
    Reaction,
    attachment_kind,
)
from myna.sources._shared.rich_text import RichText, parse_rich_text

TITLE = "Skype or personal Teams JSON"
READS = (
    *("text", "replies", "mentions", "edits", "deleted", "attachments", "stickers", "voice"),
    *("calls", "system", "bots", "reactions"),
)

_SHAPE = ListPattern(
    key=b"MessageList",
    boundary=re.compile(rb',\s*(?=\{\s*"id"\s*:\s*"[0-9]{1,24}"\s*,\s*"displayName"\s*:)'),
    ending=re.compile(rb"\]\s*\}\s*\]\s*\}\s*\Z"),
    has_many_lists=True,
)
_USER = re.compile(rb'"userId"\s*:\s*"([^"\\]{1,300})"')
_MEDIA = {
    "RichText/Media_Video": "video",
    "RichText/Media_AudioMsg": "voice",
    "RichText/Media_FlikMsg": "sticker",
    "RichText/Media_GenericFile": "",
    "RichText/UriObject": "image",
    "RichText/Media_Album": "image",
    "RichText/Files": "",
    "Event/SkypeVideoMessage": "video",
}
_URI_KINDS = {"Picture": "image", "Video": "video", "Audio": "voice", "SWIFT": "", "File": ""}


class _Content(NamedTuple):
    """The content of a message."""

    kind: str
    text: str
    files: tuple[Attachment, ...] = ()
    mentions: tuple[Mention, ...] = ()
    reply_to: str | None = None
    edited: bool = False


MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the keys of the document and of its messages."""
    head = file.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    is_export = b'"MessageList"' in head or b'"exportDate"' in head[:4000]
    has_keys = b'"conversations"' in head and _USER.search(head[:4000])
    if head.startswith(b"{") and has_keys and is_export:
        return Recognition("skype", 0.97, "it is an account's data, with Skype's conversations")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages of all conversations, in the file's order.

    Raises:
        SourceError: the file holds no conversations, or cannot be read.
    """
    if user := _USER.search(file.head):
        tally.me = _account(user[1].decode("utf-8", "replace"))
    yield from message_table.to_tables(
        _messages(file, tally), "skype", tally, zone_assumed=False, months_first=False
    )


def _messages(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    no_list = (
        f"{file.location} is no export of Skype: it has no list of messages; "
        "give messages.json, from the archive that Skype made"
    )
    number = 0
    for number, (chat, item) in enumerate(
        read_chats(file, _SHAPE, tally, no_list, (b'{"a":[{', b""))
    ):
        yield _message(item, chat, -number)
    if number > 1 and tally.me is None:
        tally.notes.append("the export does not say whose it is")


def _account(id_: str) -> str:
    """An account without the number of its kind, unless it is a program."""
    return id_.removeprefix("8:")


def _message(item: dict[str, Any], chat: Chat, position: int) -> ParsedMessage:
    sender = get_text(item, "from").rpartition("/")[2]
    account = _account(sender)
    chat_id = get_text(chat, "id") or get_text(item, "conversationid")
    chat_name = get_text(chat, "displayName") or get_text(chat, "threadProperties", "topic")
    name = get_text(item, "displayName")
    if not name and sender == chat_id:
        name = chat_name
    content = _content(item)
    return ParsedMessage(
        author=name or account.removeprefix("live:").removeprefix(".cid.") or "unknown",
        author_id=account or None,
        handle=account or None,
        text=content.text,
        sent_at=get_text(item, "originalarrivaltime") or None,
        channel=chat_name or _account(chat_id) or "unknown",
        channel_id=chat_id or None,
        id=get_text(item, "id") or None,
        kind=content.kind,
        reply_to=content.reply_to,
        is_bot=sender.startswith("28:"),
        edited=content.edited,
        attachments=content.files,
        mentions=content.mentions,
        position=position,
        reactions=tuple(_reactions(item)),
    )


def _reactions(item: dict[str, Any]) -> Iterator[Reaction]:
    for emotion in get_objects(item, "properties", "emotions"):
        if (name := get_text(emotion, "key")) and (users := get_objects(emotion, "users")):
            by = (_account(get_text(user, "mri")) for user in users)
            yield Reaction(name, len(users), tuple(filter(None, by)))


def _content(item: dict[str, Any]) -> _Content:
    type_, raw = get_text(item, "messagetype"), get_text(item, "content")
    properties = item.get("properties")
    if get_text(properties, "deletetime"):
        return _Content("deleted", "")
    if type_ == "Event/Call" or type_ == "RichText/Media_CallRecording":
        return _Content("call", _call(raw))
    if type_ in _MEDIA:
        return _files(type_, raw)
    if type_ == "Text":
        return _Content("text" if raw else "deleted", raw)
    if type_ not in ("RichText", "RichText/Html"):
        return _Content("system", type_)
    rich = parse_rich_text(raw, is_html=type_ == "RichText/Html")
    is_edited = bool(rich.first("e_m")) or bool(get_text(properties, "edittime"))
    files = tuple(Attachment("image", "") for tag in rich.tags if tag.name == "img")
    kind = "text" if rich.text or files or rich.tags else "deleted"
    return _Content(kind, rich.text, files, _mentions(rich), _reply_to(rich), is_edited)


def _mentions(rich: RichText) -> tuple[Mention, ...]:
    """The accounts that are mentioned by id."""
    return tuple(
        Mention(_account(tag.attributes["id"]), tag.start, tag.end)
        for tag in rich.tags
        if tag.name == "at" and tag.attributes.get("id") and tag.start < tag.end
    )


def _reply_to(rich: RichText) -> str | None:
    """The id of the message that is quoted."""
    quote = rich.first("quote") or {}
    block = rich.first("blockquote") or {}
    return quote.get("messageid") or block.get("itemid") or None


def _call(raw: str) -> str:
    """The words for a call: how it ended, and its seconds."""
    rich = parse_rich_text(raw, is_html=False)
    state = (rich.first("partlist") or {}).get("type", "")
    seconds = re.search(r"<duration>([\d.]{1,12})</duration>", raw)
    words = f"call {state}".strip()
    return f"{words}, {float(seconds[1]):.0f} s" if seconds and _is_number(seconds[1]) else words


def _is_number(text: str) -> bool:
    return text.count(".") <= 1 and text != "."


def _files(type_: str, raw: str) -> _Content:
    """The attachments of a message of media; the words for them are no person's."""
    rich = parse_rich_text(raw, is_html=False)
    named = rich.first("originalname") or {}
    name = named.get("v", "")
    uri = (rich.first("uriobject") or {}).get("type", "").partition(".")[0]
    kind = _MEDIA[type_]
    if type_ == "RichText/UriObject" and uri in _URI_KINDS:
        kind = _URI_KINDS[uri]
    if type_ == "RichText/Files":
        names = re.findall(r"<file\b[^<>]{0,400}>([^<>]{1,300})</file>", raw)
        return _Content("text", "", tuple(Attachment(attachment_kind(n), n) for n in names))
    return _Content("text", "", (Attachment(kind or attachment_kind(name), name),))
