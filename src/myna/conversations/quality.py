"""The rules about conversations: where one ends because somebody leaves, and poor ones.

By default a poor conversation stays: "dinner at 7?" and "ok" is how people talk, and
dropping it would cost more of a quiet person's words than of a loud one's. Where everything
in it is laughing or links, nothing of it is trained anyway.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from myna.cleaning import phrases, rules
from myna.cleaning.ledger import Ledger
from myna.config import Rules
from myna.config.rules import RULES, action

FEWEST = 5
SHORTEST = 30
"""A conversation of fewer messages, all of fewer characters, is poor."""

LONGEST_ENDER = 80
"""Characters that it takes to say goodbye, at most."""
SOON = timedelta(minutes=10)
"""So long after a goodbye may it be answered."""
SAME_BREATH = timedelta(minutes=2)
"""So long may somebody who has said goodbye go on to say why."""
MORE = 2
"""And in so many messages."""

DETECTORS = {
    "ender": pl.col("leaves").any().over("conversation"),
    "low-quality": (pl.len().over("conversation") < FEWEST)
    & (pl.col("size").max().over("conversation") < SHORTEST),
}
"""By rule: which conversations meet it, by what `tell` says of their messages."""


def tell(messages: pl.DataFrame, settings: Rules) -> pl.DataFrame:
    """What the rules ask of texts: their `size`, and which are `leaves` or `answers`.

    Args:
        messages: with text.
        settings: which are resolved.
    """
    text = pl.col("text")
    size = text.str.len_chars()
    short = messages.select(size=size, text=pl.when(size <= LONGEST_ENDER).then(text))
    return short.select(
        "size",
        leaves=text.str.contains(phrases.ender(settings.ender_words)).fill_null(False),
        answers=text.str.contains(phrases.answer()).fill_null(False),
    )


def judge(
    messages: pl.DataFrame, ledger: Ledger, settings: Rules, quote: rules.Quote = lambda met: met
) -> pl.DataFrame:
    """The messages of conversations that stay, those cut where somebody left.

    Args:
        messages: with `conversation`, `rule`, and what `tell` says; in order in each.
        ledger: gets a row for each rule that dropped something.
        settings: which are resolved.
        quote: gives the messages that the ledger quotes.
    """
    names = [rule.name for rule in RULES if rule.stage == "conversation"]
    acts = {name: action(settings, name) for name in names}
    if "end" in acts.values():
        messages = cut(messages)
    # What drops a message comes last, and decides.
    for name in sorted(names, key=lambda name: acts[name] == "drop"):
        met = DETECTORS[name]
        if acts[name] == "context":
            met &= pl.col("rule").is_null()
        if acts[name] in ("context", "drop"):
            messages = messages.with_columns(rule=pl.when(met).then(pl.lit(name)).otherwise("rule"))
    messages = messages.drop("size", "leaves", "answers")
    return rules.settle(messages, ledger, names, settings, quote)


def cut(messages: pl.DataFrame) -> pl.DataFrame:
    """The messages with other numbers of `conversation`: one ends when somebody leaves.

    It ends behind the goodbye, those that answer it, and what the one who leaves still
    says in the same breath. What follows is a conversation of its own.

    Args:
        messages: with what `tell` says of them.
    """
    within = "conversation"
    # Few conversations have a goodbye; only those are looked at.
    left = messages.filter("leaves")[within].unique()
    columns = (within, "leaves", "answers", "time", "person")
    rows = messages.select(*columns).with_row_index("row")
    marked = rows.filter(pl.col(within).is_in(left.implode())).with_columns(
        passed=pl.col("time").diff().over(within).fill_null(timedelta(0)),
        same=(pl.col("person") == pl.col("person").shift(1)).over(within).fill_null(False),
    )
    for _ in range(MORE):
        before = pl.col("leaves").shift(1, fill_value=False).over(within)
        still = before & pl.col("same") & (pl.col("passed") <= SAME_BREATH)
        marked = marked.with_columns(leaves=pl.col("leaves") | still)
    last = pl.col("leaves") | (pl.col("answers") & (pl.col("passed") <= SOON))
    # A stretch is a message and the last words behind it.
    marked = marked.with_columns(last=last).with_columns(
        stretch=(~pl.col("last")).cum_sum().over(within)
    )
    marked = marked.with_columns(ended=pl.col("leaves").any().over(within, "stretch"))
    begins = ~pl.col("last") & pl.col("ended").shift(1, fill_value=False).over(within)
    marked = marked.with_columns(begins=begins)
    pieces = marked.select("row", piece=pl.col("begins").cum_sum().over(within))
    piece = pl.repeat(0, messages.height, dtype=pl.UInt32, eager=True)
    piece = piece.scatter(pieces["row"], pieces["piece"])
    numbers = rows.select(within, "row", piece=piece).select(
        pl.col("row").min().over(within, "piece").rank("dense").cast(pl.Int64) - 1
    )
    return messages.with_columns(numbers.to_series().alias(within))
