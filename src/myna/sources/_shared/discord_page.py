"""A DiscordChatExporter page, element by element: where one is in it, and what it says.

What the format is stands in `discord_chat_exporter_html`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from myna.sources import Tally
from myna.sources._shared.discord import (
    Channel,
    TextBuilder,
    emoji_text,
    file_name,
    message_kind,
    server_name,
    snowflake_number,
    snowflake_time,
)
from myna.sources._shared.discord import resolve_markup as without_markup
from myna.sources._shared.html import HtmlToken, attributes, unescape
from myna.sources._shared.message_table import (
    Attachment,
    MentionSpan,
    ParsedMessage,
    attachment_kind,
)

_DEEPEST = 200
"""Elements within elements; a page of the exporter has some twenty."""

# What an element is for, by its class.
_ROLES = {
    name: role
    for role, names in {
        "log": "chatlog",
        "place": "preamble__entry info__guild-name info__channel-name",
        "count": "postamble__entry info__channel-message-count",
        "author": "chatlog__author chatlog__author-name",
        "bot": "chatlog__bot-tag chatlog__author-tag",
        "time": "chatlog__timestamp chatlog__short-timestamp "
        "chatlog__system-notification-timestamp",
        "content": "chatlog__content",
        "edited": "chatlog__edited-timestamp",
        "mention": "chatlog__markdown-mention mention",
        "quote": "chatlog__markdown-quote quote",
        "block": "pre--multiline",
        "notifier": "chatlog__system-notification-author",
        "notice": "chatlog__system-notification-content",
        "reply": "chatlog__reply chatlog__reference",
        "forward": "chatlog__forwarded",
        "file": "chatlog__attachment",
        "sticker": "chatlog__sticker",
        "aside": "chatlog__embed chatlog__reactions spoiler-warning "
        "chatlog__attachment-generic-size chatlog__attachment-spoiler-caption",
    }.items()
    for name in names.split()
}
_HEARD = ("place", "count", "author", "time", "content", "notifier", "notice", "file")
"""Roles of elements whose text is wanted."""

_UNHEARD = ("bot", "edited", "quote", "reply", "forward", "sticker", "aside")
"""Roles of elements in which nothing is wanted."""

_INNER = ("mention", "quote", "block", "edited", "aside")
"""Roles of elements in those whose text is wanted."""

_IN_MESSAGES = ("content", "edited", "notifier", "notice", "forward", "file", "sticker")

# In a text: what stands on lines of its own, and all else that the exporter writes. Other
# tags are Discord's markup where the exporter was told to leave it: <a:wave:80>.
_BLOCKS = ("h1", "h2", "h3", "ul", "li")
_INLINE = ("strong", "em", "u", "s", "a", "code", "small", "div", "span")

_FOUR_DIGITS = re.compile(r"#[0-9]{4}\Z")
_FILE = re.compile(r"(?s)(?:Image|Video|Audio|Attachment): (.*) \([^()]*\)")
_SCROLL = re.compile(r"scrollToMessage\(event,\s*'([0-9]+)'\)")


@dataclass
class Author:
    name: str
    id: str | None
    full: str
    is_bot: bool = False


@dataclass
class Message:
    """A message whose end has not come; one without an element has `is_implied`."""

    id: str | None
    begin: int
    is_implied: bool
    reply_to: str | None
    kind: str
    time: str = ""
    text: str = ""
    has_text: bool = False
    author: Author | None = None
    edited: bool = False
    mentions: list[MentionSpan] = field(default_factory=list)
    files: list[Attachment] = field(default_factory=list)


class _Element(NamedTuple):
    """An element that is not closed yet: its tag, what it is for, and for whom its text is."""

    tag: str
    role: str
    heard: str  # the role of the nearest element around that is in _HEARD, or "nothing"
    title: str
    begin: int  # in the text heard
    values: Mapping[str, str]


class PageReader:
    """Where in a page its reader is, and what is known there."""

    def __init__(self, place: Channel, users: dict[str, Author], zone: str, tally: Tally) -> None:
        self.place = place
        self.users = users
        self.names = {user.id: user.name for user in users.values() if user.id}
        self.zone = zone
        self.tally = tally
        self.open: list[_Element] = []
        self.said = TextBuilder()
        self.entries: list[str] = []  # of the preamble
        self.promised: int | None = None
        self.is_known = self.is_whole = self.has_ids = False
        self.whole_until = self.found = 0
        self.author: Author | None = None
        self.time = ""
        self.reply_to: str | None = None
        self.message: Message | None = None

    @property
    def heard(self) -> str:
        """For whom text is that comes now."""
        return self.open[-1].heard if self.open else ""

    def take(self, part: HtmlToken) -> Iterator[ParsedMessage]:
        """Go on by a tag and the text before it; the messages that end there."""
        if part.text and self.heard not in ("", "nothing"):
            self.said.add(unescape(part.text))
        tag = part.tag
        if tag in ("div", "span"):
            yield from self._open(part)
        elif tag in ("/div", "/span"):
            yield from self._close(part)
        elif self.heard == "content":
            self._mark(part)
        elif self.heard == "file" and tag in ("img", "source", "a"):
            self.said.values |= attributes(part.attributes)
        elif tag == "source" and self.message and b"Embedded gifv" in part.attributes:
            address = attributes(part.attributes).get("src", "")
            self.message.files.append(Attachment("gif", file_name(address)))

    def _open(self, part: HtmlToken) -> Iterator[ParsedMessage]:
        if len(self.open) >= _DEEPEST:
            self.open.clear()
            self.spoil("its elements lie too deep", part.begin)
        values = attributes(part.attributes) if part.attributes else {}
        classes = values.get("class", "").split()
        heard = self.heard
        if "data-message-id" in values:
            role = "message"
        elif "chatlog__message-group" in classes:
            role = "group"
        elif heard == "nothing":
            role = ""
            self._answer(classes, values)
        else:
            role = next((_ROLES[name] for name in classes if name in _ROLES), "")
        if role:
            heard = self._unclosed(role, part.begin)
        if role in ("message", "group"):
            yield from self._begin(role, values, part)
            heard = ""
        elif role in _IN_MESSAGES and (role == "content" or self.message is None):
            yield from self._imply(part)
            if self.message is None:
                role = "aside"
            elif role == "content":
                self.message.has_text = True
        if role in _HEARD:
            heard = role
            self.said = TextBuilder()
        elif role in _UNHEARD:
            heard = "nothing"
        if role:
            self._know(role)
        title = values.get("title", "")
        self.open.append(_Element(part.tag, role, heard, title, self.said.length, values))

    def _unclosed(self, role: str, end: int) -> str:
        """For whom text is, after giving up an element that holds none for this role."""
        if role not in _INNER and self.heard in _HEARD:
            if self.heard == "content":
                self.spoil("its text does not end", end)
            roles = [element.role for element in self.open]
            del self.open[len(roles) - 1 - roles[::-1].index(self.heard) :]
        return self.heard

    def _know(self, role: str) -> None:
        """What an element tells by being there."""
        if role in ("log", "group", "message"):
            self.is_known = True
        elif role == "count" and self.is_known:
            self.is_whole = True
        elif role == "bot" and self.author:
            self.author.is_bot = True
        elif role in ("quote", "block"):
            self.said.due = True
        elif self.message and role == "edited":
            self.message.edited = True
        elif self.message and role == "forward":
            self.message.kind = "forward"

    def _begin(
        self, role: str, values: Mapping[str, str], part: HtmlToken
    ) -> Iterator[ParsedMessage]:
        """A message or a group begins: what is open ends here, or should have ended before."""
        if self.message and self.message.is_implied:
            yield from self._end(part.begin)
        self.spoil("another begins before its end", part.begin)
        roles = [element.role for element in self.open]
        if role in roles:
            del self.open[roles.index(role) :]
        self.is_whole = False
        if role == "group":
            self.author, self.time, self.reply_to = None, "", None
        else:
            self.has_ids = True
            id_ = values["data-message-id"] or None
            self.message = Message(id_, part.begin, False, self.reply_to, "text")
            self.reply_to = None

    def spoil(self, problem: str, end: int) -> None:
        """Give up the message that is open."""
        if self.message:
            self.tally.skip("damaged message", f"bytes {self.message.begin} to {end}: {problem}")
            self.message = None

    def _imply(self, part: HtmlToken) -> Iterator[ParsedMessage]:
        """Part of a message without an element of its own; where others have one, damage."""
        if self.message and not self.message.is_implied:
            if self.message.has_text:
                self.spoil("it has two texts", part.begin)
            return
        if self.message:
            yield from self._end(part.begin)
        if self.has_ids or self.author is None:
            place = f"byte {part.begin}: not in a message, or nobody is named as its author"
            self.tally.skip("damaged message", place)
        else:
            self.message = Message(None, part.begin, True, None, "text")
            self.is_whole = False

    def _answer(self, classes: list[str], values: Mapping[str, str]) -> None:
        """What a reply's head tells: the message answered, or the command that was run."""
        if not any(element.role == "reply" for element in self.open):
            return
        target: PageReader | Message = self.message or self
        if any(name.endswith(("reply-link", "reference-link")) for name in classes):
            match = _SCROLL.search(values.get("onclick", ""))
            target.reply_to = match[1] if match else None
            if self.message:
                self.message.kind = "text"
        elif self.message and any(
            name.endswith(("reply-content", "reference-content")) for name in classes
        ):
            # Only "used /command" has no link in it.
            self.message.kind = "command"

    def _close(self, part: HtmlToken) -> Iterator[ParsedMessage]:
        tag = part.tag[1:]
        if tag == "span" and (not self.open or self.open[-1].tag != "span"):
            return
        while self.open:
            element = self.open.pop()
            yield from self._closed(element, part)
            if element.tag == tag:
                return

    def _closed(self, element: _Element, part: HtmlToken) -> Iterator[ParsedMessage]:
        """What an element tells now that it is whole."""
        role, said, message = element.role, self.said, self.message
        if role == "message" or (role == "group" and message and message.is_implied):
            yield from self._end(part.end)
        elif role == "log":
            self.is_whole = True
        elif role == "place":
            self.entries.append(said.text.strip())
        elif role == "count":
            self._count(said.text)
        elif role in ("author", "notifier"):
            name = said.text.strip()
            full = element.title or name
            author = Author(name or full, element.values.get("data-user-id") or None, full)
            if role == "author":
                self.author = author
            elif message:
                message.author, message.kind = author, "system"
        elif role == "time":
            time = element.title or said.text.strip()
            if message:
                message.time = time
            else:
                self.time = time
        elif role in ("quote", "block"):
            said.due = True
        elif role == "mention":
            self._mention(element)
        elif message:
            self._closed_in(message, element)

    def _closed_in(self, message: Message, element: _Element) -> None:
        """What a part of a message tells."""
        said = self.said
        if element.role == "content":
            message.text, message.mentions = said.done()
        elif element.role == "notice":
            message.text = " ".join(said.text.split())
            is_call = message.text.startswith("started a call")
            message.kind = "call" if is_call else "system"
        elif element.role == "file":
            name = said.values.get("title") or " ".join(said.text.split())
            if match := _FILE.fullmatch(name):
                name = match[1]
            name = name or file_name(said.values.get("src") or said.values.get("href", ""))
            message.files.append(Attachment(attachment_kind(name), name))
        elif element.role == "sticker":
            message.files.append(Attachment("sticker", element.title))

    def _mention(self, element: _Element) -> None:
        user = self.users.get(element.title)
        if user and user.id and self.said.length > element.begin:
            self.said.spans.append(MentionSpan(user.id, element.begin, self.said.length))

    def _mark(self, part: HtmlToken) -> None:
        """A tag in a text."""
        tag = part.tag.removeprefix("/")
        if tag == "br":
            self.said.add("\n")
        elif tag == "img":
            values = attributes(part.attributes)
            self.said.add(emoji_text(values.get("alt") or values.get("title", "")))
        elif tag == "a":
            self._link(part)
        elif tag in _BLOCKS:
            self.said.due = True
            if part.tag == "li":
                self.said.add("- ")
        elif tag == "code" and b"--multiline" in part.attributes:
            self.said.due = self.said.in_block = True
        elif part.tag == "/code":
            self.said.due, self.said.in_block = self.said.in_block, False
        elif tag and tag not in _INLINE:
            self.said.add(f"<{part.tag}{unescape(part.attributes)}>")

    def _link(self, part: HtmlToken) -> None:
        """A link is its address, or as it was written where it has another text."""
        said = self.said
        if part.tag == "a":
            said.add("")
            said.link = len(said.pieces), attributes(part.attributes).get("href", "")
            return
        begin, address = said.link
        label = "".join(said.pieces[begin:])
        said.link = 0, ""
        if address and not label.startswith(("http://", "https://")):
            said.pieces[begin:] = [f"[{label}]({address})"]
            said.length += len(address) + 4

    def _count(self, text: str) -> None:
        """Remember how many messages the page says that it has."""
        if "message" in text:
            digits = "".join(c for c in text if "0" <= c <= "9")
            self.promised = int(digits) if 0 < len(digits) < 15 else None

    def _end(self, end: int) -> Iterator[ParsedMessage]:
        """The message that is open, now that it has ended."""
        message, self.message = self.message, None
        if message is None:
            return
        self.whole_until = end
        author = message.author or self.author
        if author is None:
            place = f"bytes {message.begin} to {end}: nobody is named as its author"
            self.tally.skip("damaged message", place)
            return
        channel = self._channel()
        number = snowflake_number(message.id)
        time = message.time or self.time
        text, mentions = message.text, message.mentions
        if not mentions:
            text, mentions = without_markup(text, self.names, {})
        yield ParsedMessage(
            author=author.name,
            text=text,
            sent_at=snowflake_time(number) or (time and time + self.zone) or None,
            channel=channel.channel,
            space=channel.space,
            channel_id=channel.channel_id,
            id=message.id,
            author_id=author.id or author.full,
            handle=_FOUR_DIGITS.sub("", author.full),
            kind=message_kind(text, channel) if message.kind == "text" else message.kind,
            reply_to=message.reply_to,
            is_bot=author.is_bot,
            edited=message.edited,
            attachments=tuple(message.files),
            mentions=tuple(mentions),
            position=number,
        )

    def _channel(self) -> Channel:
        """Where the messages were sent: by the preamble, and the file's name for the id."""
        if len(self.entries) < 2:
            return self.place
        guild, channel = self.entries[:2]
        return Channel(server_name(guild), channel.rpartition(" / ")[2], self.place.channel_id)
