"""The rules about messages: the deciding rule of each message, and the ledger's rows.

Of the rules that a message meets, one that drops it decides before one that keeps it as
context, and of several the first in `config.rules.RULES`. A message that meets none is
trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import polars as pl

from myna.cleaning import detectors, message_features, near_duplicates, normalize
from myna.cleaning.ledger import MAX_EXAMPLES, Action, Ledger, LedgerRow, Taken
from myna.cleaning.message_features import Mask, MessageFeatures
from myna.cleaning.near_duplicates import LongTexts
from myna.config import Filter, Rules
from myna.config.rules import RULES, RULES_BY_NAME, rule_action
from myna.errors import SettingsError
from myna.people import People, accounts

MESSAGE_RULES = tuple(rule.name for rule in RULES if rule.stage == "message")
"""In the order in which they decide, if their actions are the same."""


def active_rules(settings: Rules) -> tuple[list[str], set[str]]:
    """Return the rules with an effect, in the order in which they decide, and those that drop."""
    actions = {name: rule_action(settings, name) for name in MESSAGE_RULES}
    dropping = {name for name, act in actions.items() if act == "drop"}
    active = (name for name, act in actions.items() if act != "keep")
    return sorted(active, key=lambda name: name not in dropping), dropping


def extract_features(
    messages: pl.DataFrame, settings: Rules
) -> tuple[pl.DataFrame, MessageFeatures]:
    """Normalise the texts of a table of messages, and extract its features.

    `characters` counts those of the tidy text before, as the ledger does.

    Args:
        messages: with `person`, `consent` (myna.people.accounts.assign_persons) and `excluded`
            (`is_excluded`).
        settings: from `resolve_preset`.
    """
    sent = messages.select(pl.col("text").fill_null(""), "mentions")
    normal = normalize.normalize_messages(messages, settings)
    return normal, message_features.extract(normal, sent, settings, *active_rules(settings))


def deciding_rules(rows: pl.DataFrame, long: LongTexts, settings: Rules) -> pl.Series:
    """Name the rule that decides on each message, or null.

    A duplicate is a message with the key of another; one that was edited, or else the one
    read last, stays. So is one that a better export has as well (`is_copy`).

    Args:
        rows: the features of all messages, with thread, person, is_bot, sent_at and
            is_copy; the messages of a thread in order.
        long: their long texts.
        settings: from `resolve_preset`.
    """
    names, _ = active_rules(settings)
    duplicate = _is_duplicate(rows) | rows["is_copy"]
    is_candidate = (rows["is_candidate"] & ~duplicate).to_numpy()
    masks = {"duplicate": duplicate.to_numpy()}
    for rules, detect in DETECTORS.items():
        if set(rules) & set(names):
            masks |= dict(zip(rules, detect(rows, is_candidate, long), strict=True))
    first = rows["first_rule"].to_numpy().copy()
    for name, mask in masks.items():
        if name in names:
            first[mask] = np.minimum(first[mask], names.index(name))
    return pl.Series([*names, None], dtype=pl.String).gather(first)


def _bot_commands(rows: pl.DataFrame, is_candidate: Mask, _: LongTexts) -> list[Mask]:
    return [detectors.is_answered_by_bot(rows).to_numpy() & is_candidate]


def _quotations(rows: pl.DataFrame, is_candidate: Mask, _: LongTexts) -> list[Mask]:
    hashes = pl.when(pl.lit(pl.Series(is_candidate))).then(pl.col("text_hash", "quoted_hash"))
    return [detectors.quotes_others(rows.with_columns(hashes)).to_numpy()]


def _copies(rows: pl.DataFrame, is_candidate: Mask, long: LongTexts) -> list[Mask]:
    stay = pl.Series(is_candidate).gather(long.rows["row"])
    candidates = LongTexts(long.rows.filter(stay), long.signatures)
    masks = near_duplicates.find_copies(candidates, rows["person"])
    return [masks["copypasta"], masks["repeated"]]


def _likely_notices(rows: pl.DataFrame, is_candidate: Mask, _: LongTexts) -> list[Mask]:
    """Texts whose shape two people have, or one has three times, each time with their name."""
    shape = pl.when(pl.lit(pl.Series(is_candidate))).then("shape_hash")
    authors, count = pl.col("person").n_unique().over("shape"), pl.len().over("shape")
    recurs = pl.col("shape").is_not_null() & ((authors > 1) | (count > 2))
    found = rows.select("person", shape=shape).select(recurs).to_series()
    return [found.to_numpy()]


Detector = Callable[[pl.DataFrame, Mask, LongTexts], list[Mask]]
DETECTORS: dict[tuple[str, ...], Detector] = {
    ("bot-command",): _bot_commands,
    ("quotation",): _quotations,
    ("likely-notice",): _likely_notices,
    ("copypasta", "repeated"): _copies,
}
"""Detectors of the rules that compare messages. Each gets all messages, a mask of those that
rules about texts may decide on, and the long texts (as `deciding_rules`)."""


LoadTexts = Callable[[pl.DataFrame], pl.DataFrame]
"""Loads person and text of a few messages."""


def apply_actions(
    messages: pl.DataFrame,
    ledger: Ledger,
    rules: Iterable[str],
    settings: Rules,
    load: LoadTexts = lambda rows: rows,
) -> pl.DataFrame:
    """Drop the messages whose `rule` says so, each entered in the ledger; add `trained`."""
    dropping = [name for name in rules if rule_action(settings, name) == "drop"]
    for name in dropping:
        dropped = messages.filter(pl.col("rule") == name)
        if dropped.height:
            ledger.rows.append(ledger_row(name, "drop", RULES_BY_NAME[name].reason, dropped, load))
            ledger.taken += taken(name, "drop", dropped)
    is_dropped = pl.col("rule").is_not_null() & pl.col("rule").is_in(dropping)
    return messages.filter(~is_dropped).with_columns(trained=pl.col("rule").is_null())


def ledger_row(
    name: str, action: Action, reason: str, messages: pl.DataFrame, load: LoadTexts
) -> LedgerRow:
    """Return the ledger's row for messages that met one rule, with a few as `person: text`."""
    sample = load(messages.gather_every(max(1, messages.height // MAX_EXAMPLES)).head(MAX_EXAMPLES))
    lines = [
        f"{person}: {text or '(no text)'}".replace("\n", " / ")[:100]
        for person, text in sample.select("person", "text").iter_rows()
    ]
    characters = int(messages["characters"].sum())
    return LedgerRow(name, action, reason, messages.height, characters, lines)


def taken(rule: str, action: Action, messages: pl.DataFrame) -> list[Taken]:
    """The characters that a rule takes of each person; messages without a `number` count none."""
    if "number" not in messages.columns or not RULES_BY_NAME[rule].actions:
        return []
    by_person = messages.drop_nulls("person").group_by("person", maintain_order=True)
    longest = pl.col("number").sort_by("characters", "number").last()
    sums = by_person.agg(pl.sum("characters"), longest)
    return [Taken(person, rule, action, int(size), one) for person, size, one in sums.iter_rows()]


def _is_duplicate(rows: pl.DataFrame) -> pl.Series:
    """Return a mask of messages that another one replaces: an edited, or else a later one."""
    if rows["id"].n_unique() == rows.height:
        return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
    return (
        rows.select("id", "edited", row=pl.int_range(pl.len()))
        .sort("edited", maintain_order=True)
        .with_columns(duplicate=~pl.col("id").is_last_distinct())
        .sort("row")["duplicate"]
    )


_FILTER_COLUMNS = {
    "spaces": pl.col("space"),
    "channels": pl.col("channel"),
    "threads": pl.col("thread").fill_null(""),
    "people": pl.col("person"),
}


def is_excluded(messages: pl.DataFrame | pl.LazyFrame, settings: Filter) -> pl.Expr:
    """Return an expression: true for the messages that `[filter]` leaves out.

    A name may have `*` and `?`; one with `!` in front excludes what it matches. Upper and
    lower case are the same. A message without a time is in no range of dates.

    Args:
        messages: the whole message table, with `person`.
        settings: the section `[filter]`.

    Raises:
        SettingsError: a name matches nothing.
    """
    kept = pl.lit(True)
    for kind, column in _FILTER_COLUMNS.items():
        patterns: list[str] = getattr(settings, kind)
        if patterns:
            names = messages.lazy().select(column.unique(maintain_order=True)).collect()
            kept &= column.is_in(_matching(kind, patterns, names.to_series().to_list()))
    if settings.since:
        kept &= pl.col("sent_at").dt.date() >= date.fromisoformat(settings.since)
    if settings.until:
        kept &= pl.col("sent_at").dt.date() < date.fromisoformat(settings.until) + timedelta(days=1)
    return ~kept.fill_null(False)


def _matching(kind: str, patterns: list[str], names: list[str]) -> list[str]:
    """Return the names that the patterns select."""
    include = [pattern for pattern in patterns if not pattern.startswith("!")]
    exclude = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    for pattern in (*include, *exclude):
        if not any(_matches(name, pattern) for name in names):
            command = "people" if kind == "people" else "channels"
            raise SettingsError(
                f"filter.{kind}: '{pattern}' matches nothing that was imported: "
                f"see `myna {command}`"
            )
    return [
        name
        for name in names
        if (not include or any(_matches(name, p) for p in include))
        and not any(_matches(name, p) for p in exclude)
    ]


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name.casefold(), pattern.casefold())


def list_channels(tables: list[Path], people: People) -> pl.DataFrame:
    """List the channels, the busiest first.

    Columns: source, space, channel, channel_id, threads, people, messages, first, last (days),
    and as `sample` a message from the middle, by somebody whose consent is not no.
    """
    if not tables:
        return pl.DataFrame()
    consenting = [account for p in people.persons if p.consent != "no" for account in p.accounts]
    is_telling = (pl.col("kind") == "text") & (pl.col("text").str.len_chars() >= 12)
    lines = pl.format("{}: {}", "author", pl.col("text").str.replace_all(r"\s+", " "))
    samples = lines.filter(is_telling & accounts.account_expr().is_in(consenting))
    return (
        pl.scan_parquet(tables)
        .group_by("source", "channel_id")
        .agg(
            pl.col("space").last(),
            pl.col("channel").last(),
            pl.col("thread").drop_nulls().n_unique().alias("threads"),
            pl.col("author_id").n_unique().alias("people"),
            pl.len().alias("messages"),
            pl.col("sent_at").min().dt.date().alias("first"),
            pl.col("sent_at").max().dt.date().alias("last"),
            samples.get(samples.len() // 2, null_on_oob=True).str.slice(0, 120).alias("sample"),
        )
        .sort("messages", "source", "channel_id", descending=[True, False, False])
        .collect()
    )
