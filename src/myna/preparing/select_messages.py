"""Choosing: what becomes of each message, from what all of them tell.

Only numbers of all messages are in memory here, never their texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from myna.cleaning import near_duplicates, redact, rules
from myna.cleaning.ledger import Ledger
from myna.config import Settings
from myna.config.rules import resolved
from myna.conversations import disentangle, llm_quality, quality, sessions, splits
from myna.messages import CHANNEL_KEY
from myna.preparing.clean_batches import Known, Read
from myna.preparing.message_store import Parts

_CHANNEL, _PLACE = ("channel",), ("place",)
_LATER = (
    *("number", "place", "channel", "person", "position", "sent_at", "kind", "id", "reply_to"),
    *("characters", "size", "leaves", "answers", "long", "rule"),
)


class Gathered(NamedTuple):
    """What all messages tell, their long texts, and what was redacted in which of them."""

    rows: pl.DataFrame
    long: near_duplicates.Long
    redacted: pl.DataFrame


def gather(read: Iterable[Read]) -> Gathered:
    """What all batches tell, in order; `place` and `channel` are in the order of their names."""
    rows: list[pl.DataFrame] = []
    long: list[tuple[int, near_duplicates.Long]] = []
    redacted: list[pl.DataFrame] = [pl.DataFrame(schema=redact.FOUND)]
    places: dict[tuple[str | None, ...], int] = {}
    first = 0
    for batch in read:
        numbers = [places.setdefault(place, len(places)) for place in batch.places.iter_rows()]
        own = pl.Series(numbers, dtype=pl.UInt32).gather(batch.rows["place"])
        rows.append(batch.rows.with_columns(place=own))
        long.append((first, batch.long))
        redacted.append(batch.redacted.with_columns((pl.col("row") + first).cast(pl.UInt32)))
        first += batch.rows.height
    table = pl.DataFrame(list(places), schema=dict.fromkeys(CHANNEL_KEY, pl.String), orient="row")
    # The order of names, and null first, as in a sort by the names themselves.
    order = table.with_row_index("number").sort(*CHANNEL_KEY, nulls_last=False)
    ranks = (
        order.with_row_index("rank")
        .with_columns(channel=pl.struct(CHANNEL_KEY[:2]).rle_id())
        .sort("number")
    )
    every = pl.concat(rows)
    del rows
    at = every["place"]
    every = every.with_columns(
        ranks["rank"].gather(at).alias("place"), ranks["channel"].gather(at).alias("channel")
    )
    return Gathered(every, near_duplicates.joined(long), pl.concat(redacted))


def clean(gathered: Gathered, known: Known, parts: Parts, ledger: Ledger) -> pl.DataFrame:
    """The messages that the rules about messages leave, with `number`, `rule` and `trained`.

    The ledger gets a row for each rule that dropped something, and what was redacted in the
    messages that stay.
    """
    rows, long, redacted = gathered
    del gathered
    ledger.messages += rows.height
    ledger.characters += int(rows["characters"].sum())
    decided = rules.decide(rows, long, known.rules)
    judged = rows.with_row_index("number").with_columns(rule=decided).select(_LATER)
    del rows, long, decided
    kept = rules.settle(judged, ledger, rules.MESSAGE_RULES, known.rules, _quoting(parts))
    stay = redacted.filter(pl.col("row").is_in(kept["number"].implode()))
    ledger.redacted = redact.counted(stay)
    return kept


def _quoting(parts: Parts) -> rules.Quote:
    return lambda some: parts.load(some["number"])


def choose(
    kept: pl.DataFrame,
    parts: Parts,
    ledger: Ledger,
    settings: Settings,
    asked: Path,
    say: Callable[[str], None],
) -> pl.DataFrame:
    """The messages that stay, in order: see `sessions.split` and `splits.hold_out`.

    Columns: number (among all), channel, id, reply_to, person (numbers), sent_at,
    conversation, part, whole, trained, rule (that made it context, or null) and characters.
    The ledger gets a row for each rule that dropped something.

    Args:
        kept: as `clean` leaves them.
        parts: the messages.
        ledger: is written to.
        settings: all of them.
        asked: the file of scores that a model gave.
        say: is told how far it is.
    """

    def talk(some: pl.DataFrame) -> pl.DataFrame:
        said = parts.load(some["number"], ("author_id", "author", "text", "handle", "mentions"))
        own = some.select("id", "reply_to", "time", "conversation", person="person")
        return said.hstack(own)

    load = _quoting(parts)
    kept = sessions.split(kept, settings.conversations.gap_minutes, _PLACE)
    if settings.conversations.disentangle:
        kept = disentangle.pull_apart(kept, talk)
    kept = kept.drop("place", "position", "kind")
    kept = quality.judge(kept, ledger, resolved(settings.rules), load)
    kept = llm_quality.judge(kept, ledger, settings.quality, asked, load, say)
    kept = splits.hold_out(kept, settings.split, _CHANNEL)
    return _without_doubled(kept, parts)


def _without_doubled(kept: pl.DataFrame, parts: Parts) -> pl.DataFrame:
    """The messages, those not trained that are held out and nearly stand in train."""
    is_out = kept["split"] != "train"
    if is_out.any():
        # Of every message: held out and long, held out and short (null), or in train.
        state = np.zeros(sum(parts.lengths), np.int8) - 1
        rows = kept["number"].to_numpy()
        state[rows] = np.where(is_out & kept["long"], 1, np.where(is_out, -1, 0))
        held_out = pl.Series(state).replace(-1, None).cast(pl.Boolean)
        doubled = splits.near_duplicates(lambda: parts.runs(held_out))
        is_doubled = kept["number"].is_in(doubled.implode()) & kept["trained"]
        kept = kept.with_columns(
            trained=pl.col("trained") & ~is_doubled,
            rule=pl.when(is_doubled).then(pl.lit("near-duplicate")).otherwise("rule"),
        )
    return kept.drop("long", "time")
