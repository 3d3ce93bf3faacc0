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

WHY = {
    "ender": "of a conversation that somebody ends",
    "low-quality": "of a conversation of less than 5 messages, all under 30 characters",
}

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


def judge(messages: pl.DataFrame, ledger: Ledger, settings: Rules) -> pl.DataFrame:
    """The messages of conversations that stay, those cut where somebody left.

    Args:
        messages: the frame of `rules.clean`, with `conversation`; in order in each.
        ledger: gets a row for each rule that dropped something.
        settings: what each rule does.
    """
    settings = rules.resolved(settings)
    if settings.ender == "end":
        messages = cut(messages, settings)
    few = pl.len().over("conversation") < FEWEST
    short = pl.col("text").str.len_chars().max().over("conversation") < SHORTEST
    left = pl.col("leaves").any().over("conversation")
    acts = {name: rules.action(settings, name) for name in WHY}
    wanted = [name for name in WHY if acts[name] in ("context", "drop")]
    if "ender" in wanted:
        messages = messages.with_columns(leaves=_leaves(messages, settings))
    # What drops a message comes last, and decides.
    for name in sorted(wanted, key=lambda name: acts[name] == "drop"):
        met = left if name == "ender" else few & short
        if acts[name] == "context":
            met &= pl.col("rule").is_null()
        messages = messages.with_columns(rule=pl.when(met).then(pl.lit(name)).otherwise("rule"))
    messages = messages.drop("leaves", strict=False)
    return rules.settle(messages, ledger, WHY.items(), settings)


def cut(messages: pl.DataFrame, settings: Rules) -> pl.DataFrame:
    """The messages with other numbers of `conversation`: one ends when somebody leaves.

    It ends behind the goodbye, those that answer it, and what the one who leaves still
    says in the same breath. What follows is a conversation of its own.
    """
    within = "conversation"
    text = pl.col("text")
    answers = (text.str.len_chars() <= LONGEST_ENDER) & text.str.contains(phrases.answer())
    marked = messages.with_row_index("row").with_columns(
        leaves=_leaves(messages, settings),
        answers=answers.fill_null(False),
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
    marked = marked.with_columns(piece=pl.col("begins").cum_sum().over(within))
    first = pl.col("row").min().over(within, "piece")
    numbers = marked.select(first.rank("dense").cast(pl.Int64) - 1).to_series()
    return messages.with_columns(numbers.alias("conversation"))


def _leaves(messages: pl.DataFrame, settings: Rules) -> pl.Series:
    text = pl.col("text")
    leaves = text.str.contains(phrases.ender(settings.ender_words))
    short = text.str.len_chars() <= LONGEST_ENDER
    return messages.select((leaves & short).fill_null(False)).to_series()
