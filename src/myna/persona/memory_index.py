"""The index of past chats that memory searches: prepared/memory.sqlite.

It holds the turns of the train split, as `myna prepare` made them (redacted, names hidden,
by consent), and the time that each person was in each channel. The turns of personas can be
found, with the turns before them, by words, and by vectors if there is an embedding model.
The splits validation and test are never in it. Its tables call a channel or thread `place`.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from myna.leftovers import temporary_file
from myna.messages import CHANNEL_KEY
from myna.persona.embeddings import Embedder

VERSION = 2
CONTEXT_TURNS = 2
"""Turns of an exchange before the persona's."""
VECTORS_PER_ROW = 512

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_RUN = re.compile(f"[{_UNSPACED}]+")

_SCHEMA = """
CREATE TABLE about (made_from TEXT NOT NULL, version INTEGER NOT NULL, embedder TEXT) STRICT;
CREATE TABLE members (place INTEGER, person TEXT, first INTEGER, last INTEGER) STRICT;
CREATE TABLE turns (
  id INTEGER PRIMARY KEY,
  conversation INTEGER NOT NULL,
  place INTEGER NOT NULL,
  person TEXT NOT NULL,
  text TEXT NOT NULL,
  first INTEGER NOT NULL,  -- when, in microseconds, or in messages where there is no time
  last INTEGER NOT NULL
) STRICT;
CREATE VIRTUAL TABLE said USING fts5(before, reply, content='', tokenize='unicode61');
CREATE VIRTUAL TABLE words USING fts5vocab(said, 'row');
CREATE TABLE vectors (
  person TEXT NOT NULL,
  place INTEGER NOT NULL,
  turns BLOB NOT NULL,   -- int64, little-endian
  vectors BLOB NOT NULL  -- float16, little-endian: a row for each turn
) STRICT;
CREATE INDEX vectors_of ON vectors (person, place);
"""


MESSAGE_TIME = (
    pl.when(pl.col("sent_at").is_null().any().over(CHANNEL_KEY))
    .then(pl.col("row").cast(pl.Int64))
    .otherwise(pl.col("sent_at").dt.epoch("us"))
)
"""A message's time in microseconds; its number (`row`) in channels where times are missing."""


def is_current(path: Path, made_from: str, embedder: str | None) -> bool:
    """Check that there is an index of these chats, with this embedding model's vectors."""
    if not path.exists():
        return False
    index = sqlite3.connect(path)
    try:
        about = index.execute("SELECT * FROM about").fetchone()
        return bool(about == (made_from, VERSION, embedder))
    except sqlite3.Error:
        return False
    finally:
        index.close()


def write(
    messages: pl.DataFrame, path: Path, made_from: str = "", embedder: Embedder | None = None
) -> None:
    """Write the index of prepared messages, whole or not at all."""
    turns, members = _turns(messages)
    with temporary_file(path) as temporary:
        index = sqlite3.connect(temporary, isolation_level=None)
        try:
            index.execute("PRAGMA journal_mode = OFF")
            index.execute("PRAGMA synchronous = OFF")
            index.executescript(_SCHEMA)
            index.execute("BEGIN")
            about = made_from, VERSION, embedder.id if embedder else None
            index.execute("INSERT INTO about VALUES (?, ?, ?)", about)
            index.executemany("INSERT INTO members VALUES (?, ?, ?, ?)", members.iter_rows())
            index.executemany(
                "INSERT INTO turns VALUES (?, ?, ?, ?, ?, ?, ?)",
                turns.select(
                    "id", "conversation", "place", "person", "text", "first", "last"
                ).iter_rows(),
            )
            replies = turns.filter("trained").select("id", "person", "place", "before", "text")
            index.executemany(
                "INSERT INTO said (rowid, before, reply) VALUES (?, ?, ?)",
                (
                    (id_, searchable(before), searchable(reply))
                    for id_, _, _, before, reply in replies.iter_rows()
                ),
            )
            if embedder:
                index.executemany(
                    "INSERT INTO vectors VALUES (?, ?, ?, ?)", _vectors(replies, embedder)
                )
            index.execute("COMMIT")
        finally:
            index.close()
        temporary.replace(path)


def _vectors(replies: pl.DataFrame, embedder: Embedder) -> Iterator[tuple[str, int, bytes, bytes]]:
    """The rows of the table `vectors`: one vector for each turn and the turns before it."""
    texts = pl.concat_str("before", "text", separator="\n").str.strip_chars()
    for (person, channel), rows in replies.group_by("person", "place", maintain_order=True):
        for batch in rows.iter_slices(VECTORS_PER_ROW):
            vectors = embedder.embed(batch.select(texts).to_series().to_list()).astype("<f2")
            ids = batch["id"].to_numpy().astype("<i8")
            yield str(person), int(str(channel)), ids.tobytes(), vectors.tobytes()


def _turns(messages: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The turns of the train split, and the first and last time of each person in each channel."""
    rows = messages.filter(pl.col("split") == "train").with_row_index("row")
    channel = pl.struct(CHANNEL_KEY).rank("dense")
    rows = rows.with_columns(MESSAGE_TIME.alias("at"), place=channel.cast(pl.Int64))
    turns = (
        rows.sort("conversation", maintain_order=True)
        .with_columns(id=pl.struct("conversation", "person").rle_id().cast(pl.Int64))
        .group_by("id", maintain_order=True)
        .agg(
            pl.first("conversation", "place", "person"),
            pl.col("text").filter(pl.col("text") != "").str.join("\n"),
            pl.col("trained").any(),
            pl.col("at").min().alias("first"),
            pl.col("at").max().alias("last"),
        )
    )
    earlier = [
        pl.when(pl.col("conversation").shift(back) == pl.col("conversation"))
        .then(pl.col("text").shift(back))
        .fill_null("")
        for back in range(CONTEXT_TURNS, 0, -1)
    ]
    members = rows.group_by("place", "person").agg(
        pl.col("at").min().alias("first"), pl.col("at").max().alias("last")
    )
    return turns.with_columns(before=pl.concat_str(earlier, separator="\n")), members


def searchable(text: str) -> str:
    """A text for full-text search: scripts without blanks are cut into pairs of characters."""
    return _RUN.sub(lambda run: f" {' '.join(_pairs(run[0]))} ", text)


def _pairs(run: str) -> Iterable[str]:
    return (run[i : i + 2] for i in range(max(len(run) - 1, 1)))
