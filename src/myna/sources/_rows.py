"""Chats that are plain tables, whatever wrote them: columns are known by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

import polars as pl

from myna import messages
from myna.sources import ChatFile, Tally, _sent
from myna.sources._sent import Sent

Row = Mapping[str, str]

# What each column of the message table may be called, the surest name first.
_NAMES = {
    "text": "text content message body contents messagetext messagecontent msg",
    "author": "author sender from name user username displayname authorname sendername "
    "fromname nickname nick speaker",
    "author_id": "authorid senderid userid fromid",
    "time": "timestamp ts datetime sentat createdat date time sent created",
    "channel": "channel channelname chat room conversation",
    "space": "space server guild",
    "thread": "thread",
    "id": "id messageid msgid",
    "reply_to": "replyto replytoid replytomessageid inreplyto",
    "is_bot": "isbot bot",
    "edited": "edited isedited",
    "kind": "kind",
}
_TRUE = ("1", "true", "t", "yes", "y")
_TIME_OF_DAY = re.compile(r"\s*\d{1,2}:\d\d")


HELD = tuple(_NAMES)
"""What the columns of a table may hold."""


def columns(names: Iterable[str], given: Mapping[str, str] | None = None) -> dict[str, str] | None:
    """Which of the named columns holds what; None without both a text and an author.

    A time of day in a column of its own, beside the date's, is called ``clock``. What the
    user has `given` goes before what the names suggest; None where there are no such names.
    """
    names = list(names)
    if given and not set(given.values()) <= set(names):
        return None
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(re.sub(r"[^a-z0-9]", "", name.lower()), name)
    found = {
        column: plain[choice]
        for column, choices in _NAMES.items()
        if (choice := next((c for c in choices.split() if c in plain), None))
    }
    found |= given or {}
    if "text" not in found or "author" not in found:
        return None
    if "time" in plain and found.get("time") == plain.get("date"):
        found["clock"] = plain["time"]
    return found


def tables(rows: Iterable[Row], file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """Message tables of rows, each a mapping by the keys of `columns`.

    What names no channel is in the one named after the file: so the ids in two files,
    which often count from 1, do not meet.
    """
    channel = PurePath(file.name).stem
    yield from _sent.tables((_message(row, channel) for row in rows), "generic", tally)
    if not tally.read:
        tally.notes.append("the table holds no messages")


def _message(row: Row, channel: str) -> Sent:
    kind = row.get("kind", "")
    return Sent(
        author=row["author"],
        text=row["text"],
        sent_at=_time(row) or None,
        channel=row.get("channel") or channel,
        space=row.get("space", ""),
        thread=row.get("thread") or None,
        id=row.get("id") or None,
        author_id=row.get("author_id") or None,
        kind=kind if kind in messages.KINDS else "text",
        reply_to=row.get("reply_to") or None,
        is_bot=row.get("is_bot", "").lower() in _TRUE,
        edited=row.get("edited", "").lower() in _TRUE,
    )


def _time(row: Row) -> str:
    """When it was sent, from one column or from two."""
    time = row.get("time", "").strip()
    clock = row.get("clock", "")
    return f"{time} {clock.strip()}" if _TIME_OF_DAY.match(clock) else time
