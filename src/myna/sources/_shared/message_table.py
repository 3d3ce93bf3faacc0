"""Messages as a reader finds them, one by one, and the message tables made of them.

For readers whose format is met line by line or object by object; a reader in a hurry
fills columns of its own (see `discord_chat_exporter`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import chain, islice
from typing import Any, NamedTuple, cast

import polars as pl

from myna import messages
from myna.messages import SCHEMA
from myna.sources import Tally
from myna.sources._shared.times import UTC_TIME, detect_day_first, in_datetime_range, parse_times

TABLE_ROWS = 50_000
"""Rows in a message table."""

DATE_SAMPLE_MESSAGES = 5_000
"""Messages whose dates say whether days come before months."""

MAX_REMEMBERED = 200_000
"""How many different messages back one that is the same counts as another one."""


class MentionSpan(NamedTuple):
    """A mention: whose account, and from where to where in the text, in characters."""

    author_id: str
    start: int
    end: int


class Attachment(NamedTuple):
    """An attachment: one of messages.ATTACHMENT_KINDS, and its name."""

    kind: str
    name: str


class ParsedMessage(NamedTuple):
    """One message as a reader found it; what the format does not have stays at its default.

    ``sent_at`` is a time as the format writes it (any that `times.utc` reads), or whole
    microseconds since 1970 in UTC; None where there is none or it cannot be. ``channel_id``
    defaults to space and channel, ``author_id`` to the author's name, ``id`` to a hash of
    place, author, time and text that is the same whenever the message is read again, and
    ``position`` to how many messages the file had before.
    """

    author: str
    text: str
    sent_at: str | int | None
    channel: str
    space: str = ""
    channel_id: str | None = None
    thread: str | None = None
    id: str | None = None
    author_id: str | None = None
    handle: str | None = None
    kind: str = "text"
    reply_to: str | None = None
    is_bot: bool = False
    edited: bool = False
    attachments: tuple[Attachment, ...] = ()
    mentions: tuple[MentionSpan, ...] = ()
    position: int | None = None


def message_tables(
    found: Iterable[ParsedMessage],
    source: str,
    tally: Tally,
    *,
    zone_assumed: bool | None = None,
    months_first: bool | None = None,
) -> Iterator[pl.DataFrame]:
    """Message tables of what a reader found; ``tally.read`` counts them.

    Args:
        found: the messages, in the file's order.
        source: the platform, for the column `source`.
        tally: of the file.
        zone_assumed: whether the format has no time zone; by default each time is looked at.
        months_first: whether 3/4/2020 is the fourth of March; by default the dates tell,
            and a note is made where they do not.
    """
    found = iter(found)
    if months_first is None:
        sample = list(islice(found, DATE_SAMPLE_MESSAGES))
        found = chain(sample, found)
        texts = [sent.sent_at for sent in sample if isinstance(sent.sent_at, str)]
        days_first, certain = detect_day_first(texts)
        if not certain:
            tally.notes.append("dates such as 3/4/2020 were read as the third of April")
    else:
        days_first = not months_first
    ids = MessageIds()
    unread: list[str | int] = []
    lost = 0
    while batch := list(islice(found, TABLE_ROWS)):
        frame = _table(batch, source, days_first, ids, tally.read)
        if zone_assumed is not None:
            frame = frame.with_columns(zone_assumed=pl.lit(zone_assumed))
        for row in frame["sent_at"].is_null().arg_true():
            if (time := batch[row].sent_at) not in (None, ""):
                lost += 1
                unread = unread or [time]
        tally.read += frame.height
        yield frame
    if unread:
        tally.notes.append(f"{lost:,} times could not be read, the first: '{unread[0]}'")


def _table(
    batch: list[ParsedMessage], source: str, days_first: bool, ids: MessageIds, before: int
) -> pl.DataFrame:
    (
        author, text, sent_at, channel, space, channel_id, thread, id_, author_id, handle, kind,
        reply_to, is_bot, edited, attachments, mentions, position,
    ) = zip(*batch, strict=True)  # fmt: skip
    times = _times(sent_at, days_first)
    return messages.table(
        {
            "space": space,
            "channel": channel,
            "channel_id": channel_id,
            "thread": thread,
            "id": [given or ids.new(sent) for given, sent in zip(id_, batch, strict=True)],
            "position": [
                row if given is None else given for row, given in enumerate(position, before)
            ],
            "author_id": [given or name for given, name in zip(author_id, author, strict=True)],
            "author": author,
            "handle": handle,
            "sent_at": times["sent_at"],
            "zone_assumed": times["zone_assumed"],
            "kind": kind,
            "text": text,
            "reply_to": reply_to,
            "is_bot": is_bot,
            "edited": edited,
            "attachments": list_column("attachments", len(batch), _flat(attachments)),
            "mentions": list_column("mentions", len(batch), _flat(mentions)),
        }
    ).with_columns(source=pl.lit(source))


def _times(sent_at: tuple[str | int | None, ...], days_first: bool) -> pl.DataFrame:
    """Columns ``sent_at`` and ``zone_assumed``."""
    texts = [None if isinstance(time, int) else time for time in sent_at]
    micros = [time if isinstance(time, int) and abs(time) < 2**63 else None for time in sent_at]
    given = pl.lit(pl.Series("given", micros, pl.Int64).cast(UTC_TIME))
    return parse_times(texts, days_first).with_columns(
        sent_at=pl.coalesce(in_datetime_range(given), "sent_at")
    )


def _flat(column: tuple[tuple[tuple[object, ...], ...], ...]) -> list[tuple[object, ...]]:
    """The items of a column of tuples, each with its row in front."""
    return [(row, *item) for row, items in enumerate(column) if items for item in items]


class MessageIds:
    """Ids for messages that have none: the same for the same file, whatever is added to it."""

    def __init__(self, remembered: int | None = None) -> None:
        self.remembered = remembered or MAX_REMEMBERED
        # Two generations, so that memory stays flat.
        self.recent: dict[str, int] = {}
        self.older: dict[str, int] = {}

    def new(self, sent: ParsedMessage) -> str:
        """The id of this message, another one for each of several that are the same."""
        parts = (
            sent.channel_id or f"{sent.space}/{sent.channel}",
            sent.author_id or sent.author,
            str(sent.sent_at or ""),
            sent.text,
        )
        marked = "".join([f"{len(part)}:{part}" for part in parts])
        return self.of([marked])[0]

    def of(self, marked: Iterable[str]) -> list[str]:
        """Ids of messages by all that they are known by."""
        found = [
            blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()
            for text in marked
        ]
        return self.counted(found)

    def counted(self, marks: list[str]) -> list[str]:
        """Ids of messages by short texts; those of the same text are counted."""
        found = list(marks)
        recent, older = self.recent, self.older
        for row, mark in enumerate(found):
            if mark in recent or mark in older:
                seen = recent.get(mark) or older[mark]
                recent[mark] = seen + 1
                found[row] = f"{mark}-{seen}"
            else:
                recent[mark] = 1
        if len(recent) >= self.remembered:
            self.recent, self.older = {}, recent
        return found


_KIND_OF = {
    extension: kind
    for kind, extensions in {
        "image": "apng avif bmp heic heif jfif jpeg jpg png svg tif tiff webp",
        "gif": "gif",
        "video": "3gp avi flv m4v mkv mov mp4 mpeg mpg webm wmv",
        # What phones record in. An mp3 or a flac is more likely a song, so a file.
        "voice": "aac amr caf m4a oga ogg opus",
    }.items()
    for extension in extensions.split()
}


def attachment_kind(name: str) -> str:
    """The kind (one of messages.ATTACHMENT_KINDS) of a file that was sent, by its name."""
    if name.startswith("voice-message"):
        return "voice"
    return _KIND_OF.get(name.rpartition(".")[2].lower(), "file")


def list_column(column: str, height: int, structs: Sequence[tuple[Any, ...]]) -> pl.Series:
    """A column of lists of structs, from flat tuples: far faster than nested objects.

    Args:
        column: ``attachments`` or ``mentions``.
        height: rows of the table.
        structs: for each struct, the row whose list it belongs to, then its fields.
    """
    kind = cast(pl.List, SCHEMA[column])
    if not structs:
        return pl.Series(column, [[]], kind).new_from_index(0, height)
    fields = cast(pl.Struct, kind.inner).to_schema()
    flat = pl.DataFrame(structs, schema={"row": pl.UInt32, **fields}, orient="row")
    grouped = flat.group_by("row", maintain_order=True).agg(pl.struct(*fields).alias(column))
    return (
        pl.select(row=pl.int_range(height, dtype=pl.UInt32))
        .join(grouped, on="row", how="left", maintain_order="left")
        .select(pl.col(column).fill_null([]).cast(kind))
        .to_series()
    )
