"""Habits: how long, how many at once and when people write, in numbers to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

LENGTHS = (2, 5, 10, 20, 40, 80, 160, 320)
"""Characters that bins of message lengths begin behind; the first begins at 0."""
MOST_BURST = 8
"""Messages of a turn, from which all are in one bin."""


@dataclass(frozen=True)
class Habits:
    """One person's: how many messages of each length, turns of each size, messages of each hour.

    Attributes:
        person: who.
        messages: how many there are.
        lengths: of each bin (see `LENGTHS`).
        bursts: turns of 1, 2, … messages; the last are all longer ones.
        hours: of each hour of the day, in UTC; nothing but 0 where no times are known.
    """

    person: str
    messages: int
    lengths: tuple[int, ...]
    bursts: tuple[int, ...]
    hours: tuple[int, ...]


def habits(kept: pl.DataFrame, persons: Sequence[str], shown: Sequence[str]) -> list[Habits]:
    """The habits of people, in the order of `shown`.

    Args:
        kept: messages in order, with person (a number), conversation, characters, sent_at.
        persons: names by their numbers.
        shown: whose habits.
    """
    turns = (
        kept.select("person", turn=pl.struct("conversation", "person").rle_id())
        .group_by("turn")
        .agg(pl.first("person"), size=pl.len())
    )
    length = pl.sum_horizontal(pl.col("characters") > edge for edge in LENGTHS)
    lengths = _counted(kept, length, len(LENGTHS) + 1)
    bursts = _counted(turns, pl.col("size").clip(1, MOST_BURST) - 1, MOST_BURST)
    timed = kept.filter(pl.col("sent_at").is_not_null())
    hours = _counted(timed, pl.col("sent_at").dt.hour(), 24)
    number = {name: at for at, name in enumerate(persons)}
    return [
        Habits(
            name,
            sum(lengths[number[name]]),
            lengths[number[name]],
            bursts[number[name]],
            hours.get(number[name], (0,) * 24),
        )
        for name in shown
    ]


def _counted(rows: pl.DataFrame, bin_: pl.Expr, bins: int) -> dict[int, tuple[int, ...]]:
    """For each person how many rows are in each bin."""
    found: dict[int, list[int]] = {}
    counts = rows.group_by("person", bin=bin_.cast(pl.Int64)).len()
    for person, at, count in counts.iter_rows():
        found.setdefault(person, [0] * bins)[at] = count
    return {person: tuple(values) for person, values in found.items()}
