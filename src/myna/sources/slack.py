"""Slack workspace exports: a folder for each channel, a file for each day.

`channels.json`, `groups.json` (private channels), `mpims.json` and `dms.json` list the
chats, `users.json` the people; beside them stands a folder for each chat, called by the
channel's name or, for two people, by its id (dms.json), with a list of messages in each
`YYYY-MM-DD.json`. Fields, and the subtypes that are notices, are those that parsers of
such exports read. `ts` is the time and, within a chat, the id; a `thread_ts` that differs
from it is the answered message. Texts: see `_shared.slack_text`.

Unverified: the oldest uploads (until 2018) have `file` in place of `files` and put the
writer's words behind "uploaded a file: <…> and commented: "; voice and video clips have
the subtypes slack_audio and slack_video; a huddle is a message of subtype huddle_thread
whose `room` names its creator; shared messages are attachments with `is_share`; the names
of _OTHER_LISTS. Assumed: an action ("me_message") is shown as ``*waves*``; `is_bot` of users.json
is right, and without it an author with a `bot_id` is a bot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec
import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.json_objects import decode_items, decode_repaired
from myna.sources._shared.json_stream import SEPARATORS, ListPattern, pieces_from
from myna.sources._shared.message_table import (
    UNKNOWN,
    Attachment,
    Mention,
    ParsedMessage,
    Reaction,
    attachment_kind,
)
from myna.sources._shared.slack_text import (
    get_object,
    get_objects,
    get_text,
    message_mrkdwn,
    resolve_markup,
)

TITLE = "Slack workspace export"
READS = (
    *("text", "replies", "threads", "mentions", "edits", "deleted", "forwards"),
    *("attachments", "voice", "calls", "system", "bots", "reactions"),
)

MAX_LIST_BYTES = 2**28
"""Size limit of a list of users or channels."""

# Exports are indented by four blanks, and no others stand so far left in one: the lists
# inside a message are indented twice as far, and more. Tools that make such exports use
# other indents, for which the same holds, or none; then there is no boundary.
_SHAPE = ListPattern(
    key=b"",
    boundary=re.compile(rb",\r?\n(?: {4}| {2}|\t)(?=\{\r?\n)"),
    ending=re.compile(rb"\n\]\s*\Z"),
)
_ITEMS = msgspec.json.Decoder(list[Any])

_BOM = b"\xef\xbb\xbf"
_DAY = re.compile(r"\d{4}-\d\d-\d\d\.json")
_MESSAGE = re.compile(rb'"ts"\s*:\s*"\d{9,11}\.\d{6}"')
_TIME = re.compile(r"(\d{1,12})(?:\.(\d{1,6}))?")
_EXPORT_NAME = re.compile(r"(.+?) Slack export\b")

_CHATS = ("channels.json", "groups.json", "dms.json", "mpims.json")
_LIST_KEYS = {
    **dict.fromkeys(_CHATS, (b'"created"', b'"members"')),
    "users.json": (b'"team_id"', b'"profile"'),
    "org_users.json": (b'"team_id"', b'"profile"'),
}
"""File names of an export's lists, and keys of which each has at least one."""
_OTHER_LISTS = (
    *("integration_logs.json", "canvases.json", "lists.json", "huddle_transcripts.json"),
    *("file_conversations.json", "canvas_in_the_conversation.json"),
)

_MESSAGE_SUBTYPES = (
    *("", "bot_message", "me_message", "thread_broadcast", "file_share", "file_comment"),
    *("slackbot_response", "assistant_app_thread"),
)
_CALL_SUBTYPES = ("huddle_thread", "sh_room_created", "sh_room_shared")
_EDIT_LOG_SUBTYPES = ("message_changed", "message_deleted", "message_replied")
"""Compliance exports also log edits: earlier texts of messages that are there too."""


class _User(NamedTuple):
    """A user of users.json."""

    name: str
    handle: str | None
    is_bot: bool


class _Channel(NamedTuple):
    """A channel of the lists of channels."""

    id: str
    name: str


class _SlackWorkspace(NamedTuple):
    """The users and channels of an export."""

    name: str
    users: Mapping[str, _User]  # by account
    names: Mapping[str, str]  # display names, by account
    channels_by_folder: Mapping[str, _Channel]  # the folder has the channel's name or id
    names_by_id: Mapping[str, str]  # of channels
    damaged: tuple[str, ...]  # names of the files that cannot be read


_cache: dict[tuple[tuple[str, int, bytes], ...], _SlackWorkspace] = {}
"""The last export, which hundreds of days share."""

MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise times such as "1700000000.000100", and the names of the export's lists."""
    head = file.head.removeprefix(_BOM).lstrip()
    name = file.name.lower()
    if not head.startswith((b"[", b"{")):
        return None
    if keys := _LIST_KEYS.get(name):
        if any(key in head for key in keys):
            return Recognition("slack", 0.9, "a list of Slack's", holds_messages=False)
        if head.rstrip() == b"[]":
            return Recognition("slack", 0.4, "an empty list of Slack's", holds_messages=False)
        return None
    if name in _OTHER_LISTS:
        return Recognition("slack", 0.6, "a list of Slack's", holds_messages=False)
    if head.startswith(b"[") and b'"type"' in head and _MESSAGE.search(head):
        because = "its messages have Slack's times"
        return Recognition("slack", 0.97 if _DAY.fullmatch(name) else 0.85, because)
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages of one day of a channel, in the file's order, which is chronological.

    Raises:
        SourceError: the file is no list, or cannot be read.
    """
    yield from message_table.to_tables(_messages(file, tally), "slack", tally, months_first=False)
    tally.bytes_done = file.size


def _messages(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    begin = re.match(rb"(?:\xef\xbb\xbf)?\s*\[", file.head)
    if begin is None:
        raise SourceError(
            f"{file.location} is not a day of a Slack export: it is no list of messages; "
            "give the whole export, the zip archive as Slack made it"
        )
    workspace = _workspace(file)
    tally.notes += [f"{name} is damaged and not used" for name in workspace.damaged]
    channel = workspace.channels_by_folder.get(file.folder_name) or _Channel(
        "", _channel_name(file)
    )
    with file.open() as stream:
        for piece in pieces_from(stream, _SHAPE, begin.end()):
            if piece.kind == "items":
                for item in decode_items(piece, _ITEMS, _SHAPE, tally):
                    if sent := _message(item, channel, workspace, tally):
                        yield sent
            elif left := piece.data.strip(SEPARATORS):
                tally.skip_bytes(piece.end - len(left), piece.end)
                tally.notes.append("the file breaks off, or goes on behind its list of messages")
            elif piece.kind == "lost":
                tally.notes.append("the file breaks off behind its last message")
            tally.bytes_done = piece.end


def _channel_name(file: ChatFile) -> str:
    """The name of a channel that is in no list."""
    return (
        file.folder_name
        if _DAY.fullmatch(file.name) and file.folder_name
        else PurePath(file.name).stem
    )


def _workspace(file: ChatFile) -> _SlackWorkspace:
    """The users and channels in the lists beside the channel's folder."""
    beside = {name: file.sibling(f"../{name}") for name in ("users.json", *_CHATS)}
    files = {name: found for name, found in beside.items() if found is not None}
    key = tuple((list_.location, list_.size, list_.head) for list_ in files.values())
    if key not in _cache:
        _cache.clear()
        _cache[key] = _read_workspace(files)
    return _cache[key]


def _read_workspace(files: Mapping[str, ChatFile]) -> _SlackWorkspace:
    lists: dict[str, list[dict[str, Any]]] = {}
    for name, file in files.items():
        if file.size <= MAX_LIST_BYTES and (items := _list(file)) is not None:
            lists[name] = items
    users: dict[str, _User] = {}
    for user in lists.get("users.json", []):
        handle = get_text(user, "name")
        name = _display_name(get_object(user, "profile")) or get_text(user, "real_name") or handle
        is_bot = user.get("is_bot") is True or user.get("id") == "USLACKBOT"
        users[get_text(user, "id")] = _User(name, handle or None, is_bot)
    channels: dict[str, _Channel] = {}
    for kind in _CHATS:
        for chat in lists.get(kind, []):
            id_, name = get_text(chat, "id"), get_text(chat, "name")
            display_name = name
            if kind in ("dms.json", "mpims.json") and (members := chat.get("members")):
                ids = [member for member in members if isinstance(member, str)]
                display_name = ", ".join(users[m].name if m in users else m for m in ids)
            for folder in filter(None, (name, id_)):
                channels.setdefault(folder, _Channel(id_, display_name or folder))
    folder = next((file.folder_name for file in files.values()), "")
    match = _EXPORT_NAME.match(folder)
    return _SlackWorkspace(
        name=match[1] if match else folder,
        users=users,
        names={account: user.name for account, user in users.items()},
        channels_by_folder=channels,
        names_by_id={channel.id: channel.name for channel in channels.values()},
        damaged=tuple(name for name in files if name not in lists),
    )


def _list(file: ChatFile) -> list[dict[str, Any]] | None:
    """The objects in a list of the export; None if it is damaged."""
    with file.open() as stream:
        data = stream.read(MAX_LIST_BYTES).removeprefix(_BOM)
    try:
        items = decode_repaired(data, _ITEMS)
    except (ValueError, RecursionError):
        return None
    return [item for item in items if isinstance(item, dict)]


def _message(
    item: Any, channel: _Channel, workspace: _SlackWorkspace, tally: Tally
) -> ParsedMessage | None:
    """Convert an item of the list to a message; None if it is none."""
    if not isinstance(item, dict) or (item.get("type") != "message" and "ts" not in item):
        tally.skip("no message", str(item))
        return None
    subtype = get_text(item, "subtype")
    if subtype in _EDIT_LOG_SUBTYPES:
        tally.skip("log of an edit or a deletion", f"{subtype} at {item.get('ts')}")
        return None
    comment = get_object(item, "comment") if subtype == "file_comment" else {}
    mrkdwn = get_text(comment, "comment") or message_mrkdwn(item, subtype)
    text, spans = resolve_markup(mrkdwn, workspace.names, workspace.names_by_id)
    kind = "text"
    if subtype == "tombstone":
        kind, text, spans = "deleted", "", []
    elif subtype in _CALL_SUBTYPES or get_object(item, "room"):
        kind = "call"
    elif subtype not in _MESSAGE_SUBTYPES or (subtype == "file_comment" and not comment):
        kind = "system"
    elif not text and any(a.get("is_share") is True for a in get_objects(item, "attachments")):
        kind = "forward"
    elif subtype == "me_message":
        text = f"*{text}*"
        spans = [Mention(span.author_id, span.start + 1, span.end + 1) for span in spans]
    account = get_text(comment, "user") or get_text(item, "user")
    if kind == "call":
        account = get_text(get_object(item, "room"), "created_by") or account
    ts = get_text(item, "ts")
    thread = get_text(item, "thread_ts")
    is_reply = bool(thread) and thread != ts
    return ParsedMessage(
        text=text,
        sent_at=_micros(ts),
        channel=channel.name,
        space=workspace.name,
        channel_id=channel.id or None,
        thread=thread if is_reply else None,
        id=ts or None,
        kind=kind,
        reactions=tuple(
            Reaction(f":{name}:", count, tuple(users))
            for one in get_objects(item, "reactions")
            if (name := get_text(one, "name")) and type(count := one.get("count")) is int
            if 0 < count < 2**31
            for users in [_texts(one.get("users"))]
        ),
        reply_to=thread if is_reply else None,
        edited=bool(item.get("edited")),
        attachments=_files(item),
        mentions=tuple(spans),
        **_author(item, account, subtype, workspace),
    )


def _texts(value: object) -> list[str]:
    """The texts in a list; none of what is no list."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _author(
    item: dict[str, Any], account: str, subtype: str, workspace: _SlackWorkspace
) -> dict[str, Any]:
    """The author's columns of the message table."""
    bot = get_text(item, "bot_id")
    profile, bot_profile = get_object(item, "user_profile"), get_object(item, "bot_profile")
    name = get_text(item, "username") or get_text(bot_profile, "name")
    if account in workspace.users:
        display_name, handle, is_bot = workspace.users[account]
    else:
        display_name, handle = _display_name(profile), get_text(profile, "name") or None
        is_bot = bool(bot) or subtype == "bot_message" or account == "USLACKBOT"
    return {
        # An app may speak under many names.
        "author_id": account or (f"{bot}/{name}" if bot and name else bot or name) or UNKNOWN,
        "author": display_name or handle or name or account or bot or UNKNOWN,
        "handle": handle,
        "is_bot": is_bot,
    }


def _display_name(profile: dict[str, Any]) -> str:
    return get_text(profile, "display_name") or get_text(profile, "real_name")


def _micros(ts: str) -> int | str:
    """Microseconds since 1970; an invalid time stays as it is."""
    if (time := _TIME.fullmatch(ts)) is None:
        return ts
    return int(time[1]) * 1_000_000 + int((time[2] or "").ljust(6, "0"))


def _files(item: dict[str, Any]) -> tuple[Attachment, ...]:
    """The attachments; a deleted or hidden file has an empty name."""
    files: list[Attachment] = []
    for file in [*get_objects(item, "files"), *filter(None, [get_object(item, "file")])]:
        name = get_text(file, "name") or get_text(file, "title")
        kind = attachment_kind(name if "." in name else "." + get_text(file, "filetype"))
        clips = {"slack_audio": "voice", "slack_video": "video"}
        files.append(Attachment(clips.get(get_text(file, "subtype"), kind), name))
    return tuple(files)
