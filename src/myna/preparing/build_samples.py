"""Writing: conversations to tokenised samples, some at a time, and their files joined."""

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
from myna.messages import CHANNEL_KEY
from myna.preparing.conversation_lines import shown
from myna.preparing.message_store import MOST, Parts
from myna.preparing.windowed_segments import drafts
from myna.rendering.encode import TARGET_SPAN, encode, trained_tokens
from myna.rendering.render import MOST_NAMED
from myna.rendering.spec import Markup
from myna.rendering.tokenizer import Tokenizer

SAMPLE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "split": pl.String,
    "conversation": pl.Int64,
    "space": pl.String,
    "channel": pl.String,
    "segments": pl.List(pl.Struct({"text": pl.String, "label": pl.UInt8, "control": pl.Boolean})),
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
}


COLUMNS = (
    *("source", "space", "channel", "channel_id", "thread", "id", "person"),
    *("sent_at", "kind", "text", "attachments"),
)
"""What samples are made of."""


@dataclass(frozen=True)
class How:
    """How samples are written, whichever they are."""

    parts: Parts
    settings: Samples
    tokenizer: Tokenizer
    markup: Markup
    personas: tuple[str, ...]


class Task(NamedTuple):
    """Whole conversations, and what messages of theirs answer in others.

    `messages` is a piece of the frame of `choosing.choose`; `brought` has row (of that
    piece), target and message (the number of what is answered, among those that stay and
    among all).
    """

    number: int
    messages: pl.DataFrame
    brought: pl.DataFrame


@dataclass
class Written:
    """What came of a task: which of its messages are targets, and what is counted."""

    placed: pl.Series
    samples: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    trained_tokens: int = 0
    led: int = 0
    opened: int = 0
    speakers: pl.DataFrame = field(default_factory=pl.DataFrame)


def tasks(kept: pl.DataFrame, most: int = MOST) -> Iterator[Task]:
    """Some conversations at a time: as many as have `most` messages, or one that is longer."""
    answered = sessions.answered(kept, ("channel",))
    message = kept["number"].gather(answered["target"])
    answered = answered.with_columns(message=message).sort("row")
    sizes = kept["conversation"].rle().struct.field("len")
    batch = (sizes.cum_sum() - 1) // most
    ends = sizes.to_frame("size").group_by(batch.alias("batch"), maintain_order=True)
    first = 0
    for number, length in enumerate(ends.agg(pl.sum("size"))["size"]):
        own = answered.filter(pl.col("row").is_between(first, first + length - 1))
        brought = own.with_columns((pl.col("row") - first).cast(pl.UInt32))
        yield Task(number, kept[first : first + length], brought)
        first += length


def write(how: How, task: Task) -> Written:
    """Render and tokenise conversations; samples and messages become files beside the parts."""
    said = how.parts.load(task.messages["number"], COLUMNS)
    own = task.messages.select("conversation", "split", "whole", "trained")
    kept = said.hstack(own)
    about = task.brought.select("row", "target").hstack(
        how.parts.load(task.brought["message"]).select("person", text=shown())
    )
    made: list[pl.DataFrame] = [pl.DataFrame(schema=SAMPLE_SCHEMA)]
    placed = np.zeros(kept.height, np.bool_)
    done = Written(pl.Series())
    for draft in drafts(kept, how.settings, how.tokenizer, how.markup, how.personas, about):
        ends = draft.samples["ends"].to_numpy()
        encoded = encode(draft.segments, how.tokenizer, ends=ends, bare=how.markup.bare)
        made.append(draft.samples.hstack(encoded).select(list(SAMPLE_SCHEMA)))
        placed[draft.messages] = True
        done.led += draft.led
        done.opened += draft.opened
    samples = pl.concat(made)
    samples.write_ipc(_path(how.parts, task.number, "samples"))
    messages = kept.with_columns(text=shown()).select(list(MESSAGE_SCHEMA))
    messages.write_ipc(_path(how.parts, task.number, "kept"))
    done.placed = pl.Series(placed)
    done.samples.update(samples["split"])
    done.tokens = int(samples["ids"].list.len().sum())
    done.trained_tokens = int(samples.select(trained_tokens().sum()).item())
    done.speakers = kept.group_by("source", "channel_id", "person", maintain_order=True).agg(
        pl.last("space", "channel"), pl.len().alias("messages")
    )
    return done


def _path(parts: Parts, number: int, name: str) -> Path:
    return parts.folder / f"{number:06}.{name}"


def join(parts: Parts, count: int, folder: Path) -> None:
    """Make `samples.parquet` and `messages.parquet` of the files of so many tasks."""
    for name, table, schema, group in (
        ("samples", "samples", SAMPLE_SCHEMA, 4_000),
        ("kept", "messages", MESSAGE_SCHEMA, 50_000),
    ):
        files = [_path(parts, number, name) for number in range(count)]
        if not files:
            pl.DataFrame(schema=schema).write_ipc(parts.folder / f"none.{name}")
            files = [parts.folder / f"none.{name}"]
        # One after the other, in groups of rows: neither is ever whole in memory.
        pl.scan_ipc(files).sink_parquet(folder / f"{table}.parquet", row_group_size=group)


def channels(speakers: Iterable[pl.DataFrame]) -> list[Channel]:
    """The channels and who speaks in them, the busiest first."""
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
        pl.sum("messages"), pl.col("person").head(MOST_NAMED).alias("people")
    )
    rows = (
        named.join(counted, on=["source", "channel_id"], maintain_order="left")
        .sort("messages", descending=True, maintain_order=True)
        .select("source", "space", "channel", "messages", "people")
    )
    return [Channel(**row) for row in rows.iter_rows(named=True)]
