"""The rules about single messages, each with a name, an action and a reason.

A rule is a polars expression over the message table (with `person` and `consent`): the
first rule that a message meets decides. What meets none is kept, and trained if its
author may be cloned.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from myna.cleaning import filters
from myna.cleaning.ledger import EXAMPLES, Ledger, Row
from myna.config import Filter
from myna.messages import KEY, tidy


@dataclass(frozen=True)
class Rule:
    """A named rule; `action` is drop, or context (stays in prompts, never trained)."""

    name: str
    action: str
    why: str
    meets: pl.Expr


RULES = (
    Rule("filtered", "drop", "left out by [filter]", pl.col("left_out")),
    Rule("duplicate", "drop", "the same message in two exports", pl.col("again")),
    Rule("system", "drop", "a notice of the platform", pl.col("kind") == "system"),
    Rule("bot", "drop", "written by a bot", pl.col("is_bot") & (pl.col("consent") != "context")),
    Rule("no-consent", "drop", "the author's consent is no", pl.col("consent") == "no"),
    Rule("call", "drop", "a call", pl.col("kind") == "call"),
    Rule("deleted", "drop", "deleted by its author", pl.col("kind") == "deleted"),
    Rule("command", "drop", "a bot was commanded", pl.col("kind") == "command"),
    Rule("forward", "drop", "somebody else's words, passed on", pl.col("kind") == "forward"),
    Rule(
        "empty",
        "drop",
        "nothing in it",
        (pl.col("text") == "") & (pl.col("attachments").list.len() == 0),
    ),
    Rule(
        "media-only",
        "context",
        "an attachment without words",
        pl.col("text") == "",
    ),
    Rule(
        "consent-context",
        "context",
        "the author's consent is context",
        pl.col("consent") == "context",
    ),
)

DESCRIPTIONS = {
    "kept": "a person's words, trained",
    "tune": "held out to stop training early",
    "test": "held out to report on",
}


def clean(messages: pl.DataFrame, ledger: Ledger, chosen: Filter | None = None) -> pl.DataFrame:
    """The messages that stay, in their order, with `trained` (may be a target) and tidy text.

    `messages` has `person` and `consent` (myna.people.accounts.assign); those that do
    not fit `chosen` are left out. A duplicate is a message
    with the key of another; one that was edited, or else the one read last, stays. The
    ledger gets a row for each rule that something met; messages that stay get theirs
    later, when it is known where they end up.
    """
    texts = [tidy(text or "") for text in messages["text"]]
    tidied = (
        messages.with_columns(pl.Series("text", texts, pl.String))
        .with_row_index("row")
        .sort("edited", maintain_order=True)
        .with_columns(again=~pl.struct(*KEY).is_last_distinct())
        .sort("row")
        .drop("row")
        .with_columns(left_out=filters.left_out(messages, chosen or Filter()))
    )
    verdict = pl.lit(None, pl.String)
    for rule in reversed(RULES):
        verdict = pl.when(rule.meets).then(pl.lit(rule.name)).otherwise(verdict)
    judged = tidied.with_columns(rule=verdict)

    ledger.messages += judged.height
    ledger.characters += int(judged["text"].str.len_chars().sum())
    for rule in RULES:
        met = judged.filter(pl.col("rule") == rule.name)
        if rule.action == "drop" and met.height:
            ledger.rows.append(
                Row(
                    rule.name,
                    "drop",
                    rule.why,
                    met.height,
                    int(met["text"].str.len_chars().sum()),
                    examples(met),
                )
            )
    dropped = [rule.name for rule in RULES if rule.action == "drop"]
    return (
        judged.filter(pl.col("rule").is_null() | ~pl.col("rule").is_in(dropped))
        .with_columns(trained=pl.col("rule").is_null())
        .drop("again", "left_out")
    )


def examples(met: pl.DataFrame) -> list[str]:
    """A few of the messages, short, as `who: what`."""
    return [
        f"{who}: {text or '(no text)'}".replace("\n", " / ")[:100]
        for who, text in met.head(EXAMPLES).select("person", "text").iter_rows()
    ]
