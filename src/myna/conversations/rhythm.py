"""The gap between conversations, learned from a channel's own rhythm.

People answer each other within seconds or minutes, and come back after hours: the
logarithms of the silences between messages fall into two heaps, and the gap is where one
is as likely of the one as of the other. So do Halfaker et al., "User Session Identification
Based on Strong Regularities in Inter-activity Time" (WWW 2015), who fit two log-normal
distributions to silences by expectation maximisation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

FEWEST = 300
"""Silences of a channel that tell its rhythm; of fewer, `OTHERWISE` goes."""
OTHERWISE = 60.0
"""Minutes."""
LEAST, MOST = 15.0, 360.0
"""Bounds of the gap, in minutes."""
APART = 2.0
"""Ashman's D of heaps that are two; of less, `OTHERWISE` goes."""
RARE = 0.002
"""Share of all silences that the smaller heap has at least."""
BINS = 8
"""Of the histogram, to each doubling of a silence."""
ROUNDS = 200

Floats = npt.NDArray[np.float64]


def gaps(messages: pl.DataFrame, place: Sequence[str]) -> pl.DataFrame:
    """The gap of each place, in minutes: the columns of `place`, and `gap`.

    Args:
        messages: in order in each place, with `time`.
        place: the columns that tell where something is said.
    """
    silence = pl.col("time").diff().dt.total_seconds().over(place)
    # No time at all passes where times are to the minute: that is no silence.
    bins = (pl.when(silence > 0).then(silence).log(2) * BINS).floor().cast(pl.Int32)
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
        gap((np.array(at) + 0.5) / BINS, np.array(counts, float))
        for at, counts in counted.select("bin", "len").iter_rows()
    ]
    known = counted.select(place).with_columns(pl.Series("gap", found, pl.Float64))
    every = messages.select(place).unique(maintain_order=True)
    return every.join(
        known, on=place, how="left", nulls_equal=True, maintain_order="left"
    ).with_columns(pl.col("gap").fill_null(OTHERWISE))


def gap(logs: Floats, counts: Floats) -> float:
    """The gap in minutes, given how often silences are so long (base-2 logs of seconds)."""
    if counts.sum() < FEWEST:
        return OTHERWISE
    share, mean, spread = _heaps(logs, counts)
    distance = abs(mean[1] - mean[0]) / np.sqrt((spread**2).mean())
    if distance < APART or share.min() < RARE:
        return OTHERWISE
    between = np.linspace(mean[0], mean[1], 1_000)
    density = _densities(between, share, mean, spread)
    border = between[np.argmax(density[1] >= density[0])]
    return float(np.clip(2**border / 60, LEAST, MOST))


def _heaps(logs: Floats, counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Two normal distributions, the lower first: their shares, means and spreads."""
    at = np.repeat(logs[:, None], 2, axis=1).T
    total = counts.sum()
    # They begin as the silences below and above an hour.
    low = np.array([logs < np.log2(3600), logs >= np.log2(3600)]) * 0.98 + 0.01
    for _ in range(ROUNDS):
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
