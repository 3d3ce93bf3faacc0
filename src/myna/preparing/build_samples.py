"""Build samples from conversations, some at a time, and join their files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from myna.artifacts import Channel
from myna.config import Samples
from myna.conversations import sessions
from myna.messages import CHANNEL_KEY, COUNTED_REACTIONS
from myna.preparing.message_store import BATCH_MESSAGES, MessageStore
from myna.preparing.windowed_segments import render_windows
from myna.preparing.windows import text_with_attachments
from myna.rendering.encode import TARGET_SPAN, encode_batch, trained_tokens
from myna.rendering.spec import RenderingSpec
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import MAX_PEOPLE_NAMED

SAMPLE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "split": pl.String,
    "conversation": pl.Int64,
    "space": pl.String,
    "channel": pl.String,
    "segments": pl.List(pl.Struct({"text": pl.String, "kind": pl.UInt8, "control": pl.Boolean})),
    "ids": pl.List(pl.Int32),
    "target_spans": pl.List(TARGET_SPAN),
}
MESSAGE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys((*CHANNEL_KEY, "space", "channel", "id", "person"), pl.String),
    "sent_at": pl.Datetime("us", "UTC"),
    "kind": pl.String,
    "conversation": pl.Int64,
    "split": pl.String,
    "trained": pl.Boolean,
    "text": pl.String,
    "reactions": COUNTED_REACTIONS,
}

COLUMNS = (
    *("source", "space", "channel", "channel_id", "thread", "id", "person"),
    *("sent_at", "kind", "text", "attachments", "reactions"),
)
"""The columns of the message store that samples are made of."""


@dataclass(frozen=True)
class BuildConfig:
    """Everything that samples are built by, the same for all batches."""

    store: MessageStore
    settings: Samples
    tokenizer: Tokenizer
    spec: RenderingSpec
    personas: tuple[str, ...]


class ConversationBatch(NamedTuple):
    """Whole conversations, and the messages of others that they reply to.

    `messages` is a piece of the frame of `split_conversations`; `quoted` has row (of that
    piece), target and message (the number of the message replied to, among those that stay
    and among all).
    """

    number: int
    messages: pl.DataFrame
    quoted: pl.DataFrame


@dataclass
class BuildStats:
    """Counts of a batch of samples; `is_target` is True for its messages that are trained.

    `extended` and `opened` count samples, see `RenderedWindows`.
    """

    is_target: pl.Series
    samples: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    trained_tokens: int = 0
    extended: int = 0
    opened: int = 0
    speakers: pl.DataFrame = field(default_factory=pl.DataFrame)


def conversation_batches(
    kept: pl.DataFrame, max_messages: int = BATCH_MESSAGES
) -> Iterator[ConversationBatch]:
    """Batch conversations: as many as have `max_messages`, or one that is longer."""
    answered = sessions.find_reply_targets(kept, ("channel",))
    message = kept["number"].gather(answered["target"])
    answered = answered.with_columns(message=message).sort("row")
    sizes = kept["conversation"].rle().struct.field("len")
    batch = (sizes.cum_sum() - 1) // max_messages
    ends = sizes.to_frame("size").group_by(batch.alias("batch"), maintain_order=True)
    first = 0
    for number, length in enumerate(ends.agg(pl.sum("size"))["size"]):
        own = answered.filter(pl.col("row").is_between(first, first + length - 1))
        quoted = own.with_columns((pl.col("row") - first).cast(pl.UInt32))
        yield ConversationBatch(number, kept[first : first + length], quoted)
        first += length


def build_batch(config: BuildConfig, batch: ConversationBatch) -> BuildStats:
    """Render and tokenise conversations; write samples and messages beside the message store."""
    store, spec = config.store, config.spec
    own = batch.messages.select("conversation", "split", "whole", "trained")
    kept = store.load(batch.messages["number"], COLUMNS).hstack(own)
    quoted = batch.quoted.select("row", "target").hstack(
        store.load(batch.quoted["message"]).select("person", text=text_with_attachments())
    )
    tables: list[pl.DataFrame] = [pl.DataFrame(schema=SAMPLE_SCHEMA)]
    is_target = np.zeros(kept.height, np.bool_)
    stats = BuildStats(pl.Series())
    for windows in render_windows(
        kept, config.settings, config.tokenizer, spec, config.personas, quoted
    ):
        encoded = encode_batch(
            windows.segments,
            config.tokenizer,
            add_eos=windows.samples["add_eos"].to_numpy(),
            add_special_tokens=spec.add_special_tokens,
        )
        tables.append(windows.samples.hstack(encoded).select(list(SAMPLE_SCHEMA)))
        is_target[windows.messages] = True
        stats.extended += windows.extended
        stats.opened += windows.opened
    samples = pl.concat(tables)
    samples.write_ipc(_path(store, batch.number, "samples"))
    messages = kept.with_columns(text=text_with_attachments()).select(list(MESSAGE_SCHEMA))
    messages.write_ipc(_path(store, batch.number, "kept"))
    stats.is_target = pl.Series(is_target)
    stats.samples.update(samples["split"])
    stats.tokens = int(samples["ids"].list.len().sum())
    stats.trained_tokens = int(samples.select(trained_tokens().sum()).item())
    stats.speakers = kept.group_by("source", "channel_id", "person", maintain_order=True).agg(
        pl.last("space", "channel"), pl.len().alias("messages")
    )
    return stats


def _path(store: MessageStore, batch: int, name: str) -> Path:
    return store.folder / f"{batch:06}.{name}"


def join_files(store: MessageStore, count: int, folder: Path) -> None:
    """Join the files of so many batches into `samples.parquet` and `messages.parquet`."""
    for name, table, schema, group in (
        ("samples", "samples", SAMPLE_SCHEMA, 4_000),
        ("kept", "messages", MESSAGE_SCHEMA, 50_000),
    ):
        files = [_path(store, number, name) for number in range(count)]
        if not files:
            pl.DataFrame(schema=schema).write_ipc(store.folder / f"none.{name}")
            files = [store.folder / f"none.{name}"]
        # One after the other, in groups of rows: neither is ever whole in memory.
        pl.scan_ipc(files).sink_parquet(folder / f"{table}.parquet", row_group_size=group)


def channels(speakers: Iterable[pl.DataFrame]) -> list[Channel]:
    """The channels and the people in them, the busiest first."""
    names = ("source", "channel_id", "person", "space", "channel")
    none = pl.DataFrame(schema={**dict.fromkeys(names, pl.String), "messages": pl.UInt32})
    every = pl.concat([none, *speakers])
    people = (
        every.group_by("source", "channel_id", "person", maintain_order=True)
        .agg(pl.sum("messages"), pl.last("space", "channel"))
        .sort("messages", descending=True, maintain_order=True)
    )
    named = every.group_by("source", "channel_id", maintain_order=True).agg(
        pl.last("space", "channel")
    )
    counted = people.group_by("source", "channel_id", maintain_order=True).agg(
        pl.sum("messages"), pl.col("person").head(MAX_PEOPLE_NAMED).alias("people")
    )
    rows = (
        named.join(counted, on=["source", "channel_id"], maintain_order="left")
        .sort("messages", descending=True, maintain_order=True)
        .select("source", "space", "channel", "messages", "people")
    )
    return [Channel(**row) for row in rows.iter_rows(named=True)]
