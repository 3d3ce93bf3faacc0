"""Google Chat as Google Takeout exports it.

Known from published schemas of real exports:

    Google Chat/Groups/DM k6oxHQAAAAE/messages.json       or Groups/Space AAAAFyOfy4w/
    Google Chat/Groups/DM k6oxHQAAAAE/group_info.json     name (of spaces), members[]
    Google Chat/Users/User 1234/user_info.json            the owner of the account

- ``messages.json`` is ``{messages: [...]}`` with ``creator{name,email,user_type}``,
  ``created_date`` such as "Thursday, November 3, 2016 at 11:59:50 AM UTC" (newer exports
  have U+202F before AM), ``text?``, ``attached_files[{original_name,export_name}]?``,
  ``annotations[]?``, ``topic_id``, ``message_id``.
- A ``message_id`` is the ids of group, topic and message with slashes. A topic has the id
  of its first message, so one with another id answers that; where a space has no topics
  each message is its own.
- ``user_type`` is "Human" or, of programs, something else ("Bot").

Dates are in the words of the account's language. Deleted messages may have neither creator
nor ``created_date``, but ``deleted_date``.

Unverified: ``message_state`` "DELETED" and ``deletion_metadata`` of deleted messages,
``updated_date`` of edited ones, ``quoted_message_metadata.message_id`` of what is quoted,
``video_call_metadata`` in the annotations of calls. Links, videos and files of Drive in
the annotations stand in the text as well. Mentions are not read: the text has the names.
The folder of a chat does not tell the account that made the export.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.json_objects import read_objects
from myna.sources._shared.json_stream import ListPattern
from myna.sources._shared.message_table import (
    UNKNOWN,
    Attachment,
    ParsedMessage,
    Reaction,
    attachment_kind,
)

TITLE = "Google Chat (Takeout)"
READS = (
    *("text", "replies", "edits", "deleted", "attachments", "stickers", "voice", "calls"),
    *("bots", "reactions"),
)

MAX_INFO_BYTES = 2**24
"""Size limit of group_info.json, which lists the members of one group."""

_SHAPE = ListPattern(
    key=b"messages",
    boundary=re.compile(rb',\s*(?=\{\s*"creator"\s*:\s*\{\s*"name"\s*:)'),
    ending=re.compile(rb"\]\s*\}\s*\Z"),
)
_GROUP = re.compile(r"(?:DM|Space) \S+")


class _User(msgspec.Struct):
    name: str | None = None
    email: str | None = None
    user_type: str | None = None


class _File(msgspec.Struct):
    original_name: str | None = None
    export_name: str | None = None


class _Object(msgspec.Struct):
    """An object of which only the presence matters."""


class _Annotation(msgspec.Struct):
    video_call_metadata: _Object | None = None


class _Quoted(msgspec.Struct):
    message_id: str | None = None


class _Emoji(msgspec.Struct):
    unicode: str | None = None


class _Reaction(msgspec.Struct):
    emoji: _Emoji | None = None
    reactor_emails: tuple[str, ...] = ()


class _Message(msgspec.Struct):
    created_date: str | None = None
    deleted_date: str | None = None
    creator: _User | None = None
    text: str | None = None
    topic_id: str | None = None
    message_id: str | None = None
    updated_date: str | None = None
    message_state: str | None = None
    deletion_metadata: _Object | None = None
    attached_files: tuple[_File, ...] = ()
    annotations: tuple[_Annotation, ...] = ()
    quoted_message_metadata: _Quoted | None = None
    reactions: tuple[_Reaction, ...] = ()


class _Group(msgspec.Struct):
    name: str | None = None
    members: tuple[_User, ...] = ()


_MESSAGES = msgspec.json.Decoder(list[_Message])
_BOM = b"\xef\xbb\xbf"

MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise messages by their keys, and lists of members by their file names."""
    keys = {key for key in (b"creator", b"created_date", b"topic_id") if b'"%b"' % key in file.head}
    if len(keys) == 3 and b'"messages"' in file.head:
        return Recognition("google_chat", 0.97, "its messages have a creator and a topic")
    name = file.name.lower()
    is_members = name == "group_info.json" and b'"members"' in file.head
    if is_members or (name == "user_info.json" and b'"membership_info"' in file.head):
        because = "it is a list of members, of Google Chat"
        return Recognition("google_chat", 0.9, because, holds_messages=False)
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order.

    Raises:
        SourceError: the file holds no list of messages, or cannot be read.
    """
    messages = _messages(file, tally)
    yield from message_table.to_tables(messages, "google_chat", tally, months_first=True)


def _messages(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    channel = _channel(file)
    channel_id = file.folder_name if _GROUP.fullmatch(file.folder_name) else None
    no_list = (
        f"{file.location} is not an export of Google Chat: it has no list of messages; "
        "take messages.json from the folder Google Chat/Groups of a Takeout"
    )
    for message in read_objects(file, _MESSAGES, _SHAPE, tally, no_list):
        yield _message(message, channel, channel_id)


def _channel(file: ChatFile) -> str:
    """The chat's name: the space's, or its members' names, or the folder's."""
    beside = file.sibling("group_info.json")
    group = _Group()
    if beside is not None and beside.size <= MAX_INFO_BYTES:
        try:
            with beside.open() as stream:
                group = msgspec.json.decode(stream.read().removeprefix(_BOM), type=_Group)
        except (SourceError, ValueError, RecursionError):
            pass  # the folder's name is used instead
    members = ", ".join(name for user in group.members if (name := user.name or user.email))
    return group.name or members or file.folder_name or file.name


def _message(message: _Message, channel: str, channel_id: str | None) -> ParsedMessage:
    creator = message.creator or _User()
    text = message.text or ""
    ids = (message.message_id or "").split("/")
    kind = "text"
    if message.message_state == "DELETED" or message.deletion_metadata is not None:
        kind, text = "deleted", ""
    elif not text and any(note.video_call_metadata for note in message.annotations):
        kind = "call"
    quoted = message.quoted_message_metadata
    reply_to = quoted.message_id if quoted else None
    if reply_to is None and len(ids) == 3 and ids[1] != ids[2]:
        reply_to = f"{ids[0]}/{ids[1]}/{ids[1]}"
    names = [file.original_name or file.export_name or "" for file in message.attached_files]
    return ParsedMessage(
        author=creator.name or creator.email or UNKNOWN,
        author_id=creator.email,
        handle=creator.email,
        text=text,
        sent_at=message.created_date or message.deleted_date,
        channel=channel,
        channel_id=channel_id or (ids[0] if len(ids) == 3 else None),
        id=message.message_id or None,
        kind=kind,
        reply_to=reply_to,
        is_bot=creator.user_type not in (None, "", "Human"),
        edited=message.updated_date is not None and kind == "text",
        attachments=tuple(Attachment(attachment_kind(name), name) for name in names),
        reactions=tuple(
            Reaction(one.emoji.unicode, len(one.reactor_emails), one.reactor_emails)
            for one in message.reactions
            if one.emoji and one.emoji.unicode and one.reactor_emails
        ),
    )
