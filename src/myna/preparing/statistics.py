"""An audit of samples: what a trainer would stumble over, before it does."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import polars as pl

from myna.rendering.encode import trained_tokens


@dataclass(frozen=True)
class Audit:
    """What samples are like; `fatal` says in words what must not be, one line each.

    Lengths are in tokens. Of the `unended` replies no end is trained: the turn goes on in
    another sample, or with a message that is context.
    """

    samples: int
    tokens: int
    trained: int
    replies: int
    unended: int
    shortest: int
    median: int
    longest: int
    fatal: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def audit(
    samples: pl.DataFrame, *, most_tokens: int, opening: Collection[int], control: Collection[int]
) -> Audit:
    """Look through samples.

    Args:
        samples: as prepared.
        most_tokens: that a sample may have.
        opening: the tokens that the base wants before any text.
        control: the base's control tokens, which stand only where the rendering puts them,
            and where a sample opens or ends.
    """
    sizes = samples["ids"].list.len()
    trained = samples.select(trained_tokens()).to_series()
    spans = samples["target_spans"].explode().drop_nulls().struct.unnest()
    inside = pl.col("ids").list.slice(len(opening), pl.col("ids").list.len() - len(opening) - 1)
    is_control = pl.element().is_in(list(control))
    put = pl.col("segments").list.eval(pl.element().struct["control"]).list.sum()
    inner = samples.select(
        pl.when(put > 0)
        .then(pl.col("ids").list.eval(is_control).list.sum() != put)
        .otherwise(inside.list.eval(is_control).list.any())
    ).to_series()
    doubled = samples.select(
        pl.col("ids").list.slice(len(opening), max(1, len(opening))) == list(opening)
    ).to_series()
    last = pl.col("target_spans").list.eval(pl.element().struct["end"]).list.max()
    outside = samples.select(last > pl.col("ids").list.len()).to_series().fill_null(False)
    wrong = {
        "have nothing that is trained": trained == 0,
        f"are longer than {most_tokens} tokens": sizes > most_tokens,
        "have a control token within their text": inner,
        "begin twice": doubled if opening else pl.Series([], dtype=pl.Boolean),
        "have target spans that go beyond their tokens": outside,
    }
    return Audit(
        samples=samples.height,
        tokens=int(sizes.sum()),
        trained=int(trained.sum()),
        replies=spans.height,
        unended=spans.filter(pl.col("words_end") == pl.col("end")).height,
        shortest=min(sizes, default=0),
        median=int(median(sizes)) if samples.height else 0,
        longest=max(sizes, default=0),
        fatal=[
            f"{which.sum():,} samples {what}, the first is {which.arg_true()[0]}"
            for what, which in wrong.items()
            if which.any()
        ],
    )


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
