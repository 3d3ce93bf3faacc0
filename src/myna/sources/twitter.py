"""Direct messages of X, formerly Twitter, from the archive of an account.

Known from public typings and readers of such archives:

    data/direct-messages.js, data/direct-messages-group.js, and …-part1.js
        window.YTD.direct_messages.part0 = [{"dmConversation": {"conversationId": "101-102",
        "messages": [{"messageCreate": {"id", "senderId", "recipientId"?, "text", "createdAt",
        "mediaUrls", "urls", "reactions", "editHistory"?}}, …]}}]
    data/account.js     the account: accountId, username, accountDisplayName

newest first; old archives have `direct-message.js` and `direct-message-group.js`. Other events
of a conversation are welcomeMessageCreate (a business's, counted as a bot's),
joinConversation, participantsJoin, participantsLeave, conversationNameUpdate and reactionCreate.

- Accounts are numbers; only the exporter's name is in the archive.
- The id of a conversation of two is both accounts, of a group one number.
- Short links (t.co) are replaced by their addresses; those of media are left out.
- `…-headers.js` have no texts and are not read.

Not verified: ``editHistory``, and the fields of events other than messageCreate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.chat_lists import get, get_objects, get_text, read_chats
from myna.sources._shared.html import find_mentions
from myna.sources._shared.json_stream import ListPattern
from myna.sources._shared.message_table import (
    Attachment,
    ParsedMessage,
    attachment_kind,
    count_reactions,
)

TITLE = "X (Twitter) direct messages"
READS = (*("text", "mentions", "edits", "attachments", "stickers", "system", "bots", "reactions"),)

MAX_ACCOUNT_BYTES = 2**20
"""Size limit of account.js."""

_EVENTS = (
    *("messageCreate", "welcomeMessageCreate", "joinConversation", "participantsJoin"),
    *("participantsLeave", "conversationNameUpdate", "reactionCreate"),
)
_SHAPE = ListPattern(
    key=b"messages",
    boundary=re.compile(rb',\s*(?=\{\s*"(?:%b)"\s*:\s*\{)' % "|".join(_EVENTS).encode()),
    ending=re.compile(rb"\]\s*\}\s*\}\s*\]\s*;?\s*\Z"),
    has_many_lists=True,
)
_BEGINNING = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*window\.YTD\.direct_messages?(_group)?(_headers?)?\.part"
)
_EPOCH_MS = 1_288_834_974_657  # of the ids
_OWN_MEDIA = re.compile(r"https://(?:twitter|x)\.com/messages/media/\d+")


class _Archive(NamedTuple):
    """The account of an archive, and the names of its groups."""

    me: str
    handle: str
    name: str
    groups: dict[str, str]


MOST_CERTAIN = 0.98


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the name that such a file gives its list."""
    begin = _BEGINNING.match(file.head)
    if begin is None:
        if file.name.lower() == "account.js" and file.head.startswith(b"window.YTD.account."):
            because = "it is the account, of X"
            return Recognition("twitter", 0.9, because, holds_messages=False)
        return None
    if begin[2]:
        because = "it lists messages without their texts, of X"
        return Recognition("twitter", 0.95, because, holds_messages=False)
    return Recognition("twitter", 0.98, "it is a list of direct messages of X")


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages of all conversations, in the file's order.

    Raises:
        SourceError: the file holds no conversations, or cannot be read.
    """
    archive = _archive(file)
    tally.me = archive.me or None
    yield from message_table.to_tables(
        _messages(file, archive, tally), "x", tally, zone_assumed=False, months_first=False
    )
    if not archive.me:
        tally.notes.append(
            "the archive has no account.js beside this file: it does not say whose it is"
        )


def _messages(file: ChatFile, archive: _Archive, tally: Tally) -> Iterator[ParsedMessage]:
    for chat, item in _events(file, tally):
        chat_id = get_text(chat, "conversationId")
        for kind in _EVENTS:
            if isinstance(event := item.get(kind), dict):
                if kind != "reactionCreate":
                    yield _message(event, kind, chat_id, archive)
                break
        else:
            tally.skip("unknown event", ", ".join(item)[:80])


def _events(file: ChatFile, tally: Tally) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    no_list = (
        f"{file.location} is no archive of X: it has no list of messages; "
        "give the whole archive, or direct-messages.js of its folder 'data'"
    )
    if re.fullmatch(rb"[^\[]{0,200}=\s*\[\s*\]\s*;?\s*", file.head):
        tally.bytes_done = file.size  # an account without messages
        return
    yield from read_chats(file, _SHAPE, tally, no_list, (b'{"a":[{"b":{', b"}"))


def _archive(file: ChatFile) -> _Archive:
    """The account beside the file, and the names of groups in it."""
    account = file.sibling("account.js")
    fields: Any = None
    if account is not None and account.size <= MAX_ACCOUNT_BYTES:
        try:
            with account.open() as stream:
                data = stream.read().partition(b"=")[2].strip().rstrip(b";")
            fields = msgspec.json.decode(data)
        except (SourceError, ValueError, RecursionError):
            pass  # only names are missing
    first = fields[0] if isinstance(fields, list) and fields else None
    groups: dict[str, str] = {}
    begin = _BEGINNING.match(file.head)
    if begin and begin[1]:
        for chat, item in _events(file, Tally()):
            if name := get_text(item, "conversationNameUpdate", "name"):
                groups.setdefault(get_text(chat, "conversationId"), name)  # the newest is first
    return _Archive(
        get_text(first, "account", "accountId"),
        get_text(first, "account", "username"),
        get_text(first, "account", "accountDisplayName"),
        groups,
    )


def _message(event: dict[str, Any], kind: str, chat_id: str, archive: _Archive) -> ParsedMessage:
    is_message = kind in ("messageCreate", "welcomeMessageCreate")
    sender = get_text(event, "senderId") or get_text(event, "initiatingUserId")
    others = [account for account in chat_id.split("-") if account != archive.me]
    text = _text(event) if is_message else _notice(event, kind)
    names = {archive.handle: archive.me} if archive.handle and archive.me and "@" in text else {}
    time = get_text(event, "createdAt")
    id_ = get_text(event, "id") or get_text(event, "eventId")
    return ParsedMessage(
        author=(archive.name or "Me" if sender and sender == archive.me else sender) or "unknown",
        author_id=sender or None,
        handle=archive.handle if sender == archive.me and archive.handle else None,
        text=text,
        sent_at=time or None,
        channel=archive.groups.get(chat_id) or (others[0] if len(others) == 1 else chat_id) or "?",
        channel_id=chat_id or None,
        id=id_ or None,
        kind="text" if is_message else "system",
        is_bot=kind == "welcomeMessageCreate",
        edited=bool(event.get("editHistory")),
        attachments=tuple(_files(event)) if is_message else (),
        mentions=tuple(find_mentions(text, names, [])),
        position=_position(id_, time),
        reactions=count_reactions(
            (get_text(reaction, "reactionKey"), get_text(reaction, "senderId"))
            for reaction in get_objects(event, "reactions")
        ),
    )


def _position(id_: str, time: str) -> int | None:
    """The order of an id; of an event without one, that of an id of its time."""
    if id_.isdecimal() and len(id_) < 20 and int(id_) < 2**63:
        return int(id_)
    try:
        when = datetime.fromisoformat(time)
    except ValueError:
        return None
    milliseconds = int(when.timestamp() * 1000) - _EPOCH_MS
    return milliseconds << 22 if 0 < milliseconds < 2**41 else None


def _text(event: dict[str, Any]) -> str:
    """The text, with whole addresses, and without those of its media."""
    text = get_text(event, "text")
    for url in get_objects(event, "urls"):
        short, long = get_text(url, "url"), get_text(url, "expanded")
        if short and long:
            text = text.replace(short, "" if _OWN_MEDIA.fullmatch(long) else long)
    return text.strip()


def _files(event: dict[str, Any]) -> Iterator[Attachment]:
    media = event.get("mediaUrls")
    for url in media if isinstance(media, list) else []:
        if isinstance(url, str):
            name = url.partition("?")[0].rpartition("/")[2]
            kind = "gif" if "tweet_video" in url or "dm_gif" in url else attachment_kind(name)
            yield Attachment("image" if kind == "file" else kind, name)


def _notice(event: dict[str, Any], kind: str) -> str:
    """The words for an event that is no message."""
    people = get(event, "userIds") or get(event, "participantsSnapshot") or []
    who = ", ".join(map(str, people)) if isinstance(people, list) else ""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
    return " ".join(filter(None, (words, get_text(event, "name") or who)))
