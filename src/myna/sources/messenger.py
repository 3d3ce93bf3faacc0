"""Facebook Messenger and Instagram: the JSON of "download your information".

There are two shapes. Both have no ids of accounts or messages.

-   ``…/messages/inbox/CHAT/message_1.json``, and 2, 3, … for older parts of some 10,000
    messages: ``{participants[{name}], messages[{sender_name, timestamp_ms, content, photos,
    videos, gifs, audio_files, files, sticker, share, reactions, call_duration, is_unsent}],
    title, thread_path, …}``, newest first. Each string is UTF-8 read as Latin-1, so
    "Ã©" stands for "é". What the platform says stands in ``content`` like a person's words;
    only old exports have a ``type`` (Generic, Share, Call, Subscribe, Unsubscribe). It is
    known here by its wording after the sender's name, see `notice_words`, or in English after
    "You". Instagram keeps an edited message twice: the newer one has "(edited)" behind it.
-   Chats that are encrypted end to end, a download of their own: ``NAME_7.json`` with
    ``{participants[names], threadName, messages[{senderName, timestamp, text, type, media[],
    isUnsent, reactions}]}``, in true UTF-8. Media that are absent are "Failed to download
    media"; a ``type`` of placeholder is taken for a message that is gone, as other readers
    of the format do. That the newest comes first there too is an assumption.

Messages are ordered by their milliseconds, so the order holds across the parts of a chat.
The exporter is not named; a chat of two is named after the other person. A shared link is
text, its preview is not. Instagram is recognised by the path of the file or of the media in
it; other files count as Messenger's.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec
import polars as pl

from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.html import find_mentions
from myna.sources._shared.json_objects import decode_repaired, read_objects
from myna.sources._shared.json_stream import SEPARATORS, ListPattern, pieces
from myna.sources._shared.message_table import (
    UNKNOWN,
    Attachment,
    ParsedMessage,
    attachment_kind,
    count_reactions,
)
from myna.sources._shared.notice_words import notice_kind, without_edit_mark

TITLE = "Messenger or Instagram JSON"
READS = (
    *("text", "mentions", "edits", "deleted", "attachments", "stickers", "voice", "calls"),
    *("system", "reactions"),
)

_SHAPE = ListPattern(
    key=b"messages",
    boundary=re.compile(rb',\s*(?=\{\s*"(?:sender_name|isUnsent)"\s*:)'),
    # No message has a list before a title; the figure keeps hostile input linear.
    ending=re.compile(rb'\]\s*,\s*"title"\s*:[\s\S]{0,5000}\}\s*\Z'),
)

MAX_EDIT_TIME = 20 * 60 * 1_000_000
"""Microseconds in which Instagram lets people edit a message (15 minutes), and some more."""

MAX_EDITS = 50
"""Edited messages whose earlier version is still looked for."""

MIN_LIKENESS = 0.5
"""Of a message and its edited version (difflib's ratio)."""

_SENT = re.compile(
    r"(?:sent|shared) (?:an? |the |\d+ )?(?:attachment|link|photo|video|GIF|sticker|file|post|reel|"
    r"story|voice message|audio|location|live location|contact)s?\.?"
)
_CALL = re.compile(
    r"(?:called (?:you|\S+)|missed (?:your|a) (?:video |audio )?(?:call|chat)|(?:started|joined) "
    r"(?:an? |the )(?:video |audio |group )*(?:call|chat)|ended the call)\b"
)
_NOTICE = re.compile(
    r"(?:(?:named|created|left|joined) (?:the|this) group|(?:added|removed) .+ (?:to|from) the "
    r"group|changed the (?:group photo|group name|theme|chat theme|chat colou?rs)|set the "
    r"(?:nickname|emoji|quick reaction)|(?:set|cleared) (?:your|his|her|their|the) "
    r"(?:own )?nickname|(?:un)?pinned a message|unsent a message|turned (?:on|off) "
    r"(?:vanish mode|disappearing messages)|created a poll|voted for|changed (?:their )?vote"
    r"|(?:reacted|Reacted) .{1,20} to (?:your|a) message|liked a message)\b"
)
_WHOLE_NOTICE = re.compile(
    r"(?:Reacted .{1,20} to your message|Liked a message|You are now connected on Messenger\.|"
    r"This poll is no longer available\.|(?:You can now (?:message and )?call each other|Say hi to "
    r"your new Facebook friend|Messages and calls are secured with end-to-end encryption).*)\s*",
    re.DOTALL,
)
_WHOLE_CALL = re.compile(r"The (?:video |audio |group )*(?:call|chat) (?:has )?ended\.")


class _Fields(msgspec.Struct, gc=False):
    """The fields of an object that are read; all others are skipped."""


class _Medium(_Fields):
    uri: str | None = None


class _Share(_Fields):
    link: str | None = None


class _Reaction(_Fields):
    reaction: str | None = None
    actor: str | None = None


class _Message(
    _Fields, rename={"encrypted_sender": "senderName", "is_encrypted_unsent": "isUnsent"}
):
    sender_name: str | None = None
    encrypted_sender: str | None = None
    timestamp_ms: int | str | None = None
    timestamp: int | str | None = None
    content: str | None = None
    text: str | None = None
    type: str | None = None
    is_unsent: bool | None = False
    is_encrypted_unsent: bool | None = False
    photos: list[_Medium] | None = None
    videos: list[_Medium] | None = None
    gifs: list[_Medium] | None = None
    audio_files: list[_Medium] | None = None
    files: list[_Medium] | None = None
    media: list[_Medium] | None = None
    sticker: _Medium | None = None
    share: _Share | None = None
    call_duration: msgspec.Raw = msgspec.Raw()
    reactions: list[_Reaction] | None = None


class _Document(_Fields):
    """The document without its messages."""

    participants: Any = None
    title: str | None = None
    thread_path: str | None = None
    threadName: str | None = None  # noqa: N815 (as in the format)


_MESSAGES = msgspec.json.Decoder(list[_Message])
_DOCUMENT = msgspec.json.Decoder(_Document)


class _Chat(NamedTuple):
    """The platform, name and people of a chat; `is_garbled`: its strings need repair."""

    source: str
    id: str
    name: str
    people: tuple[str, ...]
    is_garbled: bool


MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by the keys of messages, or those around them."""
    head = file.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"{") or b'"messages"' not in head:
        return None
    if b'"sender_name"' in head and b'"timestamp_ms"' in head:
        return Recognition("messenger", 0.97, "its messages have sender_name and timestamp_ms")
    if b'"threadName"' in head and b'"participants"' in head:
        return Recognition("messenger", 0.95, "it has a threadName and participants")
    if b'"participants"' in head and b'"thread_path"' in head:
        return Recognition("messenger", 0.95, "it has a thread_path and participants")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order, which is newest first; ``position`` is by time.

    Raises:
        SourceError: the file holds no list of messages, or cannot be read.
    """
    chat = _chat(file)
    if len(chat.people) == 2 and chat.name in chat.people:
        tally.me = chat.people[chat.people[0] == chat.name]
    messages = _messages(file, chat, tally)
    yield from message_table.to_tables(
        messages, chat.source, tally, zone_assumed=False, months_first=False
    )


def _chat(file: ChatFile) -> _Chat:
    """The chat, from the fields before and behind the messages."""
    fields: dict[str, Any] = {}
    with file.open() as stream:
        for piece in pieces(stream, _SHAPE):
            if piece.kind == "head":
                fields |= _fields(piece.data.removeprefix(b"\xef\xbb\xbf") + b"]}")
            elif piece.kind == "tail":
                fields |= _fields(b"{" + piece.data.lstrip(SEPARATORS))
    listed = _as_list(fields.get("participants"))
    names = [one.get("name") if isinstance(one, dict) else one for one in listed]
    people = [name for name in names if isinstance(name, str)]
    stem = PurePath(file.name).stem
    if thread := fields.get("threadName"):
        name = re.sub(r"_\d+$", "", thread)
        return _Chat("messenger", thread, name, tuple(people), is_garbled=False)
    people = [_repaired(name) for name in people]
    name = _repaired(fields.get("title") or "") or ", ".join(people) or stem
    chat_id = (fields.get("thread_path") or "").rpartition("/")[2].lower()
    if not chat_id:
        chat_id = (
            file.folder_name.lower() if stem.startswith("message_") and file.folder_name else name
        )
    return _Chat(_platform(file), chat_id, name, tuple(people), is_garbled=True)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _fields(data: bytes) -> dict[str, Any]:
    """The document's own fields in this piece of it."""
    try:
        document = decode_repaired(data, _DOCUMENT)
    except (ValueError, RecursionError):
        return {}
    values = {name: getattr(document, name) for name in document.__struct_fields__}
    return {name: value for name, value in values.items() if value is not None}


def _platform(file: ChatFile) -> str:
    """The platform: "messenger" or "instagram"."""
    path = file.location.lower()
    instagram = path.rfind("instagram")
    facebook = max(path.rfind("facebook"), path.rfind("messenger"))
    if instagram == facebook:  # neither
        instagram = file.head.find(b"your_instagram_activity")
        facebook = file.head.find(b"your_facebook_activity")
    return "instagram" if instagram > facebook else "messenger"


def _messages(file: ChatFile, chat: _Chat, tally: Tally) -> Iterator[ParsedMessage]:
    """The messages, one by one; the tally counts the rest."""
    no_list = (
        f"{file.location} is not a chat of Messenger or Instagram: it has no list of messages; "
        "download your information again, choosing JSON as the format"
    )
    found = read_objects(file, _MESSAGES, _SHAPE, tally, no_list, "older messages may be missing")
    last, newer_same_time = None, 0
    edits: deque[ParsedMessage] = deque(maxlen=MAX_EDITS)
    for number, message in enumerate(found, 1):
        time = message.timestamp_ms or message.timestamp
        if time is None and not (message.sender_name or message.encrypted_sender):
            tally.skip("no sender and no time", f"message {number} of the file")
            continue
        newer_same_time = newer_same_time + 1 if time == last else 0
        last = time
        sent = _message(message, chat, time, newer_same_time)
        later = next((edit for edit in edits if _is_version(sent, edit)), None)
        if later is not None:
            edits.remove(later)
            tally.skip("earlier version of an edited message", f"message {number} of the file")
            if sent.edited:  # it was edited twice
                edits.append(later._replace(text=sent.text, sent_at=sent.sent_at))
            continue
        if sent.edited:
            edits.append(sent)
        yield sent


def _is_version(sent: ParsedMessage, edit: ParsedMessage) -> bool:
    """True if a message is an earlier version of an edited one: soon before, and much the same.

    The newest message comes first in the file.
    """
    if sent.author != edit.author or sent.kind != "text" or not sent.text:
        return False
    begin, end = sent.sent_at, edit.sent_at
    if not (isinstance(begin, int) and isinstance(end, int) and 0 <= end - begin <= MAX_EDIT_TIME):
        return False
    first, second = sent.text[:500].casefold(), edit.text[:500].casefold()
    return SequenceMatcher(None, first, second, autojunk=False).ratio() >= MIN_LIKENESS


def _message(
    message: _Message, chat: _Chat, time: int | str | None, newer_same_time: int
) -> ParsedMessage:
    """Convert a message; `same` newer ones have the same time."""
    repair = _repaired if chat.is_garbled else str
    author = repair(message.sender_name or message.encrypted_sender or "") or UNKNOWN
    text = repair(message.content or message.text or "")
    files = tuple(_files(message))
    is_gone = message.type == "placeholder" and not text
    kind = "text"
    if message.is_unsent or message.is_encrypted_unsent or is_gone:
        kind, text, files = "deleted", "", ()
    else:
        kind, own_text = _kind(message, author, text)
        if kind == "text" and not own_text and text and not files and message.share is None:
            files = (Attachment("file", ""),)
        text = _with_link(message, own_text)
    names = {name: name for name in chat.people} if "@" in text else {}
    position = None
    if isinstance(time, int) and abs(time) < 10**14:
        position = time * 1000 + 999 - min(newer_same_time, 999)
    edited = without_edit_mark(text) if chat.source == "instagram" and kind == "text" else None
    return ParsedMessage(
        author=author,
        text=text if edited is None else edited,
        edited=edited is not None,
        sent_at=time * 1000 if isinstance(time, int) else time,
        channel=chat.name,
        channel_id=chat.id,
        kind=kind,
        attachments=files,
        mentions=tuple(find_mentions(text, names, [])) if names else (),
        position=position,
        reactions=count_reactions(
            (repair(one.reaction or ""), repair(one.actor or "")) for one in message.reactions or ()
        ),
    )


def _kind(message: _Message, author: str, text: str) -> tuple[str, str]:
    """The kind of a message, and the text that its author wrote."""
    if message.call_duration or message.type == "Call":
        return "call", text
    if message.type in ("Subscribe", "Unsubscribe"):
        return "system", text
    notice = notice_kind(author, text) or _you_kind(text)
    if notice == "sent":
        return "text", ""
    if notice:
        return notice, text
    if _WHOLE_CALL.fullmatch(text):
        return "call", text
    return "system" if _WHOLE_NOTICE.fullmatch(text) else "text", text


def _you_kind(text: str) -> str | None:
    """The kind of a notice about the exporter, which begins with "You"."""
    if not text.startswith("You "):
        return None
    predicate = text.removeprefix("You ")
    if _SENT.fullmatch(predicate.rstrip()):
        return "sent"
    if _CALL.match(predicate):
        return "call"
    return "system" if _NOTICE.match(predicate) else None


def _with_link(message: _Message, text: str) -> str:
    """The text with the shared link, unless that is of a story it answers."""
    link = message.share.link if message.share is not None else None
    if not link or link in text or (text and "/stories/" in link):
        return text
    return f"{text}\n{link}" if text else link


def _files(message: _Message) -> Iterator[Attachment]:
    """The attachments of a message."""
    for kind, media in (
        ("image", message.photos),
        ("video", message.videos),
        ("gif", message.gifs),
        ("voice", message.audio_files),
    ):
        for medium in media or ():
            yield Attachment(kind, _name(medium))
    for medium in [*(message.files or ()), *(message.media or ())]:
        yield Attachment(attachment_kind(_name(medium)), _name(medium))
    if message.sticker is not None:
        yield Attachment("sticker", _name(message.sticker))


def _name(medium: _Medium) -> str:
    """The name of a file, or ""."""
    uri = _repaired(medium.uri or "")
    return uri.partition("?")[0].rpartition("/")[2] if "/" in uri else ""


def _repaired(text: str) -> str:
    """Repair a string whose UTF-8 was read as Latin-1; other strings stay."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
