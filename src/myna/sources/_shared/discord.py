"""Shared by the formats of Discord: markup in texts, names of files, notices, ids.

`message_from_fields` is for DiscordChatExporter's CSV and TXT, whose messages have no ids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath
from typing import NamedTuple

from myna.sources import ChatFile, Tally
from myna.sources._shared.chat_names import chat_name
from myna.sources._shared.html import HtmlToken, attributes, replace_markup, unescape
from myna.sources._shared.message_table import (
    Attachment,
    Mention,
    ParsedMessage,
    Reaction,
    attachment_kind,
)
from myna.sources._shared.times import detect_day_first, is_newest_first

# Tags on lines of their own, and all others that the exporter writes. Unknown tags are
# Discord's markup where the exporter was told to keep it: <a:wave:80>.
_BLOCKS = ("h1", "h2", "h3", "ul", "li")
_INLINE = ("strong", "em", "u", "s", "a", "code", "small", "div", "span")

# Accounts had four digits behind their names until 2023.
_FULL_NAME = re.compile(r"(?s)(?P<name>.+)#[0-9]{4}")

# A notice by Discord is recognised only by one of these texts, which are always English
# (PlainTextMessageExtensions.GetFallbackContent; in older versions Message.Parse).
# It is assumed that no person writes exactly one of them.
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

_REACTION = re.compile(r"([^\s,()]{1,50}) \(([1-9][0-9]{0,8})\)")
_AMERICAN = re.compile(r"[1-9][0-9]?/[1-9][0-9]?/[0-9]{4} [0-9]{1,2}:[0-9]{2}\s[AP]M")


def message_from_fields(
    channel: Channel,
    author: str,
    date: str,
    content: str,
    *,
    author_id: str | None = None,
    files: Sequence[Attachment] = (),
    is_forward: bool = False,
    position: int | None = None,
    reactions: str = "",
) -> ParsedMessage:
    """A message from its fields; an author without an id is identified by the full name.

    Markup that the exporter was told to keep is resolved without other messages, which would
    give the message another id in a longer export.
    """
    name = match["name"] if (match := _FULL_NAME.fullmatch(author)) else author
    text, mentions = resolve_markup(content, {}, {})
    return ParsedMessage(
        author=name,
        author_id=author_id or author,
        handle=name,
        text=text,
        sent_at=date,
        space=channel.space,
        channel=channel.channel,
        channel_id=channel.channel_id,
        kind="forward" if is_forward else message_kind(content, channel),
        attachments=tuple(files),
        mentions=tuple(mentions),
        position=position,
        reactions=tuple(Reaction(name, int(count)) for name, count in _REACTION.findall(reactions)),
    )


def message_kind(content: str, channel: Channel) -> str:
    """The kind of a message, by its text; only chats outside of servers are groups."""
    if _CALL.fullmatch(content):
        return "call"
    if content in _NOTICES or _RENAMED.fullmatch(content):
        return "system"
    return "system" if not channel.space and _GROUP.fullmatch(content) else "text"


def attachment_at(address: str) -> Attachment:
    """An attachment, by its address, or by its path on disk if it was downloaded."""
    name = file_name(address)
    return Attachment(attachment_kind(name), name)


def detect_order(dates: Sequence[str], tally: Tally) -> tuple[int, bool | None]:
    """Detect the order of an export's messages and of its dates, from a sample of dates.

    Ambiguous dates in the format of the United States, without leading zeros, have months
    first: most exports with such dates are from there.

    Returns:
        1, or -1 if the newest message is the first; True if months come first, or None for
        `to_tables` to detect it.
    """
    days_first, is_certain = detect_day_first(dates)
    is_american = not is_certain and all(map(_AMERICAN.fullmatch, dates))
    if is_american:
        tally.notes.append("dates such as 3/4/2020 were read as the fourth of March")
    step = -1 if is_newest_first(dates, days_first and not is_american) else 1
    return step, True if is_american else None


# ExportRequest.GetDefaultOutputFileName and MessageExporter.GetPartitionFilePath:
# "Guild - Parent - channel [id] (after 2024-01-31) [part 2].csv". The parent may be absent.
_NAME = re.compile(r"(?s)(?P<path>.*) \[(?P<id>[0-9]+)\](?: \([^()]*\))*")
_PART = re.compile(r" \[part [0-9]+\](?: \([0-9]+\))?\Z")


class Channel(NamedTuple):
    """A channel: its server ("" outside of any), name and id."""

    space: str
    channel: str
    channel_id: str | None


def channel_of(file: ChatFile) -> Channel:
    """The channel of a file's messages by the file's name, the same for all parts.

    Of a name that the user chose, see `chat_names`. Names between
    the server and the channel, such as a category, are left out; so are pieces of a server's
    or channel's name with " - " in it, which look the same.
    """
    stem = _PART.sub("", PurePath(file.name).stem)
    match = _NAME.fullmatch(stem)
    if match is None:
        return Channel(*chat_name(file), None)
    guild, dash, rest = match["path"].partition(" - ")
    if not dash:
        return Channel("", guild, match["id"])
    return Channel(server_name(guild), rest.rpartition(" - ")[2], match["id"])


def server_name(guild: str) -> str:
    """The server's name, or "" for the exporter's placeholder for chats outside of any."""
    return "" if guild == "Direct Messages" else guild


# Discord's developer reference, "Message Formatting", and `<https://…>`, a link without a
# preview. An export with "format markdown" has only the last.
_MARKUP = re.compile(
    r"<(?:@!?(?P<user>[0-9]+)|@&(?P<role>[0-9]+)|\#(?P<channel>[0-9]+)"
    r"|a?:(?P<emoji>\w+):[0-9]+|t:(?P<time>-?[0-9]+)(?::(?P<style>[tTdDfFR]))?"
    r"|/(?P<command>[^:<>\n]+):[0-9]+|(?P<link>https?://[^\s<>]+))>"
)
_TIME_STYLES = {"t": "%H:%M", "T": "%H:%M:%S", "d": "%Y-%m-%d", "D": "%Y-%m-%d"}


def resolve_markup(
    text: str, users: Mapping[str, str], channels: Mapping[str, str]
) -> tuple[str, list[Mention]]:
    """The text as displayed in the chat, and the mentions that were markup.

    Unknown names become ``@unknown``, ``@role``, ``#channel``.

    Args:
        text: as stored by the platform.
        users: display names, by account.
        channels: names, by id.
    """
    if "<" not in text:
        return text, []
    return replace_markup(
        text, _MARKUP, lambda match: (_display(match, users, channels), match["user"])
    )


def _display(match: re.Match[str], users: Mapping[str, str], channels: Mapping[str, str]) -> str:
    """The displayed text of this markup."""
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


_SNOWFLAKE_EPOCH_MS = 1_420_070_400_000
_MIN_SNOWFLAKE = 10**16


def file_name(address: str) -> str:
    """The name of a file, from its address or its path on any system."""
    return re.split(r"[/\\]", address.partition("?")[0])[-1]


def snowflake_number(id_: str | None) -> int | None:
    """An id as a number that fits the column `position`, or None."""
    if id_ is None or not re.fullmatch("[0-9]{1,19}", id_):
        return None
    return int(id_) if int(id_) < 2**63 else None


def snowflake_time(number: int | None) -> int | None:
    """The time in one of Discord's ids, in microseconds since 1970; None for other ids."""
    if number is None or number < _MIN_SNOWFLAKE:
        return None
    return ((number >> 22) + _SNOWFLAKE_EPOCH_MS) * 1000


@dataclass
class Author:
    """An author on a page; `full` is the name with its four digits."""

    name: str
    id: str | None
    full: str
    is_bot: bool = False


@dataclass
class Message:
    """A message of a page that is being read; one without an element of its own `is_implied`."""

    id: str | None
    begin: int
    is_implied: bool
    reply_to: str | None
    kind: str
    time: str = ""
    text: str = ""
    has_text: bool = False
    author: Author | None = None
    written: list[bytes] | None = None  # the tag and the text of its time, unread
    edited: bool = False
    mentions: list[Mention] = field(default_factory=list)
    files: list[Attachment] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)


class TextBuilder:
    """The text of an element of a DiscordChatExporter page, built piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.length = 0
        self.spans: list[Mention] = []
        self.values: dict[str, str] = {}  # attributes of the elements inside
        self.link = 0, ""  # the number of its first piece, and its address
        self.needs_newline = self.in_block = False  # a block is one of code

    def add(self, text: str) -> None:
        """Add a piece of text."""
        text = text.replace("\r\n", "\n")
        if self.needs_newline and self.length and not text.startswith("\n"):
            text = text if self.pieces[-1].endswith("\n") else f"\n{text}"
        self.needs_newline = False
        self.pieces.append(text)
        self.length += len(text)

    def add_tag(self, token: HtmlToken) -> None:
        """Add the text of a tag: a line end, an emoji, a link, or Discord's own markup."""
        tag = token.tag.removeprefix("/")
        if tag == "br":
            self.add("\n")
        elif tag == "img":
            values = attributes(token.attributes)
            self.add(_emoji(values.get("alt") or values.get("title", "")))
        elif tag == "a":
            self._add_link(token)
        elif tag in _BLOCKS:
            self.needs_newline = True
            if token.tag == "li":
                self.add("- ")
        elif tag == "code" and b"--multiline" in token.attributes:
            self.needs_newline = self.in_block = True
        elif token.tag == "/code":
            self.needs_newline, self.in_block = self.in_block, False
        elif tag and tag not in _INLINE:
            self.add(f"<{token.tag}{unescape(token.attributes)}>")

    def _add_link(self, token: HtmlToken) -> None:
        """Add a link's address, as `[text](address)` if it has another text."""
        if token.tag == "a":
            self.add("")
            self.link = len(self.pieces), attributes(token.attributes).get("href", "")
            return
        begin, address = self.link
        label = "".join(self.pieces[begin:])
        self.link = 0, ""
        if address and not label.startswith(("http://", "https://")):
            self.pieces[begin:] = [f"[{label}]({address})"]
            self.length += len(address) + 4

    def mark_quote(self, begin: int) -> None:
        """Put a mark before each line from an offset on, as the author typed it."""
        text = self.text
        quoted = text[begin:].strip("\n")
        if not quoted:
            return
        before = text[:begin].rstrip("\n")
        marked = "\n".join(f"> {line}" for line in quoted.split("\n"))
        self.pieces = [f"{before}\n{marked}\n" if before else f"{marked}\n"]
        self.length = len(self.pieces[0])
        self.spans = [span for span in self.spans if span.end <= len(before)]
        self.needs_newline = False

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.pieces)

    def finish(self) -> tuple[str, list[Mention]]:
        """The text without outer blanks, and the mentions in it."""
        text = self.text
        before = len(text) - len(text.lstrip())
        text = text.strip()
        moved = [Mention(id_, begin - before, end - before) for id_, begin, end in self.spans]
        return text, [span for span in moved if 0 <= span.start < span.end <= len(text)]


def _emoji(name: str) -> str:
    """An emoji as text; names of custom ones have letters, digits and underscores only."""
    name = name.strip(":")
    return f":{name}:" if re.fullmatch(r"[0-9A-Za-z_~]+", name) else name
