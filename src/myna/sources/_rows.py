"""Chats that are plain tables, whatever wrote them: columns are known by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import chain, islice
from pathlib import PurePath

import polars as pl

from myna import messages
from myna.sources import ChatFile, Tally
from myna.sources._times import day_first, utc

BATCH = 50_000
"""Rows in a message table."""

SAMPLE = 5_000
"""Rows that are looked at before the first is read."""

REMEMBERED = 200_000
"""How many different messages back one that is the same counts as another one."""

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


def columns(names: Iterable[str]) -> dict[str, str] | None:
    """Which of the named columns holds what; None without both a text and an author.

    A time of day in a column of its own, beside the date's, is called ``clock``.
    """
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(re.sub(r"[^a-z0-9]", "", name.lower()), name)
    found = {
        column: plain[choice]
        for column, choices in _NAMES.items()
        if (choice := next((c for c in choices.split() if c in plain), None))
    }
    if "text" not in found or "author" not in found:
        return None
    if "time" in plain and found["time"] == plain.get("date"):
        found["clock"] = plain["time"]
    return found


def tables(rows: Iterable[Row], file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """Message tables of rows, each a mapping by the keys of `columns`.

    What names no channel is in the one named after the file: so the ids in two files,
    which often count from 1, do not meet. What has no id gets one from its channel,
    author, time and text, and from how many like it came before.
    """
    rows = iter(rows)
    sample = list(islice(rows, SAMPLE))
    days_first, certain = day_first([_time(row) for row in sample])
    if not certain:
        tally.notes.append("dates such as 3/4/2020 were read as the third of April")
    channel = PurePath(file.name).stem
    ids = _Ids()
    unread: list[str] = []
    rows = chain(sample, rows)
    while batch := list(islice(rows, BATCH)):
        times = [_time(row) for row in batch]
        channels = [row.get("channel") or channel for row in batch]
        sent = utc([time or None for time in times], days_first)
        texts = [row["text"] for row in batch]
        authors = [row["author"] for row in batch]
        author_ids = [row.get("author_id") or row["author"] for row in batch]
        kinds = [row.get("kind", "") for row in batch]
        frame = messages.table(
            {
                "space": [row.get("space", "") for row in batch],
                "channel": channels,
                "thread": [row.get("thread") or None for row in batch],
                "id": [
                    row.get("id") or ids.new(*parts)
                    for row, *parts in zip(batch, channels, author_ids, times, texts, strict=True)
                ],
                "author_id": author_ids,
                "author": authors,
                "sent_at": sent["sent_at"],
                "zone_assumed": sent["zone_assumed"],
                "kind": [kind if kind in messages.KINDS else "text" for kind in kinds],
                "text": texts,
                "reply_to": [row.get("reply_to") or None for row in batch],
                "is_bot": [row.get("is_bot", "").lower() in _TRUE for row in batch],
                "edited": [row.get("edited", "").lower() in _TRUE for row in batch],
            }
        ).with_columns(source=pl.lit("generic"), position=pl.col("position") + tally.read)
        lost = frame["sent_at"].is_null().arg_true()
        unread += [times[row] for row in lost if times[row]]
        tally.read += frame.height
        yield frame
    if unread:
        tally.notes.append(f"{len(unread):,} times could not be read, the first: '{unread[0]}'")
    if not tally.read:
        tally.notes.append("the table holds no messages")


def _time(row: Row) -> str:
    """When it was sent, from one column or from two."""
    time = row.get("time", "").strip()
    clock = row.get("clock", "")
    return f"{time} {clock.strip()}" if _TIME_OF_DAY.match(clock) else time


class _Ids:
    """Ids for messages that have none: the same for the same file, whatever is added to it."""

    def __init__(self) -> None:
        # Two generations, so that memory stays flat.
        self.recent: dict[bytes, int] = {}
        self.older: dict[bytes, int] = {}

    def new(self, *parts: str) -> str:
        """The id of a message of these parts, another one each time."""
        marked = "".join(f"{len(part)}:{part}" for part in parts)
        digest = blake2b(marked.encode("utf-8", "surrogatepass"), digest_size=10).digest()
        seen = self.recent.get(digest) or self.older.get(digest, 0)
        self.recent[digest] = seen + 1
        if len(self.recent) >= REMEMBERED:
            self.recent, self.older = {}, self.recent
        return f"{digest.hex()}-{seen}" if seen else digest.hex()
