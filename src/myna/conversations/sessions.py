"""Conversations: the messages of a channel between two silences.

A reply to a message of an earlier conversation brings that message along as context
and does not fuse the two.
"""

from __future__ import annotations

import polars as pl

PLACE = ("source", "space", "channel", "thread")


def split(messages: pl.DataFrame, gap_minutes: float) -> pl.DataFrame:
    """The messages in order, with `conversation` (a number, from 0).

    Chats of different channels never merge. Messages without times keep the order of
    their source and stay together. The gap is that between two messages of any length,
    in whole time (a gap of three days is three days).
    """
    ordered = messages.sort(*PLACE, "sent_at", "position", nulls_last=False, maintain_order=True)
    moved = pl.struct(*PLACE) != pl.struct(*PLACE).shift(1)
    silence = pl.col("sent_at").diff() > pl.duration(seconds=round(gap_minutes * 60))
    begins = (moved | silence.fill_null(False)).fill_null(True)
    return ordered.with_columns(conversation=begins.cum_sum().cast(pl.Int64) - 1).with_columns(
        pl.col("conversation") - pl.col("conversation").min()
    )


def answered(messages: pl.DataFrame) -> pl.DataFrame:
    """For each reply to an earlier conversation's message: (reply, target) row numbers.

    `messages` is the frame of `split`. Targets that are not in it are left out.
    """
    rows = messages.with_row_index("row").select(
        "row", "source", "space", "channel", "id", "reply_to", "conversation"
    )
    return (
        rows.filter(pl.col("reply_to").is_not_null())
        .join(
            rows.select(
                "source",
                "space",
                "channel",
                reply_to="id",
                target="row",
                target_conversation="conversation",
            ),
            on=["source", "space", "channel", "reply_to"],
        )
        .filter(pl.col("target_conversation") < pl.col("conversation"))
        .select("row", "target")
    )
