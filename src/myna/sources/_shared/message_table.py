"""Messages as parsed by a reader, one by one, and message tables made from them.

Readers in a hurry fill columns of their own (see `discord_chat_exporter`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import chain, count, groupby, islice
from typing import Any, NamedTuple, cast

import polars as pl

from myna import messages
from myna.messages import MADE_ID, SCHEMA
from myna.sources import Tally
from myna.sources._shared.times import (
    EARLIEST_YEAR,
    EARLIEST_YEARS,
    UTC_TIME,
    detect_day_first,
    in_datetime_range,
    parse_times,
    possible_times,
)

TABLE_ROWS = 50_000
"""Rows of one message table."""

DATE_SAMPLE_MESSAGES = 5_000
"""Messages whose dates show if days come before months."""

MAX_REMEMBERED = 200_000
"""Different messages that are remembered to tell identical ones apart."""


UNKNOWN = "unknown"
"""The author of a message of which the export does not say who sent it."""


class Mention(NamedTuple):
    """A mention: the account, and [start, end) in the text, in characters."""

    author_id: str
    start: int
    end: int


class Attachment(NamedTuple):
    """An attachment: its kind (one of messages.ATTACHMENT_KINDS) and its file name."""

    kind: str
    name: str


class Reaction(NamedTuple):
    """A kind of reaction: an emoji or the name of one, how many gave it, their accounts if known.

    The accounts have no source in front, as `author_id` has none.
    """

    name: str
    number: int
    by: tuple[str, ...] = ()


def count_reactions(given: Iterable[tuple[str, str | None]]) -> tuple[Reaction, ...]:
    """Reactions from what each person gave: its name, and their account if it is known."""
    accounts: dict[str, list[str | None]] = {}
    for name, account in given:
        if name:
            accounts.setdefault(name, []).append(account)
    return tuple(
        Reaction(name, len(each), tuple(filter(None, each))) for name, each in accounts.items()
    )


class ParsedMessage(NamedTuple):
    """One message as parsed by a reader; fields that the format lacks keep their defaults.

    ``sent_at`` is a time in any format of `times.parse_times`, or whole microseconds since
    1970 in UTC; None if unknown. ``channel_id`` defaults to space and channel, ``author_id``
    to the author's name, ``id`` to a hash of channel, author, time and text, which is the
    same in each import, and ``position`` to the number of messages before it in the file.
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
    mentions: tuple[Mention, ...] = ()
    position: int | None = None
    reactions: tuple[Reaction, ...] = ()


def to_tables(
    parsed: Iterable[ParsedMessage],
    source: str,
    tally: Tally,
    *,
    zone_assumed: bool | None = None,
    months_first: bool | None = None,
) -> Iterator[pl.DataFrame]:
    """Message tables of parsed messages, which ``tally.read`` counts.

    Args:
        parsed: the messages, in the file's order.
        source: the platform, for the column `source`.
        tally: of the file.
        zone_assumed: True if the format has no time zone; by default each time decides.
        months_first: True if 3/4/2020 is the fourth of March; by default the dates decide,
            and a note is made if they are ambiguous.
    """
    parsed = iter(parsed)
    if months_first is None:
        sample = list(islice(parsed, DATE_SAMPLE_MESSAGES))
        parsed = chain(sample, parsed)
        texts = [message.sent_at for message in sample if isinstance(message.sent_at, str)]
        days_first, is_certain = detect_day_first(texts)
        if not is_certain:
            tally.notes.append("dates such as 3/4/2020 were read as the third of April")
    else:
        days_first = not months_first
    ids, form = MessageIds(), _Form(source, days_first, zone_assumed)
    unread, is_first = _UnreadTimes(), True
    while batch := list(islice(parsed, TABLE_ROWS)):
        keys = [message.id or ids.new(message) for message in batch]
        before, tally.read = tally.read, tally.read + len(batch)
        if tally.gather and is_first and len(batch) < TABLE_ROWS:
            tally.gather(ParsedTable(batch, keys, before, form, tally, len(tally.notes)))
            return
        frame, bad, impossible = _table(batch, keys, range(before, tally.read), form)
        unread.add(batch, bad, impossible)
        is_first = False
        yield frame
    tally.notes += unread.notes(source)


class _Form(NamedTuple):
    """The form of a file's times, and its platform."""

    source: str
    days_first: bool
    zone_assumed: bool | None


class ParsedTable(NamedTuple):
    """The messages of a small file, of which `join_tables` makes a table with those of others.

    Notes on times are due in the file's tally, before those from `notes_before` on.
    """

    rows: list[ParsedMessage]
    ids: list[str]
    before: int
    form: _Form
    tally: Tally
    notes_before: int

    @property
    def source(self) -> str:
        """The platform."""
        return self.form.source

    @property
    def height(self) -> int:
        """The number of messages."""
        return len(self.rows)


def join_tables(parts: Sequence[ParsedTable]) -> list[pl.DataFrame]:
    """Few message tables with the rows of many files, in their order; notes go to the tallies."""
    frames = []
    for form, same in groupby(parts, lambda part: part.form):
        some = list(same)
        batch = list(chain.from_iterable(part.rows for part in some))
        keys = list(chain.from_iterable(part.ids for part in some))
        numbers = (range(part.before, part.before + part.height) for part in some)
        frame, bad, impossible = _table(batch, keys, chain.from_iterable(numbers), form)
        frames.append(frame)
        if bad or impossible:
            _note_times(some, bad, impossible)
    return frames


def _note_times(parts: list[ParsedTable], bad: list[int], impossible: list[int]) -> None:
    """Note times that could not be read, by their rows in the table of all, with their files."""
    begin = 0
    for part in parts:
        end = begin + part.height
        own = [[row - begin for row in rows if begin <= row < end] for rows in (bad, impossible)]
        unread = _UnreadTimes()
        unread.add(part.rows, *own)
        part.tally.notes[part.notes_before : part.notes_before] = unread.notes(part.source)
        begin = end


class _UnreadTimes:
    """The times of a file that could not be read, or cannot be."""

    def __init__(self) -> None:
        self.invalid = self.impossible = 0
        self.first_invalid: str | int = ""
        self.first_impossible: str | int = ""

    def add(self, batch: list[ParsedMessage], bad: list[int], impossible: list[int]) -> None:
        """Add those of a batch, given by their rows."""
        invalid = [time for row in bad if (time := batch[row].sent_at)]
        self.invalid += len(invalid)
        self.impossible += len(impossible)
        for time in invalid[:1]:
            self.first_invalid = self.first_invalid or time
        for row in impossible:
            self.first_impossible = self.first_impossible or batch[row].sent_at or ""

    def notes(self, source: str) -> list[str]:
        """Notes for the user."""
        notes = []
        if self.invalid:
            notes.append(
                f"{self.invalid:,} times could not be read, the first: '{self.first_invalid}'"
            )
        if self.impossible:
            year = EARLIEST_YEARS.get(source, EARLIEST_YEAR)
            notes.append(
                f"{self.impossible:,} times are before {year} or in the future, which cannot be, "
                f"and were left out, the first: '{self.first_impossible}'"
            )
        return notes


def _table(
    batch: list[ParsedMessage], ids: list[str], numbers: Iterable[int], form: _Form
) -> tuple[pl.DataFrame, list[int], list[int]]:
    """The table of messages; the rows whose times cannot be read, and those that cannot be."""
    frame = _plain_table(batch, ids, numbers, form)
    possible = possible_times(frame["sent_at"], form.source).fill_null(True)
    impossible = (~possible).arg_true().to_list()
    if impossible:
        frame = frame.with_columns(sent_at=pl.when(possible).then("sent_at"))
    return frame, (frame["sent_at"].is_null() & possible).arg_true().to_list(), impossible


def _plain_table(
    batch: list[ParsedMessage], ids: list[str], numbers: Iterable[int], form: _Form
) -> pl.DataFrame:
    (
        author, text, sent_at, channel, space, channel_id, thread, _, author_id, handle, kind,
        reply_to, is_bot, edited, attachments, mentions, position, reactions,
    ) = zip(*batch, strict=True)  # fmt: skip
    times = _times(sent_at, form.days_first)
    zone_assumed = times["zone_assumed"] if form.zone_assumed is None else form.zone_assumed
    return messages.table(
        {
            "space": space,
            "channel": channel,
            "channel_id": channel_id,
            "thread": thread,
            "id": ids,
            "position": [
                row if given is None else given
                for row, given in zip(numbers, position, strict=True)
            ],
            "author_id": [given or name for given, name in zip(author_id, author, strict=True)],
            "author": author,
            "handle": handle,
            "sent_at": times["sent_at"],
            "kind": kind,
            "text": text,
            "reply_to": reply_to,
            "is_bot": is_bot,
            "edited": edited,
            "attachments": list_column("attachments", len(batch), flatten(attachments)),
            "mentions": list_column("mentions", len(batch), flatten(mentions)),
            "reactions": list_column("reactions", len(batch), flatten(reactions)),
        }
    ).with_columns(source=pl.lit(form.source), zone_assumed=zone_assumed)


Columns = defaultdict[str, list[Any]]
"""Columns of the message table by name; list columns hold tuples that begin with a row."""


def from_columns(columns: Columns, times: pl.DataFrame, **more: pl.Series) -> pl.DataFrame:
    """The message table of columns that a reader filled; positions are the ids if numbers.

    Args:
        columns: of equal length, but for those of lists.
        times: columns ``sent_at`` and ``zone_assumed``.
        more: further columns.
    """
    height = len(columns["id"])
    nested = {
        name: list_column(name, height, columns[name])
        for name in ("attachments", "mentions", "reactions")
    }
    table = messages.table({**columns, **times.to_dict(), **nested, **more})
    return table.with_columns(
        position=pl.coalesce(pl.col("id").cast(pl.Int64, strict=False), "position")
    )


def _times(sent_at: tuple[str | int | None, ...], days_first: bool) -> pl.DataFrame:
    """Columns ``sent_at`` and ``zone_assumed``."""
    texts = [None if isinstance(time, int) else time for time in sent_at]
    micros = [time if isinstance(time, int) and abs(time) < 2**63 else None for time in sent_at]
    given = pl.lit(pl.Series("given", micros, pl.Int64).cast(UTC_TIME))
    return parse_times(texts, days_first).with_columns(
        sent_at=pl.coalesce(in_datetime_range(given), "sent_at")
    )


def flatten(
    column: Iterable[Iterable[tuple[object, ...]]], rows: Iterable[int] | None = None
) -> list[tuple[object, ...]]:
    """The items of a column of lists, each with its row in front, for `list_column`."""
    numbered = zip(count() if rows is None else rows, column, strict=False)
    return [(row, *item) for row, items in numbered if items for item in items]


class MessageIds:
    """Ids for messages without any, which stay the same when a file grows."""

    def __init__(self, remembered: int | None = None) -> None:
        self.remembered = remembered or MAX_REMEMBERED
        # Two generations, so that memory stays flat.
        self.recent: dict[str, int] = {}
        self.older: dict[str, int] = {}

    def new(self, message: ParsedMessage) -> str:
        """The id of a message; identical messages get different ids."""
        fields = (
            message.channel_id or f"{message.space}/{message.channel}",
            message.author_id or message.author,
            str(message.sent_at or ""),
            message.text,
        )
        return self.hashed(["".join([f"{len(field)}:{field}" for field in fields])])[0]

    def hashed(self, keys: Iterable[str]) -> list[str]:
        """Ids of messages from the texts of all their identifying fields."""
        return self.numbered(
            [
                blake2b(key.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()
                for key in keys
            ]
        )

    def numbered(self, keys: Iterable[str]) -> list[str]:
        """Ids of messages from short keys, with numbers behind repeated ones."""
        ids = [f"{MADE_ID}{key}" for key in keys]
        recent, older = self.recent, self.older
        for row, key in enumerate(ids):
            if key in recent or key in older:
                seen = recent.get(key) or older[key]
                recent[key] = seen + 1
                ids[row] = f"{key}-{seen}"
            else:
                recent[key] = 1
        if len(recent) >= self.remembered:
            self.recent, self.older = {}, recent
        return ids


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
    """The kind (one of messages.ATTACHMENT_KINDS) of a file, by its name."""
    if name.startswith("voice-message"):
        return "voice"
    return _KIND_OF.get(name.rpartition(".")[2].lower(), "file")


def list_column(column: str, height: int, structs: Sequence[tuple[Any, ...]]) -> pl.Series:
    """A column of lists of structs, from flat tuples: much faster than nested objects.

    Args:
        column: ``attachments``, ``mentions`` or ``reactions``.
        height: rows of the table.
        structs: for each struct, its row, then its fields.
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
