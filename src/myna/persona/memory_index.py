"""The index of past chats that memory looks into: prepared/memory.sqlite.

It holds the turns of the train split, as `myna prepare` made them (redacted, names hidden,
by consent), who was in which place from when to when, and what the turns of personas, with
what was said before them, can be found by: their words, and their vectors where there is a
model for those. Tune and test are never in it.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from myna.messages import CHANNEL_KEY
from myna.persona.embeddings import Embedder

VERSION = 2
BEFORE = 2
"""Turns of an exchange before the persona's."""
AT_ONCE = 512
"""Exchanges whose vectors stand in one row."""

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


def holds(path: Path, made_from: str, embedder: str | None) -> bool:
    """Whether there is an index, of these chats and with this model's vectors."""
    if not path.exists():
        return False
    found = sqlite3.connect(path)
    try:
        about = found.execute("SELECT * FROM about").fetchone()
        return bool(about == (made_from, VERSION, embedder))
    except sqlite3.Error:
        return False
    finally:
        found.close()


def write(
    messages: pl.DataFrame, path: Path, made_from: str = "", embedder: Embedder | None = None
) -> None:
    """Write the index of prepared messages, whole or not at all."""
    turns, members = _turns(messages)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    os.close(handle)
    try:
        made = sqlite3.connect(temporary, isolation_level=None)
        try:
            made.execute("PRAGMA journal_mode = OFF")
            made.execute("PRAGMA synchronous = OFF")
            made.executescript(_SCHEMA)
            made.execute("BEGIN")
            about = made_from, VERSION, embedder.id if embedder else None
            made.execute("INSERT INTO about VALUES (?, ?, ?)", about)
            made.executemany("INSERT INTO members VALUES (?, ?, ?, ?)", members.iter_rows())
            made.executemany(
                "INSERT INTO turns VALUES (?, ?, ?, ?, ?, ?, ?)",
                turns.select(
                    "id", "conversation", "place", "person", "text", "first", "last"
                ).iter_rows(),
            )
            replies = turns.filter("trained").select("id", "person", "place", "before", "text")
            made.executemany(
                "INSERT INTO said (rowid, before, reply) VALUES (?, ?, ?)",
                (
                    (number, searchable(before), searchable(reply))
                    for number, _, _, before, reply in replies.iter_rows()
                ),
            )
            if embedder:
                made.executemany(
                    "INSERT INTO vectors VALUES (?, ?, ?, ?)", _vectors(replies, embedder)
                )
            made.execute("COMMIT")
        finally:
            made.close()
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _vectors(replies: pl.DataFrame, embedder: Embedder) -> Iterator[tuple[str, int, bytes, bytes]]:
    """The rows of `vectors`: what was said before each reply, and the reply."""
    for (person, place), rows in replies.group_by("person", "place", maintain_order=True):
        for some in rows.iter_slices(AT_ONCE):
            texts = pl.concat_str("before", "text", separator="\n").str.strip_chars()
            found = embedder.embed(some.select(texts).to_series().to_list())
            numbers = some["id"].to_numpy().astype("<i8")
            yield str(person), int(str(place)), numbers.tobytes(), found.astype("<f2").tobytes()


def _turns(messages: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The turns of the train split, and who was in which place from when to when."""
    rows = messages.filter(pl.col("split") == "train").with_row_index("row")
    place = pl.struct(CHANNEL_KEY).rank("dense")
    rows = rows.with_columns(place=place.cast(pl.Int64)).with_columns(
        at=pl.when(pl.col("sent_at").is_null().any().over("place"))
        .then(pl.col("row").cast(pl.Int64))
        .otherwise(pl.col("sent_at").dt.epoch("us"))
    )
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
        for back in range(BEFORE, 0, -1)
    ]
    members = rows.group_by("place", "person").agg(
        pl.col("at").min().alias("first"), pl.col("at").max().alias("last")
    )
    return turns.with_columns(before=pl.concat_str(earlier, separator="\n")), members


def searchable(text: str) -> str:
    """A text whose words can be found: scripts without blanks are cut into pairs."""
    return _RUN.sub(lambda run: f" {' '.join(_pairs(run[0]))} ", text)


def _pairs(run: str) -> Iterable[str]:
    return (run[at : at + 2] for at in range(max(len(run) - 1, 1)))
