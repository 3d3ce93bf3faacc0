"""The rules about messages, applied: which one decides on each message, and the ledger's rows.

Of the rules that a message meets, one that drops it decides before one that keeps it as
context, and of several the first in `config.rules.RULES`. What meets none is trained, if its
author may be cloned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from myna.cleaning import detectors, message_features, near_duplicates, normalize
from myna.cleaning.ledger import EXAMPLES, Action, Ledger, Row
from myna.cleaning.message_features import Mask, Signs
from myna.config import Filter, Rules
from myna.config.rules import BY_NAME, RULES, action
from myna.errors import SettingsError
from myna.people import People, accounts

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
    message_features: Signs


def look(messages: pl.DataFrame, settings: Rules) -> Looked:
    """What a table of messages tells by itself.

    Its texts become normal, with their `characters` of before: those of the tidy text, which
    the ledger counts.

    Args:
        messages: with `person`, `consent` (myna.people.accounts.assign_persons) and `left_out`
            (myna.cleaning.rules).
        settings: which are `resolved`.
    """
    sent = messages.select(pl.col("text").fill_null(""), "mentions")
    normal = normalize.normalised(messages, settings)
    return Looked(normal, message_features.read(normal, sent, settings, *acting(settings)))


def decide(rows: pl.DataFrame, long: near_duplicates.Long, settings: Rules) -> pl.Series:
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


def _commands(rows: pl.DataFrame, is_open: Mask, _: near_duplicates.Long) -> list[Mask]:
    return [detectors.is_answered_by_bot(rows).to_numpy() & is_open]


def _quotations(rows: pl.DataFrame, is_open: Mask, _: near_duplicates.Long) -> list[Mask]:
    visible = pl.when(pl.lit(pl.Series(is_open)))
    return [
        detectors.repeats_quoted(
            rows.with_columns(visible.then(pl.col("said", "quotes")))
        ).to_numpy()
    ]


def _copies(rows: pl.DataFrame, is_open: Mask, long: near_duplicates.Long) -> list[Mask]:
    stay = pl.Series(is_open).gather(long.rows["row"])
    found = near_duplicates.found(
        near_duplicates.Long(long.rows.filter(stay), long.signs), rows["person"]
    )
    return [found["copypasta"], found["repeated"]]


Detector = Callable[[pl.DataFrame, Mask, near_duplicates.Long], list[Mask]]
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


_NAMED = {
    "spaces": pl.col("space"),
    "channels": pl.col("channel"),
    "threads": pl.col("thread").fill_null(""),
    "people": pl.col("person"),
}


def left_out(messages: pl.DataFrame | pl.LazyFrame, chosen: Filter) -> pl.Expr:
    """Which messages the filter leaves out, of a message table or any of its parts.

    A name may have `*` and `?`; one with `!` in front leaves out what it fits. Upper and
    lower case are the same. A message without a time is in no range of dates.

    Args:
        messages: the whole message table, with `person`.
        chosen: the settings.

    Raises:
        SettingsError: a name fits nothing there is.
    """
    kept = pl.lit(True)
    for kind, column in _NAMED.items():
        wanted: list[str] = getattr(chosen, kind)
        if wanted:
            there = messages.lazy().select(column.unique(maintain_order=True)).collect()
            kept &= column.is_in(_fitting(kind, wanted, there.to_series().to_list()))
    if chosen.since:
        kept &= pl.col("sent_at").dt.date() >= date.fromisoformat(chosen.since)
    if chosen.until:
        kept &= pl.col("sent_at").dt.date() < date.fromisoformat(chosen.until) + timedelta(days=1)
    return ~kept.fill_null(False)


def _fitting(kind: str, wanted: list[str], there: list[str]) -> list[str]:
    """The names that are wanted, of those there are."""
    include = [pattern for pattern in wanted if not pattern.startswith("!")]
    exclude = [pattern[1:] for pattern in wanted if pattern.startswith("!")]
    for pattern in (*include, *exclude):
        if not any(_fits(name, pattern) for name in there):
            see = "people" if kind == "people" else "channels"
            raise SettingsError(
                f"filter.{kind}: '{pattern}' fits nothing that was imported: see `myna {see}`"
            )
    return [
        name
        for name in there
        if (not include or any(_fits(name, p) for p in include))
        and not any(_fits(name, p) for p in exclude)
    ]


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name.casefold(), pattern.casefold())


def channels(tables: list[Path], people: People) -> pl.DataFrame:
    """The channels there are, the busiest first.

    Columns: source, space, channel, channel_id, threads, people, messages, first, last (days),
    and as `sample` what somebody said there in the middle of it, if they consent to stand in
    prompts at least.
    """
    schema = ["source", "channel_id"]
    if not tables:
        return pl.DataFrame()
    known = [account for p in people.persons if p.consent != "no" for account in p.accounts]
    said = (pl.col("kind") == "text") & (pl.col("text").str.len_chars() >= 12)
    may_be_shown = said & accounts.account_expr().is_in(known)
    shown = pl.format("{}: {}", "author", pl.col("text").str.replace_all(r"\s+", " "))
    likely = shown.filter(may_be_shown)
    return (
        pl.scan_parquet(tables)
        .group_by(schema)
        .agg(
            pl.col("space").last(),
            pl.col("channel").last(),
            pl.col("thread").drop_nulls().n_unique().alias("threads"),
            pl.col("author_id").n_unique().alias("people"),
            pl.len().alias("messages"),
            pl.col("sent_at").min().dt.date().alias("first"),
            pl.col("sent_at").max().dt.date().alias("last"),
            likely.get(likely.len() // 2, null_on_oob=True).str.slice(0, 120).alias("sample"),
        )
        .sort("messages", "source", "channel_id", descending=[True, False, False])
        .collect()
    )
