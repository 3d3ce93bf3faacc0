"""Slack: the export of a workspace, a folder for each channel and a file for each day.

`channels.json`, `groups.json` (private channels), `mpims.json` and `dms.json` list the
chats, `users.json` the people; beside them stands a folder for each chat, called by the
channel's name or, for two people, by its id (dms.json), with a list of messages in each
`YYYY-MM-DD.json`. Fields, and the subtypes that are notices, are those that parsers of
such exports read. `ts` is the time and, within a chat, the id; a `thread_ts` that differs
from it is the message that is answered. Texts: see `_shared.slack_text`.

Unverified: the oldest uploads (until 2018) have `file` in place of `files` and put the
writer's words behind "uploaded a file: <…> and commented: "; voice and video clips have
the subtypes slack_audio and slack_video; a huddle is a message of subtype huddle_thread
whose `room` says who began it; shared messages are attachments with `is_share`; the names
of _OTHERS. Assumed: what somebody does ("me_message") is shown as ``*waves*``; `is_bot` of
users.json is right, and without it whoever has a `bot_id` is a bot.
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
from myna.sources._shared.message_table import Attachment, Mention, ParsedMessage, attachment_kind
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
    *("attachments", "voice", "calls", "system", "bots"),
)

LARGEST_LIST = 2**28
"""Bytes of a list of users or channels; what is larger is no such list."""

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
_WORKSPACE = re.compile(r"(.+?) Slack export\b")

_CHATS = ("channels.json", "groups.json", "dms.json", "mpims.json")
_MARKS = {
    **dict.fromkeys(_CHATS, (b'"created"', b'"members"')),
    "users.json": (b'"team_id"', b'"profile"'),
    "org_users.json": (b'"team_id"', b'"profile"'),
}
"""What the lists of an export are called, and keys of which they have at least one."""
_OTHERS = (
    *("integration_logs.json", "canvases.json", "lists.json", "huddle_transcripts.json"),
    *("file_conversations.json", "canvas_in_the_conversation.json"),
)

_OWN_WORDS = (
    *("", "bot_message", "me_message", "thread_broadcast", "file_share", "file_comment"),
    *("slackbot_response", "assistant_app_thread"),
)
_CALLS = ("huddle_thread", "sh_room_created", "sh_room_shared")
_LOGGED = ("message_changed", "message_deleted", "message_replied")
"""Exports for courts tell of edits as well: earlier words of messages that are there too."""


class _User(NamedTuple):
    """Someone as users.json has them."""

    name: str
    handle: str | None
    is_bot: bool


class _Place(NamedTuple):
    """A chat as the lists of channels have it."""

    id: str
    name: str


class _Workspace(NamedTuple):
    """What the files beside the channels' folders tell."""

    name: str
    users: Mapping[str, _User]  # by account
    names: Mapping[str, str]  # shown, by account
    places: Mapping[str, _Place]  # by what their folder may be called: name or id
    channels: Mapping[str, str]  # names, by id
    damaged: tuple[str, ...]  # names of the files that cannot be read


_known: dict[tuple[tuple[str, int, bytes], ...], _Workspace] = {}
"""The workspace that was read last: hundreds of days share it."""


def recognise(file: ChatFile) -> Recognition | None:
    """By times such as "1700000000.000100", and the names of the export's lists."""
    head = file.head.removeprefix(_BOM).lstrip()
    name = file.name.lower()
    if not head.startswith((b"[", b"{")):
        return None
    if marks := _MARKS.get(name):
        if any(mark in head for mark in marks):
            return Recognition("slack", 0.9, "a list of Slack's", holds_messages=False)
        if head.rstrip() == b"[]":
            return Recognition("slack", 0.4, "an empty list of Slack's", holds_messages=False)
        return None
    if name in _OTHERS:
        return Recognition("slack", 0.6, "a list of Slack's", holds_messages=False)
    if head.startswith(b"[") and b'"type"' in head and _MESSAGE.search(head):
        because = "its messages have Slack's times"
        return Recognition("slack", 0.97 if _DAY.fullmatch(name) else 0.85, because)
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages of a chat's day, in the file's order, which is that of their times.

    Raises:
        SourceError: the file is no list, or cannot be read.
    """
    yield from message_table.to_tables(_messages(file, tally), "slack", tally, months_first=False)
    tally.bytes_done = file.size


def _messages(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    begin = re.match(rb"(?:\xef\xbb\xbf)?\s*\[", file.head)
    if begin is None:
        raise SourceError(
            f"{file.location} is no day of a Slack export: it is no list of messages; "
            "give the whole export, the zip archive as Slack made it"
        )
    workspace = _workspace(file)
    tally.notes += [f"{name} is damaged and not used" for name in workspace.damaged]
    known = workspace.places.get(file.folder_name)
    place = _Place("", _channel(file)) if known is None else known
    with file.open() as stream:
        for piece in pieces_from(stream, _SHAPE, begin.end()):
            if piece.kind == "items":
                items = decode_items(piece, _ITEMS, _SHAPE, tally)
                for item in items:
                    if sent := _message(item, place, workspace, tally):
                        yield sent
            elif left := piece.data.strip(SEPARATORS):
                tally.skip_bytes(piece.end - len(left), piece.end)
                tally.notes.append("the file breaks off, or goes on behind its list of messages")
            elif piece.kind == "lost":
                tally.notes.append("the file breaks off behind its last message")
            tally.bytes_done = piece.end


def _channel(file: ChatFile) -> str:
    """What a chat is called that no list tells of."""
    return (
        file.folder_name
        if _DAY.fullmatch(file.name) and file.folder_name
        else PurePath(file.name).stem
    )


def _workspace(file: ChatFile) -> _Workspace:
    """What stands beside the folder of the day's chat."""
    found = {name: file.sibling(f"../{name}") for name in ("users.json", *_CHATS)}
    parts = {name: part for name, part in found.items() if part is not None}
    key = tuple((part.location, part.size, part.head) for part in parts.values())
    if key not in _known:
        _known.clear()
        _known[key] = _read_workspace(parts)
    return _known[key]


def _read_workspace(parts: Mapping[str, ChatFile]) -> _Workspace:
    lists: dict[str, list[dict[str, Any]]] = {}
    for name, part in parts.items():
        if part.size <= LARGEST_LIST and (items := _list(part)) is not None:
            lists[name] = items
    users: dict[str, _User] = {}
    for user in lists.get("users.json", []):
        handle = get_text(user, "name")
        name = _shown_name(get_object(user, "profile")) or get_text(user, "real_name") or handle
        is_bot = user.get("is_bot") is True or user.get("id") == "USLACKBOT"
        users[get_text(user, "id")] = _User(name, handle or None, is_bot)
    places: dict[str, _Place] = {}
    for kind in _CHATS:
        for chat in lists.get(kind, []):
            id_, name = get_text(chat, "id"), get_text(chat, "name")
            shown = name
            if kind in ("dms.json", "mpims.json") and (members := chat.get("members")):
                ids = [member for member in members if isinstance(member, str)]
                shown = ", ".join(users[m].name if m in users else m for m in ids)
            for folder in filter(None, (name, id_)):
                places.setdefault(folder, _Place(id_, shown or folder))
    folder = next((part.folder_name for part in parts.values()), "")
    named = _WORKSPACE.match(folder)
    damaged = tuple(name for name in parts if name not in lists)
    return _Workspace(
        name=named[1] if named else folder,
        users=users,
        names={account: user.name for account, user in users.items()},
        places=places,
        channels={place.id: place.name for place in places.values()},
        damaged=damaged,
    )


def _list(part: ChatFile) -> list[dict[str, Any]] | None:
    """The objects in a list of the export; None where it is damaged."""
    with part.open() as stream:
        data = stream.read(LARGEST_LIST).removeprefix(_BOM)
    try:
        items = decode_repaired(data, _ITEMS)
    except (ValueError, RecursionError):
        return None
    return [item for item in items if isinstance(item, dict)]


def _message(item: Any, place: _Place, workspace: _Workspace, tally: Tally) -> ParsedMessage | None:
    """The message that an item of the list is, if it is one."""
    if not isinstance(item, dict) or (item.get("type") != "message" and "ts" not in item):
        tally.skip("no message", str(item))
        return None
    subtype = get_text(item, "subtype")
    if subtype in _LOGGED:
        tally.skip("log of an edit or a deletion", f"{subtype} at {item.get('ts')}")
        return None
    comment = get_object(item, "comment") if subtype == "file_comment" else {}
    mrkdwn = get_text(comment, "comment") or message_mrkdwn(item, subtype)
    text, spans = resolve_markup(mrkdwn, workspace.names, workspace.channels)
    kind = "text"
    if subtype == "tombstone":
        kind, text, spans = "deleted", "", []
    elif subtype in _CALLS or get_object(item, "room"):
        kind = "call"
    elif subtype not in _OWN_WORDS or (subtype == "file_comment" and not comment):
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
        channel=place.name,
        space=workspace.name,
        channel_id=place.id or None,
        thread=thread if is_reply else None,
        id=ts or None,
        kind=kind,
        reply_to=thread if is_reply else None,
        edited=bool(item.get("edited")),
        attachments=_files(item),
        mentions=tuple(spans),
        **_author(item, account, subtype, workspace),
    )


def _author(
    item: dict[str, Any], account: str, subtype: str, workspace: _Workspace
) -> dict[str, Any]:
    """Who sent it, as columns of the message table."""
    bot = get_text(item, "bot_id")
    profile, bot_profile = get_object(item, "user_profile"), get_object(item, "bot_profile")
    name = get_text(item, "username") or get_text(bot_profile, "name")
    if account in workspace.users:
        shown, handle, is_bot = workspace.users[account]
    else:
        shown, handle = _shown_name(profile), get_text(profile, "name") or None
        is_bot = bool(bot) or subtype == "bot_message" or account == "USLACKBOT"
    return {
        "author_id": account or bot or name or "unknown",
        "author": shown or handle or name or account or bot or "unknown",
        "handle": handle,
        "is_bot": is_bot,
    }


def _shown_name(profile: dict[str, Any]) -> str:
    return get_text(profile, "display_name") or get_text(profile, "real_name")


def _micros(ts: str) -> int | str:
    """Microseconds since 1970, or what is no time as it is."""
    if (time := _TIME.fullmatch(ts)) is None:
        return ts
    return int(time[1]) * 1_000_000 + int((time[2] or "").ljust(6, "0"))


def _files(item: dict[str, Any]) -> tuple[Attachment, ...]:
    """What was sent; of a file that is gone or hidden, its place."""
    found: list[Attachment] = []
    for file in [*get_objects(item, "files"), *filter(None, [get_object(item, "file")])]:
        name = get_text(file, "name") or get_text(file, "title")
        kind = attachment_kind(name if "." in name else "." + get_text(file, "filetype"))
        clips = {"slack_audio": "voice", "slack_video": "video"}
        found.append(Attachment(clips.get(get_text(file, "subtype"), kind), name))
    return tuple(found)
