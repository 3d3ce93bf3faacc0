"""Reading: what some thousands of stored messages tell by themselves, each batch alone.

They become a part on disk, with normal, redacted texts and stand-ins for names that must
not be read. What judging them beside all others takes are numbers, a few of each message:

id, reply_to     of the message, and of the one that it answers (hashes; or null)
place            where it was said: a number, see `Read.places`
person           who said it: a number, see `Known.persons`
characters       of its text, as its author wrote it
size, leaves, answers, long
what conversations ask of its text
the columns of `cleaning.signs`, and kind, is_bot, sent_at and position
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl

from myna.cleaning import near_duplicates, pseudonyms, redact, rules
from myna.config import Rules, Settings
from myna.config.rules import resolved
from myna.conversations import quality, splits
from myna.messages import KINDS, PLACE
from myna.people import People, accounts
from myna.preparing.message_store import Batch, Parts

COLUMNS = (
    *("source", "space", "channel", "channel_id", "thread", "id", "author_id", "author", "handle"),
    *("sent_at", "kind", "text", "reply_to", "attachments", "mentions", "person"),
)
"""What a part has of messages."""


@dataclass(frozen=True)
class Known:
    """What goes for all batches.

    `persons` are the names of people by their numbers; `key` is what made-up values are made
    with.
    """

    folder: Path
    people: People
    persons: tuple[str, ...]
    hidden: pseudonyms.Hidden | None
    left_out: pl.Expr
    settings: Settings
    rules: Rules
    key: bytes


class Read(NamedTuple):
    """What a batch tells: see above; and its places, long texts and personal data."""

    rows: pl.DataFrame
    places: pl.DataFrame
    long: near_duplicates.Long
    redacted: pl.DataFrame


def known(messages: pl.LazyFrame, people: People, settings: Settings, folder: Path) -> Known:
    """What goes for all batches of messages.

    Raises:
        SettingsError: the filter names what is not there.
    """
    named = ("source", "author_id", "author", "is_bot", "space", "channel", "thread")
    chosen = settings.filter
    by_name = chosen.spaces or chosen.channels or chosen.threads or chosen.people
    there = messages.select(named).unique() if by_name else messages.select(named).head(0)
    assigned = accounts.assign_persons(there.collect(), people)
    return Known(
        folder,
        people,
        tuple(dict.fromkeys(person.display_name for person in people.persons)),
        pseudonyms.hidden(messages, people),
        rules.left_out(assigned, chosen),
        settings,
        resolved(settings.rules),
        redact.secret(settings.redaction),
    )


def read(known: Known, batch: Batch) -> Read:
    """Clean a batch, store it as a part, and tell what there is to tell."""
    stored = accounts.assign_persons(batch.read(), known.people)
    stored = stored.with_columns(left_out=known.left_out)
    normal, signs = rules.look(pseudonyms.hide(stored, known.hidden), known.rules)
    clean, redacted = redact.redacted_with(normal, known.settings.redaction, known.key)
    parts = Parts(known.folder, ())
    clean.select(COLUMNS).write_ipc(parts.path(batch.number))
    split = known.settings.split
    if split.validation or split.test:
        splits.runs(clean["text"]).write_ipc(parts.runs_path(batch.number))
    run, places = _places(clean)
    persons = pl.DataFrame({"person": known.persons}, schema={"person": pl.String})
    numbers = persons.with_row_index("number")
    rows = clean.select(
        *("kind", "is_bot", "sent_at", "position", "person", "reply_to"),
        *("source", "channel_id", pl.col("characters").cast(pl.UInt32)),
    ).join(numbers, on="person", how="left", maintain_order="left")
    rows = rows.select(
        pl.col("kind").cast(pl.Enum(KINDS)),
        *("is_bot", "sent_at", "position", "characters"),
        place=run,
        person="number",
        reply_to=pl.when(pl.col("reply_to").is_not_null()).then(
            pl.struct("source", "channel_id", "reply_to").hash()
        ),
        long=splits.is_long(clean["text"]),
    )
    told = quality.tell(clean, known.rules)
    return Read(rows.hstack(signs.rows).hstack(told), places, signs.long, redacted)


def _places(messages: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """For each message the number of its place, and the places by their numbers."""
    where = messages.select(PLACE)
    run = where.select(pl.struct(PLACE).rle_id()).to_series()
    firsts = where.filter(run.diff().fill_null(1) != 0)
    places = firsts.unique(maintain_order=True)
    numbers = firsts.join(
        places.with_row_index("place"), on=PLACE, nulls_equal=True, maintain_order="left"
    )
    return numbers["place"].gather(run), places
