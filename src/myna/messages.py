"""The message table: one row for each line as it was sent.

Readers make it, `prepare` reads it, nothing ever rewrites it but `myna people forget`.
A message is known by (source, channel_id, id): names of channels change and collide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

import polars as pl

Attachment = pl.Struct({"kind": pl.String, "name": pl.String})
Mention = pl.Struct({"author_id": pl.String, "start": pl.Int32, "end": pl.Int32})

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "source": pl.String,  # the platform
    "space": pl.String,  # server or group; "" where there is none
    "channel": pl.String,  # channel or chat, as shown
    "channel_id": pl.String,  # the platform's id of it, or "space/channel" where it has none
    "thread": pl.String,  # or null
    "id": pl.String,  # the platform's id, or a stable hash where it has none
    "position": pl.Int64,  # order in the source: breaks ties of equal times
    "author_id": pl.String,  # key of the account
    "author": pl.String,  # the name shown
    "handle": pl.String,  # the name that the platform knows the account by, or null
    "sent_at": pl.Datetime("us", "UTC"),  # null where the source has no times
    "zone_assumed": pl.Boolean,  # the format had no time zone
    "kind": pl.String,  # one of KINDS
    "text": pl.String,  # what the author wrote, markup normalised
    "reply_to": pl.String,  # id of the message answered, or null
    "is_bot": pl.Boolean,
    "edited": pl.Boolean,
    "attachments": pl.List(Attachment),
    "mentions": pl.List(Mention),  # spans in `text`, in characters
}

KINDS = ("text", "entry", "system", "command", "forward", "call", "deleted")
"""`text`: a person's own words. `entry`: a journal page or an essay. The rest is never
a training target: `system` notices, bot `command`s, `forward`ed words of others,
`call`s, and messages whose text was `deleted`."""

ATTACHMENT_KINDS = ("image", "voice", "video", "file", "sticker", "gif")

PLACE = ("source", "channel_id", "thread")
"""What is said in one place is one chat."""

KEY = ("source", "channel_id", "id")
"""What one message is known by."""

COMPRESSION: Literal["lz4"] = "lz4"
"""Of stored tables: they are written once and read a few times, so a stronger one costs more
than it saves."""

_LINE_END = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def tidy(text: str) -> str:
    r"""Text as samples and prompts have it: the one way in for exports and live chats.

    Whatever ends a line becomes ``\n``; control characters but the tab go, and so do outer
    blanks; half a surrogate pair, which no tokenizer takes, becomes U+FFFD. Nothing else
    of it changes.
    """
    if not text.isprintable():
        text = _CONTROL.sub("", _LINE_END.sub("\n", text))
        text = _SURROGATE.sub("\ufffd", text)
    return text.strip()


def table(columns: dict[str, Iterable[Any]]) -> pl.DataFrame:
    """A message table from flat columns; columns left out get their plain default.

    Flat columns, because polars takes far longer over nested Python objects than any
    reader takes over the file. ``text`` must be there; ``position`` counts from 0 when
    left out, and ``channel_id`` is made of space and channel where it is null.

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


def empty() -> pl.DataFrame:
    """A message table without rows."""
    return pl.DataFrame(schema=SCHEMA)


Rewritten = tuple[int, str, list[dict[str, Any]]]
"""A row, its new text, and its mentions where they stand then."""


def rewritten(messages: pl.DataFrame, changed: list[Rewritten]) -> pl.DataFrame:
    """The messages with other texts, and other mentions, in some of their rows."""
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
