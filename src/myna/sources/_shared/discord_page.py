"""A reader of DiscordChatExporter pages, element by element.

The format is described in `discord_chat_exporter_html`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from myna.sources import Tally
from myna.sources._shared.discord import (
    Author,
    Channel,
    Message,
    TextBuilder,
    file_name,
    message_kind,
    resolve_markup,
    server_name,
    snowflake_number,
    snowflake_time,
)
from myna.sources._shared.discord_page_elements import (
    IGNORED,
    IN_MESSAGES,
    INNER,
    INSIDE_GROUPS,
    MAX_KNOWN_TAGS,
    OF_REPLY,
    READ,
    Element,
    Opening,
    plain_element,
    read_opening,
)
from myna.sources._shared.html import HtmlToken, attributes, split_tokens, unescape
from myna.sources._shared.message_table import (
    Attachment,
    Mention,
    ParsedMessage,
    Reaction,
    attachment_kind,
)

_MAX_DEPTH = 200
"""Elements within elements; a page of the exporter has some twenty."""

_FOUR_DIGITS = re.compile(r"#[0-9]{4}\Z")
_FILE = re.compile(r"(?s)(?:Image|Video|Audio|Attachment): (.*) \([^()]*\)")
_BOT_DIGITS = re.compile(r"#(?!0000)[0-9]{4}\Z")
_SCROLL = re.compile(r"scrollToMessage\(event,\s*'([0-9]+)'\)")


class PageReader:
    """The state of reading a page: open elements, and the message that they belong to.

    `ended` are the messages that have been read, until they are taken.
    """

    def __init__(self, channel: Channel, users: dict[str, Author], zone: str, tally: Tally) -> None:
        self.channel = channel
        self.users = users
        self.names = {user.id: user.name for user in users.values() if user.id}
        self.zone = zone
        self.tally = tally
        self.open: list[Element] = []
        self.builder = TextBuilder()
        self.entries: list[str] = []  # of the preamble
        self.expected_count: int | None = None
        self.has_log = self.is_complete = self.has_ids = False
        self.complete_until = self.message_count = 0
        self.author: Author | None = None
        self.time = ""
        self.reply_to: str | None = None
        self.message: Message | None = None
        self.ended: list[ParsedMessage] = []
        self.recent_tags: dict[bytes, Opening] = {}
        self.older_tags: dict[bytes, Opening] = {}

    @property
    def target(self) -> str:
        """The role that the next text belongs to."""
        return self.open[-1].target if self.open else ""

    def feed(self, token: HtmlToken) -> None:
        """Read a tag and the text before it."""
        target = self.open[-1].target if self.open else ""
        if token.text and target not in ("", "ignored"):
            self.builder.add(unescape(token.text))
        tag = token.tag
        if tag in ("/div", "/span"):
            self._close(token)
        elif tag in ("div", "span"):
            self._open(token)
            if token.inside:
                self._read_inside(token, token.inside)
        elif target == "content":
            self.builder.add_tag(token)
        elif target in ("file", "reaction") and tag in ("img", "source", "a"):
            self.builder.values |= attributes(token.attributes)
        elif tag == "source" and self.message and b"Embedded gifv" in token.attributes:
            address = attributes(token.attributes).get("src", "")
            self.message.files.append(Attachment("gif", file_name(address)))

    def _read_inside(self, token: HtmlToken, inside: re.Match[bytes]) -> None:
        """Read the elements of a message, as `feed` would one after the other."""
        reply, author, name, *time, plain, text = inside.group(*INSIDE_GROUPS)
        start = token.end - inside.start()
        message = self.message
        self.open += [plain_element("div", "")] * 2
        if reply is not None:
            around = tuple(self.open)
            for part in split_tokens(reply, start + inside.start("reply")):
                self.feed(part)
            if message is not self.message or around != tuple(self.open):
                rest = inside.end("reply")
                for part in split_tokens(inside.string[rest : inside.end()], start + rest):
                    self.feed(part)
                return
        if author is not None:
            values = (self.recent_tags.get(author) or self._opening(author)).values
            self.author = _author(unescape(name).strip(), values)
            if message:
                message.written = time
        end = start + inside.end()
        if message and plain is not None:
            message.text = unescape(plain).replace("\r\n", "\n").strip()
            del self.open[-3:]
            self._end_message(end)
            return
        begin, close = inside.span("text")
        self._open(HtmlToken(b"", "div", inside["content"], start + begin, start + begin))
        for part in split_tokens(text, start + begin):
            self.feed(part)
        for place in (start + close, end, end, end):
            self._close(HtmlToken(b"", "/div", b"", place, place))

    def _opening(self, raw: bytes) -> Opening:
        """Read a tag's attributes, or remember them."""
        opening = self.older_tags.get(raw) or read_opening(raw)
        if opening.role == "message":  # whose id comes but once
            return opening
        self.recent_tags[raw] = opening
        if len(self.recent_tags) >= MAX_KNOWN_TAGS:
            self.recent_tags, self.older_tags = {}, self.recent_tags
        return opening

    def _open(self, token: HtmlToken) -> None:
        if len(self.open) >= _MAX_DEPTH:
            self.open.clear()
            self.drop_message("its elements lie too deep", token.begin)
        raw = token.attributes
        opening = self.recent_tags.get(raw) or self._opening(raw)
        values, role = opening.values, opening.role
        target = self.open[-1].target if self.open else ""
        if target == "ignored" and role not in ("message", "group"):
            role = ""
            if opening.names_reply:
                self._read_reply(opening.classes, values)
        if not role:
            self.open.append(plain_element(token.tag, target))
            return
        target = self._target_for(role, token.begin)
        if role in ("message", "group"):
            self._begin_message(role, values, token)
            target = ""
        elif role in IN_MESSAGES and (role == "content" or self.message is None):
            self._begin_implied(token)
            if self.message is None:
                role = "aside"
            elif role == "content":
                self.message.has_text = True
        if role in READ:
            target = role
            self.builder = TextBuilder()
        elif role in IGNORED:
            target = "ignored"
        self._apply(role)
        title = values.get("title", "")
        self.open.append(Element(token.tag, role, target, title, self.builder.length, values))

    def _target_for(self, role: str, end: int) -> str:
        """The target of text, after closing an element that cannot contain this role."""
        if role not in INNER and self.target in READ:
            if self.target == "content":
                self.drop_message("its text does not end", end)
            roles = [element.role for element in self.open]
            del self.open[len(roles) - 1 - roles[::-1].index(self.target) :]
        return self.target

    def _apply(self, role: str) -> None:
        """Note the facts that follow from an element's presence."""
        if role in ("log", "group", "message"):
            self.has_log = True
        elif role == "count" and self.has_log:
            self.is_complete = True
        elif role == "bot" and self.author:
            self.author.is_bot = True
        elif role in ("quote", "block"):
            self.builder.needs_newline = True
        elif self.message and role == "edited":
            self.message.edited = True
        elif self.message and role == "forward":
            self.message.kind = "forward"

    def _begin_message(self, role: str, values: Mapping[str, str], token: HtmlToken) -> None:
        """Begin a message or a group; an open message ends here, or is damaged."""
        if self.message and self.message.is_implied:
            self._end_message(token.begin)
        self.drop_message("another begins before its end", token.begin)
        roles = [element.role for element in self.open]
        if role in roles:
            del self.open[roles.index(role) :]
        self.is_complete = False
        if role == "group":
            self.author, self.time, self.reply_to = None, "", None
        else:
            self.has_ids = True
            id_ = values["data-message-id"] or None
            self.message = Message(id_, token.begin, False, self.reply_to, "text")
            self.reply_to = None

    def drop_message(self, problem: str, end: int) -> None:
        """Count the open message as damaged."""
        if self.message:
            self.tally.skip("damaged message", f"bytes {self.message.begin} to {end}: {problem}")
            self.message = None

    def _begin_implied(self, token: HtmlToken) -> None:
        """Begin a message without an element of its own; damage if others have one."""
        if self.message and not self.message.is_implied:
            if self.message.has_text:
                self.drop_message("it has two texts", token.begin)
            return
        if self.message:
            self._end_message(token.begin)
        if self.has_ids or self.author is None:
            problem = f"byte {token.begin}: not in a message, or nobody is named as its author"
            self.tally.skip("damaged message", problem)
        else:
            self.message = Message(None, token.begin, True, None, "text")
            self.is_complete = False

    def _read_reply(self, classes: tuple[str, ...], values: Mapping[str, str]) -> None:
        """Read a reply's head: the message that it replies to, or the command that was run."""
        if not any(element.role == "reply" for element in self.open):
            return
        target: PageReader | Message = self.message or self
        if any(name.endswith(OF_REPLY[:2]) for name in classes):
            match = _SCROLL.search(values.get("onclick", ""))
            target.reply_to = match[1] if match else None
            if self.message:
                self.message.kind = "text"
        elif self.message:
            # Only "used /command" has no link in it.
            self.message.kind = "command"

    def _close(self, token: HtmlToken) -> None:
        tag = token.tag[1:]
        if tag == "span" and (not self.open or self.open[-1].tag != "span"):
            return
        while self.open:
            element = self.open.pop()
            if element.role:
                self._finish(element, token)
            if element.tag == tag:
                return

    def _finish(self, element: Element, token: HtmlToken) -> None:
        """Take over the text of an element that has ended."""
        role, builder, message = element.role, self.builder, self.message
        if role == "message" or (role == "group" and message and message.is_implied):
            self._end_message(token.end)
        elif role == "log":
            self.is_complete = True
        elif role == "channel":
            self.entries.append(builder.text.strip())
        elif role == "count":
            self._read_count(builder.text)
        elif role in ("author", "notifier"):
            author = _author(builder.text.strip(), element.values)
            if role == "author":
                self.author = author
            elif message:
                message.author, message.kind = author, "system"
        elif role == "time":
            time = element.title or builder.text.strip()
            if message:
                message.time, message.written = time, None
            else:
                self.time = time
        elif role == "quote":
            builder.mark_quote(element.begin)
        elif role == "block":
            builder.needs_newline = True
        elif role == "mention":
            self._add_mention(element)
        elif message:
            self._finish_in_message(message, element)

    def _finish_in_message(self, message: Message, element: Element) -> None:
        """Take over the text of an element inside a message."""
        builder = self.builder
        if element.role == "content":
            message.text, message.mentions = builder.finish()
        elif element.role == "notice":
            message.text = " ".join(builder.text.split())
            is_call = message.text.startswith("started a call")
            message.kind = "call" if is_call else "system"
        elif element.role == "file":
            name = builder.values.get("title") or " ".join(builder.text.split())
            if match := _FILE.fullmatch(name):
                name = match[1]
            name = name or file_name(builder.values.get("src") or builder.values.get("href", ""))
            message.files.append(Attachment(attachment_kind(name), name))
        elif element.role == "sticker":
            message.files.append(Attachment("sticker", element.title))
        elif element.role == "reaction":
            self._add_reaction(message, element)

    def _add_reaction(self, message: Message, element: Element) -> None:
        """Add a reaction: its emoji is the picture's text, of a custom one its title as well."""
        picture, count = self.builder.values, self.builder.text.strip()
        emoji, title = picture.get("alt", ""), element.title or picture.get("title", "")
        name = emoji if emoji and emoji != title else title and f":{title}:"
        if name and count.isascii() and count.isdecimal() and 0 < len(count) < 9:
            message.reactions.append(Reaction(name, int(count)))

    def _add_mention(self, element: Element) -> None:
        user = self.users.get(element.title)
        if user and user.id and self.builder.length > element.begin:
            self.builder.spans.append(Mention(user.id, element.begin, self.builder.length))

    def _read_count(self, text: str) -> None:
        """Parse the number of messages that the page claims to have."""
        if "message" in text:
            digits = "".join(c for c in text if "0" <= c <= "9")
            self.expected_count = int(digits) if 0 < len(digits) < 15 else None

    def _end_message(self, end: int) -> None:
        """Take the open message, which has ended."""
        message, self.message = self.message, None
        if message is None:
            return
        self.complete_until = end
        author = message.author or self.author
        if author is None:
            problem = f"bytes {message.begin} to {end}: nobody is named as its author"
            self.tally.skip("damaged message", problem)
            return
        channel = self._message_channel()
        full = author.full
        number = snowflake_number(message.id)
        time = message.time or self.time
        if message.written and not snowflake_time(number):
            raw, clock = message.written
            time = attributes(raw).get("title") or unescape(clock).strip() or self.time
        text, mentions = message.text, message.mentions
        if not mentions:
            text, mentions = resolve_markup(text, self.names, {})
        self.ended.append(
            ParsedMessage(
                author=author.name,
                text=text,
                sent_at=snowflake_time(number) or (time and time + self.zone) or None,
                channel=channel.channel,
                space=channel.space,
                channel_id=channel.channel_id,
                id=message.id,
                author_id=_account(author),
                handle=_FOUR_DIGITS.sub("", full) if "#" in full else full,
                kind=message_kind(text, channel) if message.kind == "text" else message.kind,
                reply_to=message.reply_to,
                is_bot=author.is_bot,
                edited=message.edited,
                attachments=tuple(message.files),
                reactions=tuple(message.reactions),
                mentions=tuple(mentions),
                position=number,
            )
        )

    def _message_channel(self) -> Channel:
        """The channel by the preamble, with the id from the file's name."""
        if len(self.entries) < 2:
            return self.channel
        guild, channel = self.entries[:2]
        return Channel(server_name(guild), channel.rpartition(" / ")[2], self.channel.channel_id)


def _author(name: str, values: Mapping[str, str]) -> Author:
    """An author by the name that is shown, and the attributes of its element."""
    full = values.get("title", "") or name
    return Author(name or full, values.get("data-user-id") or None, full)


def _account(author: Author) -> str:
    """The account: of a webhook, which speaks as anybody, with the name that it took."""
    if author.is_bot and author.id and not _BOT_DIGITS.search(author.full):
        return f"{author.id}/{_FOUR_DIGITS.sub('', author.full)}"
    return author.id or author.full
