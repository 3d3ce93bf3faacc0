"""The message table: one row for each line as it was sent.

Readers make it, `prepare` reads it, nothing ever rewrites it but `myna people forget`.
Messages are identified by (source, channel_id, id): names of channels change and collide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

import polars as pl

ATTACHMENT_TYPE = pl.Struct({"kind": pl.String, "name": pl.String})
REACTION_TYPE = pl.Struct({"name": pl.String, "count": pl.Int32, "by": pl.List(pl.String)})
COUNTED_REACTIONS = pl.List(pl.Struct({"name": pl.String, "count": pl.Int32}))
"""The reactions of a prepared message."""

MENTION_TYPE = pl.Struct({"author_id": pl.String, "start": pl.Int32, "end": pl.Int32})

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "source": pl.String,  # the platform
    "space": pl.String,  # server or group; "" for chats outside of any
    "channel": pl.String,  # display name of the channel or chat
    "channel_id": pl.String,  # the platform's id of it, or else "space/channel"
    "thread": pl.String,  # or null
    "id": pl.String,  # the platform's id, or else a stable hash
    "position": pl.Int64,  # order in the source: breaks ties of equal times
    "author_id": pl.String,  # key of the account
    "author": pl.String,  # display name
    "handle": pl.String,  # the account's login name, or null
    "sent_at": pl.Datetime("us", "UTC"),  # null where the source has no times
    "zone_assumed": pl.Boolean,  # the format had no time zone
    "kind": pl.String,  # one of KINDS
    "text": pl.String,  # as written by the author, markup normalised
    "reply_to": pl.String,  # id of the message that this one replies to, or null
    "is_bot": pl.Boolean,
    "edited": pl.Boolean,
    "attachments": pl.List(ATTACHMENT_TYPE),
    "mentions": pl.List(MENTION_TYPE),  # spans in `text`, in characters
    # Which and how many. `by` has accounts only so that those of people who said no can be
    # left out (accounts.count_reactions): nothing else reads it.
    "reactions": pl.List(REACTION_TYPE),
    "export": pl.String,  # a key of the file that it was read from, or null
}

KINDS = ("text", "entry", "system", "command", "forward", "call", "deleted")
"""`text`: a person's own words. `entry`: a journal page or an essay. The rest is never
a training target: `system` notices, bot `command`s, `forward`ed words of others,
`call`s, and messages whose text was `deleted`."""

MADE_ID = "~"
"""The beginning of ids that are made of a message, in formats that have none."""

ATTACHMENT_KINDS = ("image", "voice", "video", "file", "sticker", "gif")

CHANNEL_KEY = ("source", "channel_id", "thread")
"""The columns that identify one channel or thread."""

MESSAGE_KEY = ("source", "channel_id", "id")
"""The columns that identify one message."""

PARQUET_COMPRESSION: Literal["lz4"] = "lz4"
"""The compression of stored tables: they are read too seldom for a stronger one to pay off."""

_LINE_END = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def normalize_text(text: str) -> str:
    r"""Normalize text for samples and prompts alike, from exports and from live chats.

    Line ends become ``\n``; control characters other than the tab and outer blanks are
    removed; half a surrogate pair, which no tokenizer takes, becomes U+FFFD.
    """
    if not text.isprintable():
        text = _CONTROL.sub("", _LINE_END.sub("\n", text))
        text = _SURROGATE.sub("\ufffd", text)
    return text.strip()


def table(columns: dict[str, Iterable[Any]]) -> pl.DataFrame:
    """A message table from flat columns; columns left out get their default.

    Flat columns, because polars takes longer over nested Python objects than any reader
    takes over the file. ``text`` is required; ``position`` defaults to a count from 0, and
    ``channel_id`` to space and channel.

    Raises:
        KeyError: the message table has no such column.
    """
    frame = pl.DataFrame(columns, schema={name: SCHEMA[name] for name in columns}, strict=False)
    defaults: dict[str, pl.Expr] = {
        "position": pl.int_range(pl.len(), dtype=pl.Int64),
        "space": pl.lit(""),
        "zone_assumed": pl.lit(False),
        "kind": pl.lit("text"),
        "is_bot": pl.lit(False),
        "edited": pl.lit(False),
        "attachments": pl.lit([], dtype=SCHEMA["attachments"]),
        "mentions": pl.lit([], dtype=SCHEMA["mentions"]),
        "reactions": pl.lit([], dtype=SCHEMA["reactions"]),
    }
    missing = [
        defaults.get(name, pl.lit(None)).cast(kind).alias(name)
        for name, kind in SCHEMA.items()
        if name not in columns
    ]
    return (
        frame.with_columns(missing)
        .with_columns(channel_id=pl.coalesce("channel_id", pl.format("{}/{}", "space", "channel")))
        .select(list(SCHEMA))
    )


def in_zone(messages: pl.DataFrame, zone: str, source: str | None = None) -> pl.DataFrame:
    """Take the times that have no zone for those of this zone; they are no longer assumed.

    In the hour that comes twice, a message behind a step backwards is of the second.

    Args:
        messages: in the order of their files.
        zone: an IANA name, such as "Europe/Berlin".
        source: convert only messages of this platform.
    """
    assumed = pl.col("zone_assumed") & pl.col("sent_at").is_not_null()
    if source is not None:
        assumed &= pl.col("source") == source
    local = pl.col("sent_at").dt.replace_time_zone(None)
    earlier, later = (
        local.dt.replace_time_zone(zone, ambiguous=which, non_existent="null").dt.convert_time_zone(
            "UTC"
        )
        for which in ("earliest", "latest")
    )
    # Times that the change of the clock skips are those of a clock that was not put forward.
    skipped = (
        (local - pl.duration(hours=1))
        .dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        .dt.convert_time_zone("UTC")
        + pl.duration(hours=1)
    )  # fmt: skip
    chat = pl.struct(*CHANNEL_KEY, "export")
    went_back = pl.col("sent_at") < pl.col("sent_at").shift(1).over(chat)
    is_twice = earlier != later
    # Of one stretch in that hour: all behind its first step backwards.
    second = (went_back & is_twice).cum_sum().over(chat, local.dt.date()) > 0
    converted = pl.coalesce(pl.when(is_twice & second).then(later), earlier, skipped)
    return messages.with_columns(
        sent_at=pl.when(assumed).then(converted).otherwise("sent_at"),
        zone_assumed=pl.col("zone_assumed") & ~assumed,
    )


TextChange = tuple[int, str, list[dict[str, Any]]]
"""A row, its new text, and its mentions at their new positions."""


def replace_texts(messages: pl.DataFrame, changed: list[TextChange]) -> pl.DataFrame:
    """Replace the texts and mentions of some rows."""
    if not changed:
        return messages
    rows, texts, mentions = zip(*changed, strict=True)
    at = pl.Series("row", rows, pl.UInt32)
    messages = messages.with_columns(messages["text"].scatter(at, pl.Series(texts)))
    if messages["mentions"].list.len().gather(at).sum() == 0:
        return messages
    flat = [
        (row, span["author_id"], span["start"], span["end"])
        for row, spans in zip(rows, mentions, strict=True)
        for span in spans
    ]
    schema = {"row": pl.UInt32, "author_id": pl.String, "start": pl.Int32, "end": pl.Int32}
    spans = pl.DataFrame(flat, schema=schema, orient="row")
    lists = spans.group_by("row", maintain_order=True).agg(
        mentions=pl.struct("author_id", "start", "end")
    )
    fresh = at.to_frame().join(lists, on="row", how="left", maintain_order="left")
    fresh = fresh.with_columns(pl.col("mentions").fill_null([]).cast(SCHEMA["mentions"]))
    every = messages.select("mentions").with_row_index("row")
    return messages.with_columns(every.update(fresh, on="row", maintain_order="left")["mentions"])
