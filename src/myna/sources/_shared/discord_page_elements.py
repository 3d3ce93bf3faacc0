"""The elements of DiscordChatExporter pages: their roles, and messages that are read at once.

The format is described in `discord_chat_exporter_html`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from myna.sources._shared.html import attributes

# The roles of elements, by their classes.
_ROLES = {
    name: role
    for role, names in {
        "log": "chatlog",
        "channel": "preamble__entry info__guild-name info__channel-name",
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
        "reaction": "chatlog__reaction",
        "aside": "chatlog__embed spoiler-warning "
        "chatlog__attachment-generic-size chatlog__attachment-spoiler-caption",
    }.items()
    for name in names.split()
}
READ = (
    *("channel", "count", "author", "time", "content", "notifier", "notice", "file", "reaction"),
)
"""Roles of elements whose text is read."""

IGNORED = ("bot", "edited", "reply", "forward", "sticker", "aside")
"""Roles of elements whose text and elements are ignored."""

INNER = ("mention", "quote", "block", "edited", "aside")
"""Roles of elements inside those whose text is read."""

OF_REPLY = ("reply-link", "reference-link", "reply-content", "reference-content")
"""Ends of classes of elements in a reply's head."""

IN_MESSAGES = ("content", "edited", "notifier", "notice", "forward", "file", "sticker")

_VALUES = rb"(?:[^\"'<>]++|\"[^\"<>]*+\"|'[^'<>]*+')*"
"""The attributes of a tag, without the signs of other tags in them."""


def _tag(name: str, its_class: str, more: bytes = b"") -> bytes:
    """A pattern of a tag of one class."""
    return rb"\s*+<%b class=\"?%b\"?%b>" % (name.encode(), its_class.encode(), more)


_FLAT = rb"(?:[^<]++|</?(?!div)[a-zA-Z][^\s/<>\"']*+%b>)*" % _VALUES
"""Text, and elements that are no div."""

# A message as most are, without files or embeds; all others are read tag by tag.
INSIDE_MESSAGE = re.compile(
    _tag("div", "chatlog__message")
    + _tag("div", "chatlog__message-aside")
    + rb"\s*+(?:<img(?:\s%b)?>\s*+)?</div>" % _VALUES
    + _tag("div", "chatlog__message-primary")
    + rb"(?P<reply>\s*+<div class=\"?chatlog__reply\"?>(?:%b<div%b>%b</div>)*%b</div>)?"
    % (_FLAT, _VALUES, _FLAT, _FLAT)
    + rb"(?:"
    + _tag("div", "chatlog__header")
    + rb"\s*+<span(?P<author>\sclass=\"?chatlog__author\"?\s%b)>(?P<name>[^<]*+)</span>" % _VALUES
    + rb"\s*+<span(?P<time>\sclass=\"?chatlog__timestamp\"?\s%b)>" % _VALUES
    + rb"(?:<a(?:\s%b)?>)?(?P<clock>[^<]*+)(?:</a>)?</span>\s*+</div>)?" % _VALUES
    + rb"\s*+<div(?P<content>\sclass=\"?chatlog__content(?: chatlog__markdown)?\"?)>"
    + rb"(?:(?:<span class=\"?chatlog__markdown-preserve\"?>)?(?P<plain>[^<]*+)(?:</span>)?</div>"
    + rb"|(?P<text>%b)</div>)" % _FLAT
    + rb"\s*+</div>\s*+</div>\s*+</div>"
)
INSIDE_GROUPS = ("reply", "author", "name", "time", "clock", "plain", "text")
"""Matches what is inside a message's element of pages since 2021, and its end."""


class Element(NamedTuple):
    """An open element."""

    tag: str
    role: str
    target: str  # of its text: the nearest role around that is in READ, or "ignored"
    title: str
    begin: int  # in the text that is read
    values: Mapping[str, str]


@cache
def plain_element(tag: str, target: str) -> Element:
    """An element without a role."""
    return Element(tag, "", target, "", 0, {})


class Opening(NamedTuple):
    """A tag that opens an element: its attributes, and what its classes say."""

    values: Mapping[str, str]
    classes: tuple[str, ...]
    role: str  # outside of elements that are ignored
    names_reply: bool  # a link to a message, or what stands for one


MAX_KNOWN_TAGS = 2_000
"""Tags that are remembered: those with an id in them come once, all others again and again."""


_MESSAGE_TAG = re.compile(
    rb"\s*+id=[\w-]++ class=\"?chatlog__message-container\"? data-message-id=\"?([0-9]++)\"?"
)
"""The attributes of the tag that begins a message of today's pages."""


def read_opening(raw: bytes) -> Opening:
    """Read a tag's attributes."""
    if message := _MESSAGE_TAG.fullmatch(raw):
        return Opening({"data-message-id": message[1].decode()}, (), "message", False)
    values = attributes(raw) if raw else {}
    classes = tuple(values.get("class", "").split())
    if "data-message-id" in values:
        role = "message"
    elif "chatlog__message-group" in classes:
        role = "group"
    else:
        role = next((_ROLES[name] for name in classes if name in _ROLES), "")
    return Opening(values, classes, role, any(name.endswith(OF_REPLY) for name in classes))
