"""Shared by the exports of Signal's third-party tools.

Signal itself has no readable export; its tools write either texts, in which a message
begins with a line of its own shape, or JSON with one message a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from myna.sources import ChatFile, Tally
from myna.sources._shared.json_objects import decode_repaired
from myna.sources._shared.message_table import MAX_REMEMBERED, Attachment, attachment_kind
from myna.sources._shared.text import MAX_LINE_CHARS, begins_head, read_lines

MENTION_PLACEHOLDER = "\ufffc"
"""The character that stands for a mention; its account is in another field."""

LONG_TEXT_TYPE = "text/x-signal-plain"
"""The content type of the rest of a long text, which Signal sends as a file."""

_OBJECT = msgspec.json.Decoder(dict[str, Any])
_OPEN_LINK = re.compile(r"(?:^|  )!?\[[^\]]*(?:\](?:\([^)]*)?)?$")
_MEDIA = {"image": "image", "video": "video", "audio": "voice"}


def attachment(name: str, content_type: str) -> Attachment:
    """An attachment by its name or, as photos and voice messages have none, by its type."""
    if name:
        return Attachment(attachment_kind(name), name)
    if content_type == "image/gif":
        return Attachment("gif", "")
    return Attachment(_MEDIA.get(content_type.partition("/")[0], "file"), "")


class MessageLines(NamedTuple):
    """A message in a text: its first line's number and match, and the lines that follow.

    The last message of a file may have been cut off at the end of any line.
    """

    number: int
    head: re.Match[str]
    below: list[str]
    is_last: bool = False


def match_heads(
    file: ChatFile, tally: Tally, head: re.Pattern[str], example: str
) -> Iterator[tuple[int, str, re.Match[str] | None]]:
    """The lines of a text with their numbers, and the match of each that begins a message.

    The `example` of such a first line tells if the last one breaks off in its beginning.
    """

    def is_whole(line: str) -> bool | None:
        is_mark = line.startswith("(- ") and not line.endswith(" -)")
        torn = is_mark or _OPEN_LINK.search(line) or begins_head(line, [example], head.match)
        return False if torn else None

    for number, line in read_lines(file, tally, is_whole):
        yield number, line, head.match(line)


def split_messages(
    found: Iterable[tuple[int, str, re.Match[str] | None]], tally: Tally
) -> Iterator[MessageLines]:
    """Split a text into messages, from the lines of `match_heads`."""
    begun: MessageLines | None = None
    length = 0
    for number, line, head in found:
        if head:
            if begun:
                yield begun
            begun, length = MessageLines(number, head, []), 0
        elif begun:
            begun.below.append(line)
            length += len(line) + 1
            if length > MAX_LINE_CHARS:
                problem = f"line {begun.number}: over {MAX_LINE_CHARS:,} characters"
                tally.skip("message too long", problem)
                begun = None
        elif line.strip():
            tally.skip("line of no message", f"line {number}")
    if begun:
        yield begun._replace(is_last=True)


def count_cut_off(message: MessageLines, tally: Tally) -> None:
    """Count the last message of a file as skipped, since its text may be incomplete."""
    tally.skip("message broken off", f"line {message.number}")


def read_objects(file: ChatFile, tally: Tally) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, one on each line, with line numbers; brackets are optional."""
    is_open = False
    for number, line in read_lines(file, tally, _is_item):
        item = line.strip(" \t\ufeff\0")
        if item.startswith("["):
            is_open, item = True, item[1:]
        if item.endswith("]"):
            is_open, item = False, item[:-1]
        if not item:
            continue
        try:
            yield number, decode_repaired(item.removesuffix(",").encode(), _OBJECT)
        except (ValueError, RecursionError) as error:
            tally.skip("damaged line", f"line {number}: {error}")
    if is_open:
        tally.notes.append("the list is not closed: messages may be missing at its end")


def _is_item(line: str) -> bool:
    """True for a whole item of a list, or its closing bracket."""
    item = line.strip(" \t\ufeff\0").removesuffix("]").removesuffix(",")
    try:
        return not item or bool(_OBJECT.decode(item.removeprefix("[")))
    except (ValueError, RecursionError):
        return False


class RecentIds:
    """The ids of the latest messages by the time sent, which is how Signal quotes them."""

    def __init__(self) -> None:
        # Two generations, so that memory stays flat.
        self.ids: dict[str, str] = {}
        self.older: dict[str, str] = {}

    def add(self, sent: str, message_id: str) -> None:
        """Remember a message; of several of one time, the first."""
        self.ids.setdefault(sent, message_id)
        if len(self.ids) >= MAX_REMEMBERED:
            self.ids, self.older = {}, self.ids

    def get(self, sent: str) -> str | None:
        """The id of the message sent at that time, if known."""
        return self.ids.get(sent) or self.older.get(sent)


def as_text(value: Any) -> str:
    """The value if it is a text, else ""."""
    return value if isinstance(value, str) else ""


def as_dicts(value: Any) -> list[dict[str, Any]]:
    """The objects in the value if it is a list, else none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
