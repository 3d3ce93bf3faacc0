"""DiscordChatExporter's HTML pages, from those of 2018 to the minified ones of today.

The classes are those of its templates (MessageGroupTemplate.cshtml and PreambleTemplate.cshtml;
HtmlShared.html before 2020) and of what renders a text (HtmlMarkdownVisitor.cs,
HtmlRenderingLogic.cs before 2020). A page is a preamble with the names of guild and channel,
groups of messages of one author each, who is named once, and a postamble that counts them.
What changed between versions:

- 2018: messages have no elements of their own. Each ``chatlog__content`` begins one; a
  message of files alone cannot be told from the message before it. Accounts have no ids,
  and a group has one time, in the form that the user chose, of no zone.
- 2019: ``chatlog__message[data-message-id]`` in ``chatlog__messages``.
- 2021: replies, as ``chatlog__reference`` before the group's messages, later in them;
  ``chatlog__message-container[data-message-id]``, and notices by Discord known as such;
  before, only their texts tell them.
- 2023: the time zone in the postamble; 2025 (2.47): ``chatlog__forwarded``, whose name alone
  is known, so it is assumed that the words of others are in it.

A message's id is its time: Discord counts milliseconds since 2015 in the upper 42 bits
(Discord's developer reference, "Snowflakes"). So no written time is needed, which would
depend on the language and the zone of whoever made the export; it is read where an id is
too short to have come from Discord.

A mention names no account. It is known by its title, the full name, wherever that account
wrote something on the same page. Gone are what others wrote (embeds, the message that is
answered, forwards), and bold and its like; a custom emoji is ``:name:``, and
a quotation has ``>`` in front of each line, as its author typed it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.discord import Author, channel_of
from myna.sources._shared.discord_page import PageReader
from myna.sources._shared.discord_page_elements import INSIDE_MESSAGE
from myna.sources._shared.html import html_tokens, unescape
from myna.sources._shared.message_table import ParsedMessage
from myna.sources._shared.text import BLOCK_CHARS, head_text, open_text

TITLE = "DiscordChatExporter HTML"
READS = (
    *("text", "replies", "mentions", "edits", "forwards", "attachments", "stickers", "voice"),
    *("calls", "system", "bots", "reactions"),
)

_ACCOUNT = re.compile(
    rb"title=(\"[^\"<>]*+\"|[^\s\"<>]++) data-user-id=\"?([0-9]++)\"?[^<>]*+>([^<]*+)<"
)
_ZONE = re.compile(rb"postamble__entry\"?>\s*Timezone: UTC([+-])([0-9]{1,2})(?:[.,]([0-9]))?")

MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """By the names of the classes, which the page's head styles or its body has."""
    head = head_text(file)
    if not head.lstrip("\ufeff \t\r\n").startswith("<") or "chatlog__" not in head:
        return None
    return Recognition("discord_chat_exporter_html", 0.97, "it is a page with a 'chatlog'")


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the page's order; ``position`` is the order of their ids.

    Raises:
        SourceError: the page holds no chat log, or the file cannot be read.
    """
    yield from message_table.to_tables(_messages(file, tally), "discord", tally)
    tally.bytes_done = file.size


def _messages(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    users, zone = _survey(file)
    page = PageReader(channel_of(file), users, zone, tally)
    for token in html_tokens(file, b"data-message-id", INSIDE_MESSAGE):
        page.feed(token)
        if page.ended:
            page.message_count += len(page.ended)
            tally.bytes_done = min(max(token.end, page.complete_until), file.size)
            yield from page.ended
            page.ended.clear()
    if not page.has_log:
        raise SourceError(
            f"{file.location} is no page of DiscordChatExporter: it has no chat log; "
            "export the chat again, as HTML or better as JSON"
        )
    if not page.is_complete:
        tally.is_short = True
        begin = page.message.begin if page.message else page.complete_until
        tally.skip_bytes(min(begin, file.size), file.size)
        tally.notes.append(f"the page breaks off after {page.message_count:,} messages")
    elif page.message:
        page.drop_message("the page ends before it", file.size)
    count = page.message_count + sum(tally.skipped.values())
    if page.expected_count is not None and page.expected_count != count:
        tally.notes.append(
            f"the page speaks of {page.expected_count:,} messages, but holds {count:,}"
        )
        tally.is_short = True


def _survey(file: ChatFile) -> tuple[dict[str, Author], str]:
    """The accounts that wrote, by their full names, and the zone of written times."""
    users: dict[str, Author] = {}
    zone = ""
    with open_text(file.open(), file) as text:
        kept = b""
        while block := text.read(BLOCK_CHARS):
            page = kept + block.encode("utf-8", "surrogatepass")
            for title, id_, name in _ACCOUNT.findall(page):
                full = unescape(title.strip(b'"'))
                users[full] = Author(unescape(name).strip() or full, id_.decode(), full)
            for sign, hours, tenths in _ZONE.findall(page):
                minutes = int(hours) * 60 + int(tenths or 0) * 6
                zone = f" {sign.decode()}{minutes // 60:02}:{minutes % 60:02}"
            kept = page[-1000:]
    return users, zone
