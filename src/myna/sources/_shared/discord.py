"""Shared by the formats of Discord: markup in texts, names of files, notices, ids.

`sent` and what it needs are of DiscordChatExporter's CSV and TXT, whose messages have no
ids; `TextBuilder` is what an element of its HTML pages says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import NamedTuple

from myna.sources import Tally
from myna.sources._shared.html import replace_markup
from myna.sources._shared.message_table import (
    Attachment,
    MentionSpan,
    ParsedMessage,
    attachment_kind,
)
from myna.sources._shared.times import detect_day_first, parse_times

# Accounts had four digits behind their names until 2023.
_FULL_NAME = re.compile(r"(?s)(?P<name>.+)#[0-9]{4}")

# A notice by Discord has no mark, only one of these texts, which are English everywhere
# (PlainTextMessageExtensions.GetFallbackContent; in older versions Message.Parse).
# That nobody writes exactly one of them is an assumption.
_NOTICES = frozenset(
    {
        *("Added a recipient.", "Removed a recipient.", "Left the group."),
        *("Changed the channel name.", "Changed the channel icon.", "Pinned a message."),
        *("Joined the server.", "Started a thread.", "A poll has closed."),
    }
)
_RENAMED = re.compile(r"Changed the channel name: .+")
_GROUP = re.compile(r"(?:Added .+ to|Removed .+ from) the group\.")
_CALL = re.compile(r"Started a call(?: that lasted -?[0-9,]+ minutes)?\.")

_AMERICAN = re.compile(r"[1-9][0-9]?/[1-9][0-9]?/[0-9]{4} [0-9]{1,2}:[0-9]{2}\s[AP]M")


def message_from_fields(
    place: Channel,
    author: str,
    date: str,
    content: str,
    *,
    author_id: str | None = None,
    files: Sequence[Attachment] = (),
    is_forward: bool = False,
    position: int | None = None,
) -> ParsedMessage:
    """A message of its parts; an author without an id is known by the full name.

    Markup that the exporter was told to leave is resolved as far as a message alone allows:
    a text that depended on others would give the message another id in a longer export.
    """
    name = match["name"] if (match := _FULL_NAME.fullmatch(author)) else author
    text, mentions = resolve_markup(content, {}, {})
    return ParsedMessage(
        author=name,
        author_id=author_id or author,
        handle=name,
        text=text,
        sent_at=date,
        space=place.space,
        channel=place.channel,
        channel_id=place.channel_id,
        kind="forward" if is_forward else message_kind(content, place),
        attachments=tuple(files),
        mentions=tuple(mentions),
        position=position,
    )


def message_kind(content: str, place: Channel) -> str:
    """The kind of a message by its text; groups that people join are on no server."""
    if _CALL.fullmatch(content):
        return "call"
    if content in _NOTICES or _RENAMED.fullmatch(content):
        return "system"
    return "system" if not place.space and _GROUP.fullmatch(content) else "text"


def attachment_at(place: str) -> Attachment:
    """An attachment, by its address, or by its path on disk if it was downloaded."""
    name = re.split(r"[/\\]", place.partition("?")[0])[-1]
    return Attachment(attachment_kind(name), name)


def detect_order(dates: Sequence[str], tally: Tally) -> tuple[int, bool | None]:
    """The order of an export's messages and of its dates, from a sample of dates.

    Where they do not tell days from months, but are as in the United States, with neither
    filled up by a zero, months are first: most exports that have such dates are from there.

    Returns:
        1, or -1 where the newest message is the first; whether months come first, or None
        for `tables` to find out.
    """
    days_first, is_certain = detect_day_first(dates)
    is_american = not is_certain and all(map(_AMERICAN.fullmatch, dates))
    if is_american:
        tally.notes.append("dates such as 3/4/2020 were read as the fourth of March")
    times = parse_times(dates, days_first and not is_american)["sent_at"].drop_nulls()
    step = -1 if len(times) > 1 and times[0] > times[-1] else 1
    return step, True if is_american else None


# ExportRequest.GetDefaultOutputFileName and MessageExporter.GetPartitionFilePath:
# "Guild - Parent - channel [id] (after 2024-01-31) [part 2].csv". The parent may be absent.
_NAME = re.compile(r"(?s)(?P<path>.*) \[(?P<id>[0-9]+)\](?: \([^()]*\))*")
_PART = re.compile(r" \[part [0-9]+\](?: \([0-9]+\))?\Z")


class Channel(NamedTuple):
    """A channel: its server ("" for none), name and id."""

    space: str
    channel: str
    channel_id: str | None


def channel_from_file_name(name: str) -> Channel:
    """The channel of a file's messages, by the file's name: the same for all parts.

    A name that its user chose is the channel's, on no server and without an id. What
    stands between the server and the channel, such as a category, is left out; so is a
    part of a server's or a channel's name that has " - " in it, as nothing tells them apart.
    """
    stem = _PART.sub("", PurePath(name).stem)
    match = _NAME.fullmatch(stem)
    if match is None:
        return Channel("", stem, None)
    guild, dash, rest = match["path"].partition(" - ")
    if not dash:
        return Channel("", guild, match["id"])
    return Channel(server_name(guild), rest.rpartition(" - ")[2], match["id"])


def server_name(guild: str) -> str:
    """The server's name, "" for the one that the exporter invents for chats on none."""
    return "" if guild == "Direct Messages" else guild


# Discord's developer reference, "Message Formatting", and `<https://…>`, a link whose
# preview its writer did not want. An export with "format markdown" has only the last.
_MARKUP = re.compile(
    r"<(?:@!?(?P<user>[0-9]+)|@&(?P<role>[0-9]+)|\#(?P<channel>[0-9]+)"
    r"|a?:(?P<emoji>\w+):[0-9]+|t:(?P<time>-?[0-9]+)(?::(?P<style>[tTdDfFR]))?"
    r"|/(?P<command>[^:<>\n]+):[0-9]+|(?P<link>https?://[^\s<>]+))>"
)
_TIME_STYLES = {"t": "%H:%M", "T": "%H:%M:%S", "d": "%Y-%m-%d", "D": "%Y-%m-%d"}


def resolve_markup(
    text: str, users: Mapping[str, str], channels: Mapping[str, str]
) -> tuple[str, list[MentionSpan]]:
    """The text as a reader of the chat saw it, and the mentions that were markup.

    Someone or something that nobody named becomes ``@unknown``, ``@role``, ``#channel``.

    Args:
        text: as the platform stores it.
        users: names shown, by account.
        channels: names, by id.
    """
    if "<" not in text:
        return text, []
    return replace_markup(
        text, _MARKUP, lambda match: (_shown(match, users, channels), match["user"])
    )


def _shown(match: re.Match[str], users: Mapping[str, str], channels: Mapping[str, str]) -> str:
    """The text that the chat showed in place of this markup."""
    if user := match["user"]:
        return "@" + users.get(user, "unknown")
    if match["role"]:
        return "@role"
    if channel := match["channel"]:
        return "#" + channels.get(channel, "channel")
    if emoji := match["emoji"]:
        return f":{emoji}:"
    if command := match["command"]:
        return f"/{command}"
    if link := match["link"]:
        return link
    try:
        moment = datetime.fromtimestamp(int(match["time"]), UTC)
    except (ValueError, OverflowError, OSError):
        return match[0]
    return moment.strftime(_TIME_STYLES.get(match["style"] or "f", "%Y-%m-%d %H:%M"))


_EPOCH = 1_420_070_400_000
_SHORTEST_ID = 10**16


class TextBuilder:
    """The text of an element, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.length = 0
        self.spans: list[MentionSpan] = []
        self.values: dict[str, str] = {}  # attributes of what is in it
        self.link = 0, ""  # the number of its first piece, and its address
        self.due = self.in_block = False  # a new line is; it is a block of code

    def add(self, text: str) -> None:
        """Say more."""
        text = text.replace("\r\n", "\n")
        if self.due and self.length and not text.startswith("\n"):
            text = text if self.pieces[-1].endswith("\n") else f"\n{text}"
        self.due = False
        self.pieces.append(text)
        self.length += len(text)

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(self.pieces)

    def done(self) -> tuple[str, list[MentionSpan]]:
        """The text without outer blanks, and the mentions in it."""
        text = self.text
        before = len(text) - len(text.lstrip())
        text = text.strip()
        moved = [MentionSpan(id_, begin - before, end - before) for id_, begin, end in self.spans]
        return text, [span for span in moved if 0 <= span.start < span.end <= len(text)]


def emoji_text(name: str) -> str:
    """An emoji as text: the names of custom ones are of letters, digits and underscores."""
    name = name.strip(":")
    return f":{name}:" if re.fullmatch(r"[0-9A-Za-z_~]+", name) else name


def file_name(address: str) -> str:
    """The name of a file, from its address."""
    return re.split(r"[/\\]", address.partition("?")[0])[-1]


def snowflake_number(id_: str | None) -> int | None:
    """An id as a number that has its place in a table."""
    if id_ is None or not re.fullmatch("[0-9]{1,19}", id_):
        return None
    return int(id_) if int(id_) < 2**63 else None


def snowflake_time(number: int | None) -> int | None:
    """The time of an id, in microseconds since 1970, if it is one of Discord's."""
    if number is None or number < _SHORTEST_ID:
        return None
    return ((number >> 22) + _EPOCH) * 1000
