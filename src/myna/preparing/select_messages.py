"""Select the messages for samples by the features of all of them.

Only numbers of all messages are in memory here, never their texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from myna.cleaning import double_exports, near_duplicates, redact, rules
from myna.cleaning.double_exports import PLACE
from myna.cleaning.ledger import Ledger
from myna.config import Settings
from myna.config.rules import resolve_preset
from myna.conversations import disentangle, llm_quality, quality, sessions, splits
from myna.messages import CHANNEL_KEY
from myna.preparing.clean_batches import BatchFeatures, CleaningContext
from myna.preparing.message_store import MessageStore

_CHANNEL, _THREAD = ("channel",), ("thread",)
_LATER = (
    *("number", "thread", "channel", "person", "position", "sent_at", "kind", "id", "reply_to"),
    *("characters", "size", "leaves", "answers", "long", "rule"),
)


class MessageFeatures(NamedTuple):
    """The features of all messages, their long texts, personal data found, notes."""

    rows: pl.DataFrame
    long: near_duplicates.LongTexts
    redacted: pl.DataFrame
    notes: list[str]


def gather_features(batches: Iterable[BatchFeatures]) -> MessageFeatures:
    """Join the features of all batches; `thread` and `channel` are in the order of their names."""
    rows: list[pl.DataFrame] = []
    long: list[tuple[int, near_duplicates.LongTexts]] = []
    redacted: list[pl.DataFrame] = [pl.DataFrame(schema=redact.MATCHES)]
    threads: dict[tuple[str | None, ...], int] = {}
    names: dict[tuple[str | None, ...], tuple[str | None, ...]] = {}
    first = 0
    for batch in batches:
        numbers = []
        for place in batch.threads.select(list(PLACE)).iter_rows():
            key = place[: len(CHANNEL_KEY)]
            numbers.append(threads.setdefault(key, len(threads)))
            names.setdefault(key, place)
        own = pl.Series(numbers, dtype=pl.UInt32).gather(batch.rows["thread"])
        rows.append(batch.rows.with_columns(thread=own))
        long.append((first, batch.long))
        redacted.append(batch.redacted.with_columns((pl.col("row") + first).cast(pl.UInt32)))
        first += batch.rows.height
    table = pl.DataFrame(list(threads), schema=dict.fromkeys(CHANNEL_KEY, pl.String), orient="row")
    # The order of names, and null first, as in a sort by the names themselves.
    order = table.with_row_index("number").sort(*CHANNEL_KEY, nulls_last=False)
    ranks = (
        order.with_row_index("rank")
        .with_columns(channel=pl.struct(CHANNEL_KEY[:2]).rle_id())
        .sort("number")
    )
    every = pl.concat(rows)
    del rows
    at = every["thread"]
    places = pl.DataFrame(list(names.values()), schema=PLACE, orient="row")
    copies = double_exports.find_copies(every, places)
    every = every.with_columns(is_copy=copies.mask)
    every = every.with_columns(sent_at=sessions.keep_local_order(every))
    every = every.with_columns(
        ranks["rank"].gather(at).alias("thread"), ranks["channel"].gather(at).alias("channel")
    ).drop("export", "said", "made_id", "zone_assumed")
    long_texts = near_duplicates.concatenate(long)
    return MessageFeatures(every, long_texts, pl.concat(redacted), copies.notes)


def apply_message_rules(
    features: MessageFeatures, context: CleaningContext, store: MessageStore, ledger: Ledger
) -> pl.DataFrame:
    """The messages that the rules about messages leave, with `number`, `rule` and `trained`.

    The ledger gets a row for each rule that dropped something, and the personal data redacted
    in the messages that stay.
    """
    rows, long, redacted, notes = features
    ledger.notes += notes
    del features
    ledger.messages += rows.height
    ledger.characters += int(rows["characters"].sum())
    decided = rules.deciding_rules(rows, long, context.rules)
    judged = rows.with_row_index("number").with_columns(rule=decided).select(_LATER)
    del rows, long, decided
    kept = rules.apply_actions(judged, ledger, rules.MESSAGE_RULES, context.rules, _quoting(store))
    stay = redacted.filter(pl.col("row").is_in(kept["number"].implode()))
    ledger.redacted = redact.count_by_type(stay)
    return kept


def _quoting(store: MessageStore) -> rules.LoadTexts:
    return lambda some: store.load(some["number"])


def split_conversations(
    kept: pl.DataFrame,
    store: MessageStore,
    ledger: Ledger,
    settings: Settings,
    scores: Path,
    report: Callable[[str], None],
) -> pl.DataFrame:
    """The messages that stay, in the order of `sessions.split_conversations`, with their splits.

    Columns: number (among all), channel, id, reply_to, person (numbers), sent_at,
    conversation, split, whole, trained, rule (that made it context, or null) and characters.
    The ledger gets a row for each rule that dropped something.

    Args:
        kept: of `apply_message_rules`.
        store: the messages.
        ledger: is written to.
        settings: all of them.
        scores: the file of quality scores that a model gave.
        report: called with lines on the progress.
    """

    def texts(some: pl.DataFrame) -> pl.DataFrame:
        columns = ("author_id", "author", "text", "handle", "mentions")
        own = some.select("id", "reply_to", "time", "conversation", person="person")
        return store.load(some["number"], columns).hstack(own)

    load = _quoting(store)
    kept = sessions.split_conversations(kept, settings.conversations.gap_minutes, _THREAD)
    if settings.conversations.disentangle:
        kept = disentangle.disentangle_stretches(kept, texts)
    kept = kept.drop("thread", "position", "kind")
    kept = quality.apply_conversation_rules(kept, ledger, resolve_preset(settings.rules), load)
    kept = llm_quality.apply_quality_scores(kept, ledger, settings.quality, scores, load, report)
    kept = demote_the_quiet(kept, settings.filter.min_messages)
    kept = splits.assign_splits(kept, settings.split, _CHANNEL)
    return _without_near_duplicates(kept, store)


MIN_SHARE = 0.1
"""Share of the busiest person's messages from which nobody has said too little."""


def demote_the_quiet(kept: pl.DataFrame, min_messages: int) -> pl.DataFrame:
    """Make context of the messages of people who said too little to be cloned.

    These have fewer than `min_messages` trained messages, and fewer than `MIN_SHARE` of those of
    the busiest person. So in a small chat, where everybody has few, all are cloned.
    """
    counts = kept.filter("trained").group_by("person").len()
    least = min(min_messages, MIN_SHARE * max(counts["len"], default=0))
    quiet = counts.filter(pl.col("len") < least)["person"]
    is_quiet = pl.col("trained") & pl.col("person").is_in(quiet.implode())
    return kept.with_columns(
        rule=pl.when(is_quiet).then(pl.lit("few-messages")).otherwise("rule"),
        trained=pl.col("trained") & ~is_quiet,
    )


def _without_near_duplicates(kept: pl.DataFrame, store: MessageStore) -> pl.DataFrame:
    """Make context of held-out messages that nearly stand in the train split."""
    is_out = kept["split"] != "train"
    if is_out.any():
        # Of every message: held out and long, held out and short (null), or in train.
        state = np.zeros(sum(store.lengths), np.int8) - 1
        rows = kept["number"].to_numpy()
        state[rows] = np.where(is_out & kept["long"], 1, np.where(is_out, -1, 0))
        held_out = pl.Series(state).replace(-1, None).cast(pl.Boolean)
        duplicates = splits.find_leaks(lambda: store.runs(held_out))
        is_duplicate = kept["number"].is_in(duplicates.implode()) & kept["trained"]
        kept = kept.with_columns(
            trained=pl.col("trained") & ~is_duplicate,
            rule=pl.when(is_duplicate).then(pl.lit("near-duplicate")).otherwise("rule"),
        )
    return kept.drop("long", "time")
