"""Clean some thousands of stored messages at a time, each batch by itself.

A batch becomes a file of the message store, with normalised, redacted texts and pseudonyms
for people who must stay unknown. All else that the rules need are a few numbers of each
message, its features:

    id, reply_to     of the message, and of the one that it answers (hashes; or null)
    thread           number of its channel or thread, see `BatchFeatures.threads`
    person           number of its author, see `CleaningContext.persons`
    characters       of its text, as its author wrote it
    size, leaves, answers, long
                     features for splitting conversations
    export, said, made_id
                     for `cleaning.double_exports`
    kind, is_bot, sent_at, zone_assumed, position, and the columns of
    `cleaning.message_features`
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl

from myna.cleaning import double_exports, near_duplicates, pseudonyms, redact, rules
from myna.cleaning.double_exports import PLACE
from myna.config import Rules, Settings
from myna.config.rules import resolve_preset
from myna.conversations import quality, splits
from myna.messages import CHANNEL_KEY, KINDS, MADE_ID, in_zone
from myna.people import People, accounts
from myna.preparing.message_store import MessageBatch, MessageStore

COLUMNS = (
    *("source", "space", "channel", "channel_id", "thread", "id", "author_id", "author", "handle"),
    *("sent_at", "kind", "text", "reply_to", "attachments", "mentions", "person", "reactions"),
)
"""The columns of the message store."""


@dataclass(frozen=True)
class CleaningContext:
    """The settings and facts that all batches share.

    `persons` are the names of people by their numbers; made-up values are derived from `key`.
    """

    folder: Path
    people: People
    persons: tuple[str, ...]
    hidden: pseudonyms.HiddenNames | None
    excluded: pl.Expr
    settings: Settings
    rules: Rules
    key: bytes


class BatchFeatures(NamedTuple):
    """The features of a batch's messages; and its threads, long texts and personal data."""

    rows: pl.DataFrame
    threads: pl.DataFrame
    long: near_duplicates.LongTexts
    redacted: pl.DataFrame


def cleaning_context(
    messages: pl.LazyFrame, people: People, settings: Settings, folder: Path
) -> CleaningContext:
    """The context for cleaning all these messages.

    Raises:
        SettingsError: the filter names somebody or something that is not there.
    """
    columns = ("source", "author_id", "author", "is_bot", "space", "channel", "thread")
    chosen = settings.filter
    by_name = chosen.spaces or chosen.channels or chosen.threads or chosen.people
    there = messages.select(columns).unique() if by_name else messages.select(columns).head(0)
    assigned = accounts.assign_persons(there.collect(), people)
    return CleaningContext(
        folder,
        people,
        tuple(dict.fromkeys(person.display_name for person in people.persons)),
        pseudonyms.hidden_names(messages, people),
        rules.is_excluded(assigned, chosen),
        settings,
        resolve_preset(settings.rules),
        redact.redaction_key(settings.redaction),
    )


def clean_batch(context: CleaningContext, batch: MessageBatch) -> BatchFeatures:
    """Clean a batch, write it into the message store, and compute its features."""
    stored = batch.read()
    for entry in context.settings.conversations.zones:
        source, _, zone = entry.rpartition("=")
        stored = in_zone(stored, zone.strip(), source.strip() or None)
    stored = accounts.assign_persons(stored, context.people)
    stored = stored.with_columns(excluded=context.excluded)
    normal, features = rules.extract_features(
        pseudonyms.replace_names(stored, context.hidden), context.rules
    )
    clean, redacted = redact.redact_messages(normal, context.settings.redaction, context.key)
    clean = clean.with_columns(accounts.count_reactions(stored, context.people))
    store = MessageStore(context.folder, ())
    clean.select(COLUMNS).write_ipc(store.path(batch.number))
    split = context.settings.split
    if split.validation or split.test:
        splits.shingles(clean["text"]).write_ipc(store.runs_path(batch.number))
    thread, threads = _number_threads(clean)
    persons = pl.DataFrame({"person": context.persons}, schema={"person": pl.String})
    numbers = persons.with_row_index("number")
    rows = clean.select(
        *("kind", "is_bot", "sent_at", "position", "person", "reply_to"),
        *("source", "channel_id", pl.col("characters").cast(pl.UInt32)),
        *("zone_assumed", pl.col("export").hash()),
        made_id=pl.col("id").str.starts_with(MADE_ID),
        said=stored.select(double_exports.said_expr()).to_series(),
    ).join(numbers, on="person", how="left", maintain_order="left")
    rows = rows.select(
        pl.col("kind").cast(pl.Enum(KINDS)),
        *("is_bot", "sent_at", "position", "characters"),
        *("export", "said", "made_id", "zone_assumed"),
        thread=thread,
        person="number",
        reply_to=pl.when(pl.col("reply_to").is_not_null()).then(
            pl.struct("source", "channel_id", "reply_to").hash()
        ),
        long=splits.is_long(clean["text"]),
    )
    told = quality.goodbye_features(clean, context.rules)
    return BatchFeatures(
        rows.hstack(features.rows).hstack(told), threads, features.long_texts, redacted
    )


def _number_threads(messages: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """Number the threads; return the number of each message's thread, and the threads."""
    run = messages.select(pl.struct(CHANNEL_KEY).rle_id()).to_series()
    firsts = messages.select(list(PLACE)).filter(run.diff().fill_null(1) != 0)
    threads = firsts.unique(CHANNEL_KEY, keep="first", maintain_order=True)
    numbers = firsts.join(
        threads.select(CHANNEL_KEY).with_row_index("number"),
        on=CHANNEL_KEY,
        nulls_equal=True,
        maintain_order="left",
    )
    return numbers["number"].gather(run), threads
