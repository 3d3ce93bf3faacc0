"""Accounting: what the ledger says of the messages that stay, by where they ended up."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from myna.cleaning import rules
from myna.cleaning.ledger import Action, Ledger, Share
from myna.config.rules import BY_NAME

TARGETS: dict[Action, tuple[str, str]] = {
    "tune": ("tune", "held out to stop training early"),
    "test": ("test", "held out to report on"),
    "train": ("kept", "a person's words, trained"),
}
"""What becomes of targets: the name and the reason of the ledger's row."""


def account(ledger: Ledger, kept: pl.DataFrame, persons: Sequence[str], quote: rules.Quote) -> None:
    """Enter what became of every message that stayed, from the samples themselves.

    Args:
        ledger: is written to.
        kept: the frame of `choosing.choose`, with `placed`: which messages are targets.
        persons: the names of people by their numbers.
        quote: gives the messages that the ledger quotes.
    """
    context = kept.filter(~pl.col("placed") & ~pl.col("trained"))
    for name in context["rule"].unique(maintain_order=True):
        met = context.filter(pl.col("rule").eq_missing(name))
        why = BY_NAME[name].why if name else ""
        ledger.rows.append(rules.entry(str(name), "context", why, met, quote))
    for action, (name, why) in TARGETS.items():
        part = kept.filter(pl.col("placed") & (pl.col("part") == action))
        if part.height:
            ledger.rows.append(rules.entry(name, action, why, part, quote))
    ledger.people += _shares(kept, persons)


def _shares(kept: pl.DataFrame, persons: Sequence[str]) -> list[Share]:
    """What became of each person's words; who wrote most comes first."""
    ended = pl.when("placed").then("part").otherwise(pl.lit(""))
    sums = kept.group_by("person", ended=ended).agg(pl.sum("characters"), pl.len())
    shares: dict[int, Share] = {}
    for person, end, characters, count in sums.sort("person", "ended").iter_rows():
        share = shares.setdefault(person, Share(persons[person]))
        share.characters += characters
        for action in TARGETS:
            share.replies.setdefault(action, 0)
        if end:
            setattr(share, end, characters)
            share.replies[end] = count
    return sorted(shares.values(), key=lambda share: -share.characters)
