"""The rules about conversations: goodbyes that end them, and low quality.

By default a conversation of low quality stays: "dinner at 7?" and "ok" is how people talk, and
dropping it would cost quiet people more of their words than loud ones. Where all of it is
laughter or links, nothing of it is trained anyway.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from myna.cleaning import phrases, rules
from myna.cleaning.ledger import Ledger
from myna.config import Rules
from myna.config.rules import RULES, rule_action

MIN_MESSAGES = 5
MIN_LONGEST_CHARS = 30
"""A conversation of fewer messages, all of fewer characters, is of low quality."""

MAX_GOODBYE_CHARS = 80
MAX_ANSWER_TIME = timedelta(minutes=10)
"""Time between two messages in which a goodbye may be answered."""
MAX_AFTERTHOUGHT_TIME = timedelta(minutes=2)
"""Time between two messages in which the one who leaves may add something."""
MAX_AFTERTHOUGHTS = 2
"""Messages that the one who leaves may add."""

DETECTORS = {
    "ender": pl.col("leaves").any().over("conversation"),
    "low-quality": (pl.len().over("conversation") < MIN_MESSAGES)
    & (pl.col("size").max().over("conversation") < MIN_LONGEST_CHARS),
}
"""Detectors of the rules: true for conversations that meet it (see `goodbye_features`)."""


def goodbye_features(messages: pl.DataFrame, settings: Rules) -> pl.DataFrame:
    """Extract `size` (characters), `leaves` (a goodbye) and `answers` (an answer to one).

    Args:
        messages: with text.
        settings: from `resolve_preset`.
    """
    text = pl.col("text")
    size = text.str.len_chars()
    short = messages.select(size=size, text=pl.when(size <= MAX_GOODBYE_CHARS).then(text))
    return short.select(
        "size",
        leaves=text.str.contains(phrases.goodbye_pattern(settings.ender_words)).fill_null(False),
        answers=text.str.contains(phrases.goodbye_answer_pattern()).fill_null(False),
    )


def apply_conversation_rules(
    messages: pl.DataFrame,
    ledger: Ledger,
    settings: Rules,
    load: rules.LoadTexts = lambda rows: rows,
) -> pl.DataFrame:
    """Split conversations at goodbyes, and drop those that a rule drops.

    Args:
        messages: with `conversation`, `rule` and `goodbye_features`; in order in each.
        ledger: gets a row for each rule that dropped something.
        settings: from `resolve_preset`.
        load: loads the texts that the ledger quotes.
    """
    names = [rule.name for rule in RULES if rule.stage == "conversation"]
    actions = {name: rule_action(settings, name) for name in names}
    if "end" in actions.values():
        messages = split_at_goodbyes(messages)
    # A rule that drops messages comes last, and decides.
    for name in sorted(names, key=lambda name: actions[name] == "drop"):
        meets = DETECTORS[name]
        if actions[name] == "context":
            meets &= pl.col("rule").is_null()
        if actions[name] in ("context", "drop"):
            messages = messages.with_columns(
                rule=pl.when(meets).then(pl.lit(name)).otherwise("rule")
            )
    messages = messages.drop("size", "leaves", "answers")
    return rules.apply_actions(messages, ledger, names, settings, load)


def split_at_goodbyes(messages: pl.DataFrame) -> pl.DataFrame:
    """Renumber `conversation` so that each ends with a goodbye.

    It ends behind the goodbye, the answers to it, and afterthoughts of the one who leaves.
    The next message starts a new conversation.

    Args:
        messages: with `goodbye_features`.
    """
    within = "conversation"
    # Few conversations have a goodbye; only those are computed.
    left = messages.filter("leaves")[within].unique()
    columns = (within, "leaves", "answers", "time", "person")
    rows = messages.select(*columns).with_row_index("row")
    marked = rows.filter(pl.col(within).is_in(left.implode())).with_columns(
        passed=pl.col("time").diff().over(within).fill_null(timedelta(0)),
        same=(pl.col("person") == pl.col("person").shift(1)).over(within).fill_null(False),
    )
    for _ in range(MAX_AFTERTHOUGHTS):
        before = pl.col("leaves").shift(1, fill_value=False).over(within)
        still = before & pl.col("same") & (pl.col("passed") <= MAX_AFTERTHOUGHT_TIME)
        marked = marked.with_columns(leaves=pl.col("leaves") | still)
    last = pl.col("leaves") | (pl.col("answers") & (pl.col("passed") <= MAX_ANSWER_TIME))
    # A group is a message and the last words behind it.
    marked = marked.with_columns(last=last)
    marked = marked.with_columns(group=(~pl.col("last")).cum_sum().over(within))
    marked = marked.with_columns(ended=pl.col("leaves").any().over(within, "group"))
    starts = ~pl.col("last") & pl.col("ended").shift(1, fill_value=False).over(within)
    marked = marked.with_columns(starts=starts)
    pieces = marked.select("row", piece=pl.col("starts").cum_sum().over(within))
    piece = pl.repeat(0, messages.height, dtype=pl.UInt32, eager=True)
    piece = piece.scatter(pieces["row"], pieces["piece"])
    numbers = rows.select(within, "row", piece=piece).select(
        pl.col("row").min().over(within, "piece").rank("dense").cast(pl.Int64) - 1
    )
    return messages.with_columns(numbers.to_series().alias(within))
