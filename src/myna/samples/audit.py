"""An audit of samples: what a trainer would stumble over, before it does."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import polars as pl

from myna.samples.tokens import trained_tokens


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
