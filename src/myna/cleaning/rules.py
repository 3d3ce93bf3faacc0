"""The rules about messages, applied: which one decides on each message, and the ledger's rows.

Of the rules that a message meets, one that drops it decides before one that keeps it as
context, and of several the first in `config.rules.RULES`. What meets none is trained, if its
author may be cloned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import polars as pl

from myna.cleaning import commands, copies, quotations, signs, texts
from myna.cleaning.ledger import EXAMPLES, Action, Ledger, Row
from myna.cleaning.signs import Mask, Signs
from myna.config import Rules
from myna.config.rules import BY_NAME, RULES, action

MESSAGE_RULES = tuple(rule.name for rule in RULES if rule.stage == "message")
"""In the order in which they decide, where their actions are the same."""


def acting(settings: Rules) -> tuple[list[str], set[str]]:
    """The rules that do something, in the order in which they decide, and which of them drop."""
    acts = {name: action(settings, name) for name in MESSAGE_RULES}
    dropping = {name for name, act in acts.items() if act == "drop"}
    wanted = (name for name, act in acts.items() if act != "keep")
    return sorted(wanted, key=lambda name: name not in dropping), dropping


class Looked(NamedTuple):
    """Messages with normal texts, and their signs."""

    messages: pl.DataFrame
    signs: Signs


def look(messages: pl.DataFrame, settings: Rules) -> Looked:
    """What a table of messages tells by itself.

    Its texts become normal, with their `characters` of before: those of the tidy text, which
    the ledger counts.

    Args:
        messages: with `person`, `consent` (myna.people.accounts.assign) and `left_out`
            (myna.cleaning.filters).
        settings: which are `resolved`.
    """
    sent = messages.select(pl.col("text").fill_null(""), "mentions")
    normal = texts.normalised(messages, settings)
    return Looked(normal, signs.read(normal, sent, settings, *acting(settings)))


def decide(rows: pl.DataFrame, long: copies.Long, settings: Rules) -> pl.Series:
    """The name of the rule that decides on each message, or null.

    A duplicate is a message with the key of another; one that was edited, or else the one
    read last, stays.

    Args:
        rows: the signs of all messages, with place, person, is_bot and sent_at; the messages
            of a place in order.
        long: their long texts.
        settings: which are `resolved`.
    """
    names, _ = acting(settings)
    again = _again(rows)
    is_open = (rows["open"] & ~again).to_numpy()
    met = {"duplicate": again.to_numpy()}
    for rules, detect in DETECTORS.items():
        if set(rules) & set(names):
            met |= dict(zip(rules, detect(rows, is_open, long), strict=True))
    decided = rows["met"].to_numpy().copy()
    for name, mask in met.items():
        if name in names:
            decided[mask] = np.minimum(decided[mask], names.index(name))
    return pl.Series([*names, None], dtype=pl.String).gather(decided)


def _commands(rows: pl.DataFrame, is_open: Mask, _: copies.Long) -> list[Mask]:
    return [commands.answered(rows).to_numpy() & is_open]


def _quotations(rows: pl.DataFrame, is_open: Mask, _: copies.Long) -> list[Mask]:
    visible = pl.when(pl.lit(pl.Series(is_open)))
    return [
        quotations.repeats(rows.with_columns(visible.then(pl.col("said", "quotes")))).to_numpy()
    ]


def _copies(rows: pl.DataFrame, is_open: Mask, long: copies.Long) -> list[Mask]:
    stay = pl.Series(is_open).gather(long.rows["row"])
    found = copies.found(copies.Long(long.rows.filter(stay), long.signs), rows["person"])
    return [found["copypasta"], found["repeated"]]


Detector = Callable[[pl.DataFrame, Mask, copies.Long], list[Mask]]
DETECTORS: dict[tuple[str, ...], Detector] = {
    ("bot-command",): _commands,
    ("quotation",): _quotations,
    ("copypasta", "repeated"): _copies,
}
"""Detectors of rules about a message beside others. Each is given all messages and their long
texts (as `decide`), and which messages rules about talk may decide on."""


Quote = Callable[[pl.DataFrame], pl.DataFrame]
"""Gives a few messages with their person and text."""


def settle(
    judged: pl.DataFrame,
    ledger: Ledger,
    rules: Iterable[str],
    settings: Rules,
    quote: Quote = lambda met: met,
) -> pl.DataFrame:
    """The messages without those whose `rule` drops them, each entered in the ledger."""
    dropped = [name for name in rules if action(settings, name) == "drop"]
    for name in dropped:
        met = judged.filter(pl.col("rule") == name)
        if met.height:
            ledger.rows.append(entry(name, "drop", BY_NAME[name].why, met, quote))
    return judged.filter(pl.col("rule").is_null() | ~pl.col("rule").is_in(dropped)).with_columns(
        trained=pl.col("rule").is_null()
    )


def entry(
    name: str, action_: Action, why: str, met: pl.DataFrame, quote: Quote = lambda met: met
) -> Row:
    """The ledger's row for messages that met the same end."""
    some = quote(met.gather_every(max(1, met.height // EXAMPLES)).head(EXAMPLES))
    return Row(name, action_, why, met.height, int(met["characters"].sum()), examples(some))


def examples(some: pl.DataFrame) -> list[str]:
    """A few of the messages, short, as `who: what`."""
    return [
        f"{who}: {text or '(no text)'}".replace("\n", " / ")[:100]
        for who, text in some.select("person", "text").iter_rows()
    ]


def _again(rows: pl.DataFrame) -> pl.Series:
    """Whether the message stands there again: edited, or else later."""
    if rows["id"].n_unique() == rows.height:
        return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
    return (
        rows.select("id", "edited", row=pl.int_range(pl.len()))
        .sort("edited", maintain_order=True)
        .with_columns(again=~pl.col("id").is_last_distinct())
        .sort("row")["again"]
    )
