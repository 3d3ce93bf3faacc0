"""Sessions: a conversation is the messages of a thread between two silences.

A reply to a message of an earlier conversation brings that message along as context, and does
not join the two.

The gap between conversations can be estimated for each thread. People answer each other within
seconds or minutes, and come back after hours: the logarithms of silences have two modes, and
the gap is where both are equally likely. Halfaker et al., "User Session Identification Based
on Strong Regularities in Inter-activity Time" (WWW 2015), fit two log-normal distributions to
silences by expectation maximisation in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from myna.conversations.splits import CHANNEL, SPLITS
from myna.messages import CHANNEL_KEY


def split_conversations(
    messages: pl.DataFrame,
    gap_minutes: float | Literal["auto"],
    thread: Sequence[str] = CHANNEL_KEY,
) -> pl.DataFrame:
    """Sort the messages, and number their `conversation` from 0.

    A conversation is in one thread. A message without a time keeps its position in the
    source: its `time` is that of the one before. An entry (of a journal, or an essay) is a
    conversation by itself.

    Args:
        messages: with position, sent_at and kind.
        gap_minutes: a longer silence ends a conversation; auto: see `estimate_gaps`.
        thread: the columns that identify a thread.
    """
    timed = messages.with_columns(time=pl.col("sent_at").forward_fill().over(thread))
    # Each file counts positions from 0, so they only break ties of times.
    order = pl.when(pl.col("time").is_not_null()).then("position")
    ordered = timed.sort(*thread, "time", order, nulls_last=False, maintain_order=True)
    is_new_thread = pl.struct(*thread).ne_missing(pl.struct(*thread).shift(1))
    if gap_minutes == "auto":
        gaps = estimate_gaps(ordered, thread)
        ordered = ordered.join(gaps, on=thread, how="left", nulls_equal=True, maintain_order="left")
        gap = pl.col("gap")
    else:
        gap = pl.lit(gap_minutes)
    longest = pl.duration(seconds=(gap * 60).round().cast(pl.Int64))
    silence = pl.col("time").diff() > longest
    starts = (is_new_thread | silence.fill_null(False)).fill_null(True) | (
        pl.col("kind") == "entry"
    )
    numbered = ordered.with_columns(conversation=starts.cum_sum().cast(pl.Int64) - 1)
    first = pl.col("conversation").min()
    return numbered.with_columns(pl.col("conversation") - first).drop("gap", strict=False)


def keep_local_order(messages: pl.DataFrame) -> pl.Series:
    """The times of messages, where clocks that are only local never go back.

    In the night in which the clock goes back, or where a traveller's does, the order of the
    file is right, and not that of the times. A bigger step, or many of them, are a file that
    is not in order.

    Args:
        messages: thread, export, position, zone_assumed, sent_at.
    """
    if not messages["zone_assumed"].any():
        return messages["sent_at"]
    key = ["thread", "export"]
    rows = messages.with_row_index("row").sort(*key, "position", maintain_order=True)
    step = pl.col("sent_at").diff().over(key)
    backwards = (step < pl.duration()).sum().over(key)
    latest = pl.col("sent_at").cum_max().over(key)
    is_small = (latest - pl.col("sent_at")) <= pl.duration(hours=MAX_STEP_BACK_HOURS)
    in_order = backwards * 10 <= pl.len().over(key) + MIN_STEPS_BACK * 10
    rows = rows.with_columns(
        sent_at=pl.when(pl.col("zone_assumed") & is_small & in_order)
        .then(latest)
        .otherwise("sent_at")
    )
    return rows.sort("row")["sent_at"]


def find_reply_targets(messages: pl.DataFrame, channel: Sequence[str] = CHANNEL) -> pl.DataFrame:
    """Find the rows (row, target) of replies to messages of other conversations.

    Targets of a later split are excluded, whatever their times: no held-out message is brought
    into train.

    Args:
        messages: the table of `splits.assign_splits`, with id and reply_to.
        channel: the columns that identify a channel.
    """
    rows = messages.with_row_index("row").select(
        *(*channel, "id", "row", "reply_to", "conversation"),
        split=pl.col("split").cast(pl.Enum(SPLITS)),
    )
    replies = rows.filter(pl.col("reply_to").is_not_null())
    targets = rows.filter(pl.col("id").is_in(replies["reply_to"].unique().implode())).select(
        *channel, "id", target="row", target_conversation="conversation", target_split="split"
    )
    return (
        replies.join(targets, left_on=[*channel, "reply_to"], right_on=[*channel, "id"])
        .filter(
            pl.col("target_conversation") != pl.col("conversation"),
            pl.col("target_split") <= pl.col("split"),
        )
        .select("row", "target")
    )


MAX_STEP_BACK_HOURS = 12
"""A local clock goes back at most so far: by zones that a traveller crosses."""
MIN_STEPS_BACK = 3
"""So many steps backwards, and those of a tenth of the messages, may be of clocks."""

DEFAULT_GAP_MINUTES = 60.0
"""The gap of a thread with less than one of the three minimums below."""
MIN_SILENCES = 300
MIN_SEPARATION = 2.0
"""Ashman's D of the two modes."""
MIN_SHARE = 0.002
"""Share of silences in the smaller mode."""
MIN_GAP_MINUTES, MAX_GAP_MINUTES = 15.0, 360.0
BINS_PER_DOUBLING = 8
"""Bins of the histogram for each doubling of a silence."""
MAX_ROUNDS = 200

Floats = npt.NDArray[np.float64]


def estimate_gaps(messages: pl.DataFrame, thread: Sequence[str]) -> pl.DataFrame:
    """Estimate the gap of each thread, in minutes: the columns of `thread`, and `gap`.

    Args:
        messages: in order in each thread, with `time`.
        thread: the columns that identify a thread.
    """
    silence = pl.col("time").diff().dt.total_seconds().over(thread)
    # Equal times are no silence: some sources round to the minute.
    bins = (pl.when(silence > 0).then(silence).log(2) * BINS_PER_DOUBLING).floor().cast(pl.Int32)
    counted = (
        messages.select(*thread, bin=bins)
        .drop_nulls("bin")
        .group_by(*thread, "bin")
        .len()
        .sort("bin")
        .group_by(*thread, maintain_order=True)
        .agg("bin", "len")
    )
    gaps = [
        estimate_gap((np.array(bins_) + 0.5) / BINS_PER_DOUBLING, np.array(counts, float))
        for bins_, counts in counted.select("bin", "len").iter_rows()
    ]
    known = counted.select(thread).with_columns(pl.Series("gap", gaps, pl.Float64))
    every = messages.select(thread).unique(maintain_order=True)
    return every.join(
        known, on=thread, how="left", nulls_equal=True, maintain_order="left"
    ).with_columns(pl.col("gap").fill_null(DEFAULT_GAP_MINUTES))


def estimate_gap(logs: Floats, counts: Floats) -> float:
    """Estimate the gap in minutes from a histogram of silences (base-2 logs of seconds)."""
    if counts.sum() < MIN_SILENCES:
        return DEFAULT_GAP_MINUTES
    share, mean, spread = _fit_two_normals(logs, counts)
    distance = abs(mean[1] - mean[0]) / np.sqrt((spread**2).mean())
    if distance < MIN_SEPARATION or share.min() < MIN_SHARE:
        return DEFAULT_GAP_MINUTES
    between = np.linspace(mean[0], mean[1], 1_000)
    density = _densities(between, share, mean, spread)
    border = between[np.argmax(density[1] >= density[0])]
    return float(np.clip(2**border / 60, MIN_GAP_MINUTES, MAX_GAP_MINUTES))


def _fit_two_normals(logs: Floats, counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit two normal distributions, the lower first: shares, means and standard deviations."""
    values = np.repeat(logs[:, None], 2, axis=1).T
    total = counts.sum()
    # Start from the silences below and above an hour.
    low = np.array([logs < np.log2(3600), logs >= np.log2(3600)]) * 0.98 + 0.01
    for _ in range(MAX_ROUNDS):
        weight = low * counts
        sizes = weight.sum(axis=1)
        mean = (weight * values).sum(axis=1) / sizes
        spread = np.sqrt((weight * (values - mean[:, None]) ** 2).sum(axis=1) / sizes)
        spread = np.maximum(spread, 0.25)
        share = sizes / total
        density = _densities(logs, share, mean, spread)
        new = density / np.maximum(density.sum(axis=0), 1e-300)
        if np.abs(new - low).max() < 1e-6:
            break
        low = new
    order = np.argsort(mean)
    return share[order], mean[order], spread[order]


def _densities(values: Floats, share: Floats, mean: Floats, spread: Floats) -> Floats:
    scaled = (values[None, :] - mean[:, None]) / spread[:, None]
    density: Floats = share[:, None] / spread[:, None] * np.exp(-0.5 * scaled**2)
    return density
