"""Chats for the tests: rows that say only what matters, and text of the nastiest kind."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from myna import messages, people
from myna.cleaning.ledger import Ledger
from myna.config import Redaction, Rules, Settings
from myna.conversations import disentangle_features
from myna.people import People, Person, accounts, sanitize_name
from myna.preparing import clean_batches, message_store, select_messages
from myna.rendering import render
from myna.rendering.render import Segment
from myna.rendering.spec import TRANSCRIPT
from myna.rendering.turns import Turn

START = datetime(2024, 5, 1, 12, tzinfo=UTC)

thorough = settings(max_examples=80, suppress_health_check=list(HealthCheck))
"""For properties that take a fixture, and whose examples take a while."""

PIECES = [
    *("<|im_end|>", "<|im_start|>user\n", "<|endoftext|>", "<empty_output>"),
    *("\n", "\r", "\r\n", "\t", "\0", " ", "  ", "\n\n\n", ":", "\n:"),
    *("\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0"),
    *("\u2028", "\u2029", "\u200b", "\u3000", "\ufeff", "\u180e"),
    *("Buzz:", "Buzz: ", "\nBuzz: hi", "\n Buzz:", "\n  Neil:\n", "\r\nNeil Armstrong: no"),
    *("ok", "10:30", "see https://myna.example/a:b", "👩‍🚀", "e\u0301", "привет", "'s", "won 3-1"),
    "a long line that goes on for more than forty characters: and then on",
]

texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=8).map("".join)
"""Texts that may be typed or stand in an export; also the empty text."""

names = (
    st.sampled_from(["Buzz", "Neil", "Neil Armstrong", "<|im_end|>", "名前", "-", "7", "O'Neil"])
    | st.text(min_size=1, max_size=50)
).map(sanitize_name)


STARTS = {
    "Ana": ["who is coming", "I brought", "never again", "look at"],
    "Ben": ["honestly", "no way", "I would rather have", "ok but"],
    "Cy": ["lol", "where are", "did you see", "soup beats"],
}
THINGS = ["the lake", "soup", "that hill", "two bikes", "the rain", "a tent", "cold tea"]


def walks(messages: int = 160, friends: Sequence[str] = tuple(STARTS)) -> list[dict[str, str]]:
    """Friends planning walks, a message a minute, with a night after every 40: JSON lines."""
    chance = random.Random(5)
    said = []
    minute = 0
    for number in range(messages):
        minute += 1 if number % 40 else 600
        author = chance.choice(friends)
        text = f"{chance.choice(STARTS[author])} {chance.choice(THINGS)}"
        stamp = f"2024-05-{1 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:00Z"
        said.append(
            {"id": str(number), "channel": "walks", "author": author, "text": text,
             "timestamp": stamp}
        )  # fmt: skip
    return said


def table(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """A message table. A row has an author and a text; `at` is in minutes, or None."""
    columns: dict[str, list[Any]] = {
        "source": ["test"] * len(rows),
        "channel": [row.get("channel", "tea") for row in rows],
        "thread": [row.get("thread") for row in rows],
        "id": [str(row.get("id", number)) for number, row in enumerate(rows)],
        "author_id": [row["author"] for row in rows],
        "author": [row["author"] for row in rows],
        "sent_at": [
            None if (at := row.get("at", number)) is None else START + timedelta(minutes=at)
            for number, row in enumerate(rows)
        ],
        "kind": [row.get("kind", "text") for row in rows],
        "text": [row["text"] for row in rows],
        "reply_to": [row.get("reply_to") for row in rows],
        "is_bot": [row.get("bot", False) for row in rows],
        "edited": [row.get("edited", False) for row in rows],
        "attachments": [
            [{"kind": kind, "name": "x"} for kind in row.get("files", ())] for row in rows
        ],
    }
    return messages.table(columns)


def everyone(frame: pl.DataFrame, **consents: people.Consent) -> People:
    """The people of a message table: they may all be cloned, unless said otherwise."""
    found = accounts.add_people(People(), accounts.find_accounts(frame), "clone")
    return People(
        tuple(
            Person(p.name, p.accounts, consents.get(p.name, p.consent), p.is_bot)
            for p in found.persons
        )
    )


def cleaned(
    frame: pl.DataFrame,
    ledger: Ledger | None = None,
    rules: Rules | None = None,
    people: People | None = None,
    batch: int = 1000,
    **consents: Any,
) -> pl.DataFrame:
    """The messages that the rules leave of a table, as `prepare` has them.

    With all columns of the table, person and consent, in its order. Nothing is redacted.
    """
    people = people or everyone(frame, **consents)
    settings = Settings(rules=rules or Rules(), redaction=Redaction(style="off"))
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "table.parquet")
        frame.write_parquet(table)
        context = clean_batches.cleaning_context(
            pl.scan_parquet(table), people, settings, Path(folder)
        )
        empty = message_store.MessageBatch(0, (message_store.TableSlice(table, 0, 0),))
        batches = list(message_store.batches([table], batch)) or [empty]
        stored = message_store.MessageStore(Path(folder), tuple(one.length for one in batches))
        features = select_messages.gather_features(
            clean_batches.clean_batch(context, one) for one in batches
        )
        kept = select_messages.apply_message_rules(features, context, stored, ledger or Ledger())
        numbers = kept["number"]
        told = kept.select("rule", "trained", "characters")
        said = stored.load(numbers, ("text", "mentions"))
    return accounts.assign_persons(frame, people)[numbers].with_columns(*said, *told)


def found(*rows: tuple[str, str] | tuple[str, str, bool]) -> pl.DataFrame:
    """Accounts with the names that they show, as an import finds them."""
    filled = [(*row, False)[:3] for row in rows]
    return pl.DataFrame(filled, schema=["account", "author", "is_bot"], orient="row")


def transcript(header: str, turns: Sequence[Turn], next_person: str | None = None) -> list[Segment]:
    """The segments of turns in a transcript."""
    return render.render_segments(TRANSCRIPT, header, turns, next_person=next_person)


def tea_talk(count: int) -> disentangle_features.MessageArrays:
    """Messages of five people who call each other by name."""
    people = ("Ana", "Ben", "Cleo", "Dan", "Eve")
    rows = (
        {"author": people[n * n % 5], "text": f"{people[n % 5]}: tea {n % 7}?", "at": n // 3}
        for n in range(count)
    )
    return disentangle_features.message_arrays(table(list(rows)))
