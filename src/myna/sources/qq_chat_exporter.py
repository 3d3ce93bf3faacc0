"""QQ chats that QQChatExporter (shuakami/qq-chat-exporter) wrote as JSON, versions 4 and 5.

Known from the exporter's source (types.rs and json_exporter.rs of version 5) and, for version
4, from public parsers:

- A document is ``{metadata{name, version}, chatInfo{name, type, selfUid, selfUin, peerUid,
  peerUin}, statistics, messages[], avatars?}``. In parts, `manifest.json` is the same
  without messages, and `chunks/*.jsonl` have one message on each line.
- A message has ``id, timestamp`` in ms, ``sender{uid, uin?, name, nickname?, groupCard?},
  type, content{text, elements[{type, data}], resources[{type, filename}], mentions[{uid,
  name}]}, recalled, system``; version 4 has ``messageId``, a ``timestamp`` of ISO 8601 or ms,
  ``content.reply``, ``isRecalled``, ``isSystemMessage`` and ``rawMessage``.
- Elements are text, at, face, market_face, image, video, audio, file, reply, forward, json,
  location and system. The text is made of them; ``content.text`` describes media and
  quotations in words of the exporter's, and is read where there are no elements.

Accounts are QQ numbers (`uin`), or else uids; a mention's uid becomes the number of whoever
wrote with it. The bots' own accounts of QQ could not be told from people's.
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
from myna.sources._shared.chat_lists import get, get_objects, get_text
from myna.sources._shared.json_objects import decode_repaired, read_objects
from myna.sources._shared.json_stream import ListPattern, pieces
from myna.sources._shared.message_table import Attachment, Mention, ParsedMessage, attachment_kind
from myna.sources._shared.text import read_lines

TITLE = "QQ (QQChatExporter JSON)"
READS = (
    *("text", "replies", "mentions", "deleted", "forwards", "attachments", "stickers", "voice"),
    "system",
)

MAX_MANIFEST_BYTES = 2**26
"""Size limit of manifest.json, which describes one chat."""

_SHAPE = ListPattern(
    key=b"messages",
    boundary=re.compile(
        rb',\s*(?=\{\s*"(?:id|messageId)"\s*:\s*"[^"\\]{1,80}"\s*,\s*'
        rb'"(?:seq|messageSeq|timestamp|msgSeq|messageRandom)"\s*:)'
    ),
    ending=re.compile(
        rb'\]\s*(?:,\s*"(?:exportOptions|avatars)"\s*:[^\]]{0,2000}(?:\][^\]]{0,500}){0,4})?'
        rb"\}\s*\Z"
    ),
)
_MESSAGES = msgspec.json.Decoder(list[dict[str, Any]])
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_LINE = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"id"\s*:\s*"[^"\\]*"\s*,\s*"seq"\s*:')
_RESOURCES = {"image": "image", "video": "video", "audio": "voice", "voice": "voice"}
_QUOTED = re.compile(r"\[回复[^\]\n]{0,400}\]\s*")
_PLACEHOLDER = re.compile(r"\[(?:图片|视频|语音|文件|表情|动画表情)[^\]\n]{0,200}\]")


class _Chat(NamedTuple):
    """The chat of an export; its name, its id, and the exporter."""

    name: str
    id: str | None
    me: str | None


MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the exporter's name, or the keys of its messages."""
    head = file.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"{"):
        return None
    if b'"chatInfo"' in head and (b"QQChatExporter" in head or b'"selfUin"' in head):
        if re.search(rb'"format"\s*:\s*"chunked-jsonl"', head):
            because = "it describes QQChatExporter's parts"
            return Recognition("qq_chat_exporter", 0.95, because, holds_messages=False)
        return Recognition("qq_chat_exporter", 0.97, "it has QQChatExporter's name")
    if _LINE.match(head) and b'"sender"' in head and b'"elements"' in head:
        return Recognition("qq_chat_exporter", 0.93, "its lines are QQChatExporter's messages")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order.

    Raises:
        SourceError: the file holds no messages of this format, or cannot be read.
    """
    if _LINE.match(file.head):
        chat, items = _manifest(file), _lines(file, tally)
    else:
        chat, items = _document(file), _from_document(file, tally)
    tally.me = chat.me
    yield from message_table.to_tables(
        _messages(items, chat, tally), "qq", tally, months_first=False
    )
    tally.bytes_done = file.size


def _from_document(file: ChatFile, tally: Tally) -> Iterator[dict[str, Any]]:
    no_list = (
        f"{file.location} is no export of QQChatExporter: it has no list of messages; "
        "export the chat again, as JSON"
    )
    yield from read_objects(file, _MESSAGES, _SHAPE, tally, no_list)


def _lines(file: ChatFile, tally: Tally) -> Iterator[dict[str, Any]]:
    for number, line in read_lines(file, tally, _is_object):
        if not line.strip():
            continue
        try:
            yield decode_repaired(line.removeprefix("\ufeff").encode("utf-8", "replace"), _OBJECT)
        except (ValueError, RecursionError) as error:
            tally.skip("damaged line", f"line {number}: {error}")


def _is_object(line: str) -> bool:
    """True for a last line that is whole."""
    try:
        _OBJECT.decode(line.removeprefix("\ufeff").encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return True


def _document(file: ChatFile) -> _Chat:
    with file.open() as stream:
        head = next(pieces(stream, _SHAPE))
    try:
        fields = decode_repaired(head.data.removeprefix(b"\xef\xbb\xbf") + b"]}", _OBJECT)
    except (ValueError, RecursionError):
        fields = {}
    return _chat(fields, PurePath(file.name).stem)


def _manifest(file: ChatFile) -> _Chat:
    """The chat by the manifest of an export in parts."""
    beside = file.sibling("../manifest.json") or file.sibling("manifest.json")
    fields: dict[str, Any] = {}
    if beside is not None and beside.size <= MAX_MANIFEST_BYTES:
        try:
            with beside.open() as stream:
                fields = decode_repaired(stream.read().removeprefix(b"\xef\xbb\xbf"), _OBJECT)
        except (SourceError, ValueError, RecursionError):
            pass  # the file's name is used instead
    return _chat(fields, PurePath(file.name).stem)


def _chat(fields: dict[str, Any], otherwise: str) -> _Chat:
    info = get(fields, "chatInfo")
    id_ = get_text(info, "peerUin") or get_text(info, "peerUid")
    me = get_text(info, "selfUin") or get_text(info, "selfUid")
    return _Chat(get_text(info, "name") or otherwise or "chat", id_ or None, me or None)


def _messages(
    items: Iterator[dict[str, Any]], chat: _Chat, tally: Tally
) -> Iterator[ParsedMessage]:
    numbers: dict[str, str] = {}  # QQ numbers by uid
    for item in items:
        sender = get(item, "sender")
        uin = get_text(sender, "uin") or get_text(item, "rawMessage", "senderUin")
        uid = get_text(sender, "uid") or get_text(item, "rawMessage", "senderUid")
        uin = "" if uin == "0" else uin
        if uin and uid:
            numbers[uid] = uin
        content = get(item, "content")
        if not isinstance(content, dict) or not (uin or uid or get_text(sender, "name")):
            tally.skip("no message", get_text(item, "id") or str(item))
            continue
        yield _message(item, content, uin or uid, chat, numbers)


def _message(
    item: dict[str, Any],
    content: dict[str, Any],
    account: str,
    chat: _Chat,
    numbers: dict[str, str],
) -> ParsedMessage:
    sender = get(item, "sender")
    card = get_text(sender, "groupCard") or get_text(item, "rawMessage", "sendMemberName")
    name = card or get_text(sender, "name") or get_text(sender, "nickname") or account
    elements = get_objects(content, "elements")
    kinds = {get_text(element, "type") for element in elements}
    text, mentions = _text(content, elements, numbers)
    files = tuple(_files(content, elements))
    kind = "text"
    if item.get("recalled") is True or item.get("isRecalled") is True:
        kind, text, files, mentions = "deleted", "", (), ()
    elif item.get("system") is True or item.get("isSystemMessage") is True or "system" in kinds:
        kind, text = "system", text or get_text(content, "text")
    elif not text and not files and kinds & {"forward", "json"}:
        kind, text = "forward", get_text(content, "text")
    elif not text and not files and "location" in kinds:
        kind, text = "system", get_text(content, "text")
    time = item.get("timestamp")
    return ParsedMessage(
        author=name or "unknown",
        author_id=account or None,
        handle=account or None,
        text=text,
        sent_at=str(time) if isinstance(time, int | float | str) and time else None,
        channel=chat.name,
        channel_id=chat.id,
        id=get_text(item, "id") or get_text(item, "messageId") or None,
        kind=kind,
        reply_to=_reply_to(content, elements),
        attachments=files,
        mentions=tuple(mentions),
    )


def _reply_to(content: dict[str, Any], elements: list[dict[str, Any]]) -> str | None:
    """The id of the answered message."""
    replies = [element.get("data") for element in elements if element.get("type") == "reply"]
    for reply in [*replies, content.get("reply")]:
        id_ = get_text(reply, "referencedMessageId") or get_text(reply, "messageId")
        if id_ and id_ != "0":
            return id_
    return None


def _text(
    content: dict[str, Any], elements: list[dict[str, Any]], numbers: dict[str, str]
) -> tuple[str, tuple[Mention, ...]]:
    """The text and its mentions."""
    if not elements:
        text = _QUOTED.sub("", get_text(content, "text"), count=1)
        return _PLACEHOLDER.sub("", text).strip(), ()
    parts: list[str] = []
    mentions: list[Mention] = []
    length = 0
    for element in elements:
        data, type_ = element.get("data"), element.get("type")
        part = ""
        if type_ == "text":
            part = get_text(data, "text")
        elif type_ == "face":
            name = get_text(data, "name").strip("/[]")
            part = f":{name or get_text(data, 'id')}:"
        elif type_ == "at":
            part = "@" + get_text(data, "name").removeprefix("@")
            uid = get_text(data, "uid") or get_text(data, "uin")
            if uid and uid != "all" and len(part) > 1:
                mentions.append(Mention(numbers.get(uid, uid), length, length + len(part)))
        parts.append(part)
        length += len(part)
    return "".join(parts), tuple(mentions)


def _files(content: dict[str, Any], elements: list[dict[str, Any]]) -> Iterator[Attachment]:
    """The attachments, from the elements or else the resources."""
    for element in elements:
        data, type_ = element.get("data"), get_text(element, "type")
        if type_ in ("market_face", "marketFace"):
            yield Attachment("sticker", get_text(data, "name").strip("[]"))
        elif type_ in _RESOURCES:
            yield Attachment(_RESOURCES[type_], get_text(data, "filename"))
        elif type_ == "file":
            name = get_text(data, "filename")
            yield Attachment(attachment_kind(name), name)
    if not elements:
        for resource in get_objects(content, "resources"):
            name = get_text(resource, "filename")
            kind = _RESOURCES.get(get_text(resource, "type"))
            yield Attachment(kind or attachment_kind(name), name)
