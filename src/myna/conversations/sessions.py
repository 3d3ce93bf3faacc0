"""Conversations: the messages of a channel between two silences.

A reply to a message of an earlier conversation brings that message along as context
and does not fuse the two.

The gap between conversations can be learned from a channel's own rhythm. People answer
each other within seconds or minutes, and come back after hours: the logarithms of the
silences between messages fall into two heaps, and the gap is where one is as likely of the
one as of the other. So do Halfaker et al., "User Session Identification Based on Strong
Regularities in Inter-activity Time" (WWW 2015), who fit two log-normal distributions to
silences by expectation maximisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from myna.conversations.splits import CHANNEL, SPLITS
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
        gap_minutes: a silence that is longer ends a conversation; auto: see `gaps`.
        place: the columns that tell where something is said.
    """
    timed = messages.with_columns(time=pl.col("sent_at").forward_fill().over(place))
    # Positions count anew in each file, so they only break ties of times.
    order = pl.when(pl.col("time").is_not_null()).then("position")
    ordered = timed.sort(*place, "time", order, nulls_last=False, maintain_order=True)
    moved = pl.struct(*place).ne_missing(pl.struct(*place).shift(1))
    if gap_minutes == "auto":
        known = gaps(ordered, place)
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

    Targets that are not among the messages are left out, and so are those of a later split:
    whatever its time says, nothing that is held out is brought into train.

    Args:
        messages: the frame of `splits.hold_out`, with id and reply_to.
        channel: the columns that tell channels apart.
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


MIN_SILENCES = 300
"""Silences of a channel that tell its rhythm; of fewer, `DEFAULT_GAP_MINUTES` goes."""
DEFAULT_GAP_MINUTES = 60.0
"""Minutes."""
MIN_GAP_MINUTES, MAX_GAP_MINUTES = 15.0, 360.0
"""Bounds of the gap, in minutes."""
MIN_SEPARATION = 2.0
"""Ashman's D of heaps that are two; of less, `DEFAULT_GAP_MINUTES` goes."""
MIN_SHARE = 0.002
"""Share of all silences that the smaller heap has at least."""
BINS_PER_DOUBLING = 8
"""Of the histogram, to each doubling of a silence."""
MAX_ROUNDS = 200

Floats = npt.NDArray[np.float64]


def gaps(messages: pl.DataFrame, place: Sequence[str]) -> pl.DataFrame:
    """The gap of each place, in minutes: the columns of `place`, and `gap`.

    Args:
        messages: in order in each place, with `time`.
        place: the columns that tell where something is said.
    """
    silence = pl.col("time").diff().dt.total_seconds().over(place)
    # No time at all passes where times are to the minute: that is no silence.
    bins = (pl.when(silence > 0).then(silence).log(2) * BINS_PER_DOUBLING).floor().cast(pl.Int32)
    counted = (
        messages.select(*place, bin=bins)
        .drop_nulls("bin")
        .group_by(*place, "bin")
        .len()
        .sort("bin")
        .group_by(*place, maintain_order=True)
        .agg("bin", "len")
    )
    found = [
        gap((np.array(at) + 0.5) / BINS_PER_DOUBLING, np.array(counts, float))
        for at, counts in counted.select("bin", "len").iter_rows()
    ]
    known = counted.select(place).with_columns(pl.Series("gap", found, pl.Float64))
    every = messages.select(place).unique(maintain_order=True)
    return every.join(
        known, on=place, how="left", nulls_equal=True, maintain_order="left"
    ).with_columns(pl.col("gap").fill_null(DEFAULT_GAP_MINUTES))


def gap(logs: Floats, counts: Floats) -> float:
    """The gap in minutes, given how often silences are so long (base-2 logs of seconds)."""
    if counts.sum() < MIN_SILENCES:
        return DEFAULT_GAP_MINUTES
    share, mean, spread = _heaps(logs, counts)
    distance = abs(mean[1] - mean[0]) / np.sqrt((spread**2).mean())
    if distance < MIN_SEPARATION or share.min() < MIN_SHARE:
        return DEFAULT_GAP_MINUTES
    between = np.linspace(mean[0], mean[1], 1_000)
    density = _densities(between, share, mean, spread)
    border = between[np.argmax(density[1] >= density[0])]
    return float(np.clip(2**border / 60, MIN_GAP_MINUTES, MAX_GAP_MINUTES))


def _heaps(logs: Floats, counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Two normal distributions, the lower first: their shares, means and spreads."""
    at = np.repeat(logs[:, None], 2, axis=1).T
    total = counts.sum()
    # They begin as the silences below and above an hour.
    low = np.array([logs < np.log2(3600), logs >= np.log2(3600)]) * 0.98 + 0.01
    for _ in range(MAX_ROUNDS):
        weight = low * counts
        sizes = weight.sum(axis=1)
        mean = (weight * at).sum(axis=1) / sizes
        spread = np.sqrt((weight * (at - mean[:, None]) ** 2).sum(axis=1) / sizes)
        spread = np.maximum(spread, 0.25)
        share = sizes / total
        density = _densities(logs, share, mean, spread)
        new = density / np.maximum(density.sum(axis=0), 1e-300)
        if np.abs(new - low).max() < 1e-6:
            break
        low = new
    order = np.argsort(mean)
    return share[order], mean[order], spread[order]


def _densities(at: Floats, share: Floats, mean: Floats, spread: Floats) -> Floats:
    scaled = (at[None, :] - mean[:, None]) / spread[:, None]
    density: Floats = share[:, None] / spread[:, None] * np.exp(-0.5 * scaled**2)
    return density
