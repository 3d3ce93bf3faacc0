"""Conversations: the messages of a channel between two silences.

A reply to a message of an earlier conversation brings that message along as context
and does not fuse the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl

from myna.conversations import rhythm
from myna.conversations.holdout import CHANNEL, PARTS
from myna.messages import PLACE


def split(
    messages: pl.DataFrame, gap_minutes: float | Literal["auto"], place: Sequence[str] = PLACE
) -> pl.DataFrame:
    """The messages in order, with `conversation` (a number, from 0).

    Chats of different channels never merge. A message without a time keeps its place in
    the source: in the order, its `time` is that of the one before. The gap is that between
    two messages of any length, in whole time (a gap of three days is three days). A page of
    a journal or an essay is by itself.

    Args:
        messages: with position, sent_at and kind.
        gap_minutes: a silence that is longer ends a conversation; auto: see `rhythm`.
        place: the columns that tell where something is said.
    """
    timed = messages.with_columns(time=pl.col("sent_at").forward_fill().over(place))
    # Positions count anew in each file, so they only break ties of times.
    order = pl.when(pl.col("time").is_not_null()).then("position")
    ordered = timed.sort(*place, "time", order, nulls_last=False, maintain_order=True)
    moved = pl.struct(*place).ne_missing(pl.struct(*place).shift(1))
    if gap_minutes == "auto":
        known = rhythm.gaps(ordered, place)
        ordered = ordered.join(known, on=place, how="left", nulls_equal=True, maintain_order="left")
        gap = pl.col("gap")
    else:
        gap = pl.lit(gap_minutes)
    longest = pl.duration(seconds=(gap * 60).round().cast(pl.Int64))
    silence = pl.col("time").diff() > longest
    begins = (moved | silence.fill_null(False)).fill_null(True) | (pl.col("kind") == "entry")
    numbered = ordered.with_columns(conversation=begins.cum_sum().cast(pl.Int64) - 1)
    first = pl.col("conversation").min()
    return numbered.with_columns(pl.col("conversation") - first).drop("gap", strict=False)


def answered(messages: pl.DataFrame, channel: Sequence[str] = CHANNEL) -> pl.DataFrame:
    """For each reply to another conversation's message: (reply, target) row numbers.

    Targets that are not among the messages are left out, and so are those of a later part:
    whatever its time says, nothing that is held out is brought into train.

    Args:
        messages: the frame of `holdout.hold_out`, with id and reply_to.
        channel: the columns that tell channels apart.
    """
    rows = messages.with_row_index("row").select(
        *(*channel, "id", "row", "reply_to", "conversation"),
        part=pl.col("part").cast(pl.Enum(PARTS)),
    )
    replies = rows.filter(pl.col("reply_to").is_not_null())
    targets = rows.filter(pl.col("id").is_in(replies["reply_to"].unique().implode())).select(
        *channel, "id", target="row", target_conversation="conversation", target_part="part"
    )
    return (
        replies.join(targets, left_on=[*channel, "reply_to"], right_on=[*channel, "id"])
        .filter(
            pl.col("target_conversation") != pl.col("conversation"),
            pl.col("target_part") <= pl.col("part"),
        )
        .select("row", "target")
    )
