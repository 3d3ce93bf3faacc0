"""Memory of past chats: the persona's own exchanges that are most like the moment.

An exchange is a turn of theirs and what was said just before it, out of the train split of
what `myna prepare` made (redacted, names hidden, by consent); tune and test are never in
it. SQLite's full-text search finds those that share rare words with what was just said.
The index lies beside the chats, prepared/memory.sqlite, and is made anew when they are.

What is recalled may be said aloud, so it comes only from places where everybody who can
read the room was at the time: they spoke there before it, or in it, and after it.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import tempfile
import threading
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from myna import people as people_
from myna import workspace
from myna.errors import PeopleError, WorkspaceError
from myna.messages import PLACE
from myna.persona.room import Line
from myna.workspace import Workspace

VERSION = 1
OWNER: Literal["owner"] = "owner"
"""The audience of a room that nobody but the owner of the workspace reads, such as one in
their own terminal: every chat in the workspace is theirs anyway."""

Audience = Collection[str] | Literal["owner"]
"""Who can read a room: names of people.toml, or accounts (`discord:1234`, surer than names,
which anybody can take); `OWNER` for the owner of the workspace alone.

Nobody of a name or account that people.toml does not have was anywhere, so a single
stranger keeps memory silent. So does an audience of nobody: it is not known."""

BEFORE = 2
"""Turns of an exchange before the persona's."""
LOOKED_AT = 3
"""Lines of the moment whose words are looked for."""
MOST_WORDS = 12
"""Words looked for: the rarest."""
COMMON = 0.02
"""Share of all exchanges in which a word is too common to tell anything."""
FEW = 10
"""Exchanges that a word may always be in."""
CANDIDATES = 50
LONGEST = 400
"""Characters of a turn that is recalled; longer ones are stories, not answers."""

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_RUN = re.compile(f"[{_UNSPACED}]+")
_WORD = re.compile(r"\w+")

_SCHEMA = """
CREATE TABLE about (made_from TEXT NOT NULL, version INTEGER NOT NULL) STRICT;
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
"""


@dataclass(frozen=True)
class Exchange:
    """What a persona said once, and what was said before."""

    turn: int
    lines: tuple[Line, ...]
    """The persona's own turn is the last."""
    score: float
    """By bm25; higher is more like the moment."""


class Memory:
    """The index of a workspace's past chats; may be used from several threads.

    `people` is asked each time for who is who and who consents.
    """

    def __init__(self, path: Path, people: Callable[[], people_.People]) -> None:
        self.path = path
        self._people = people
        self._lock = threading.Lock()
        self._index = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False
        )
        self._size = int(self._index.execute("SELECT count(*) FROM turns").fetchone()[0])

    def close(self) -> None:
        """Close the index."""
        with self._lock:
            self._index.close()

    def recall(
        self,
        person: str,
        moment: Sequence[Line],
        audience: Audience | None,
        *,
        most: int,
        tokens: int,
        count: Callable[[str], int],
    ) -> list[Line]:
        """Lines of `person`'s past chats that are most like the moment, the best exchange last.

        Args:
            person: whose memory.
            moment: what was said in the room, the newest last.
            audience: who can read the room; None, or nobody: not known, so nothing comes.
            most: exchanges at most.
            tokens: all of them take at most so many.
            count: the tokens of a text.
        """
        chosen: list[Exchange] = []
        left = tokens
        known = {_plain(line.text) for line in moment}
        for exchange in self.exchanges(person, moment, audience):
            reply = _plain(exchange.lines[-1].text)
            if len(chosen) == most or reply in known:
                continue
            cost = sum(count(f"{line.person}: {line.text}\n") for line in exchange.lines)
            if cost <= left and all(abs(exchange.turn - c.turn) > BEFORE for c in chosen):
                known.add(reply)
                left -= cost
                chosen.append(exchange)
        return [line for exchange in reversed(chosen) for line in exchange.lines]

    def exchanges(
        self, person: str, moment: Sequence[Line], audience: Audience | None
    ) -> list[Exchange]:
        """The exchanges that `recall` chooses from, those most like the moment first."""
        if not audience or not self.path.exists():
            return []
        people = self._people()
        with self._lock:
            allowed = self._places(people, audience)
            query = self._query(moment) if allowed is None or allowed else ""
            if not query:
                return []
            found = self._index.execute(
                "SELECT turns.id, bm25(said, 1.0, 0.5) AS distance FROM said "
                "JOIN turns ON turns.id = said.rowid "
                "WHERE said MATCH ? AND turns.person = ? "
                "AND (? OR turns.place IN (SELECT value FROM json_each(?))) "
                "ORDER BY distance LIMIT ?",
                (query, person, allowed is None, json.dumps(list(allowed or ())), CANDIDATES),
            ).fetchall()
            willing = {p.shown for p in people.persons if p.consent != "no"}
            exchanges = (self._exchange(turn, -far, allowed, willing) for turn, far in found)
            return [exchange for exchange in exchanges if exchange]

    def _places(
        self, people: people_.People, audience: Audience
    ) -> dict[int, tuple[int, int]] | None:
        """Where all of the audience were, and from when to when; None for everywhere."""
        if audience == OWNER:
            return None
        known: dict[str, str] = {}
        for person in people.persons:
            for name in (person.name, person.shown, *person.accounts):
                known[name] = person.shown
        shown = {known.get(name) for name in audience}
        if None in shown:
            return {}
        rows = self._index.execute(
            "SELECT place, max(first), min(last) FROM members "
            "WHERE person IN (SELECT value FROM json_each(?)) GROUP BY place HAVING count(*) = ?",
            (json.dumps(sorted(filter(None, shown))), len(shown)),
        )
        return {place: (first, last) for place, first, last in rows}

    def _query(self, moment: Sequence[Line]) -> str:
        """What to look for: the rarest words of the last lines."""
        heard = {
            word: None
            for line in reversed(moment[-LOOKED_AT:])
            for word in _WORD.findall(searchable(line.text))
        }
        counted = []
        for word in list(heard)[: 8 * MOST_WORDS]:
            # The index keeps the accents of some scripts.
            row = self._index.execute(
                "SELECT max(doc) FROM words WHERE term IN (?, ?)", (word.lower(), _plain(word))
            )
            found = row.fetchone()[0]
            if found and found <= max(COMMON * self._size, FEW):
                counted.append((found, word))
        return " OR ".join(f'"{word}"' for _, word in sorted(counted)[:MOST_WORDS])

    def _exchange(
        self,
        turn: int,
        score: float,
        allowed: dict[int, tuple[int, int]] | None,
        willing: set[str],
    ) -> Exchange | None:
        """A turn and what was said before it, if all of that may be recalled."""
        rows = self._index.execute(
            "SELECT person, text, place, first, last FROM turns WHERE id BETWEEN ? AND ? "
            "AND conversation = (SELECT conversation FROM turns WHERE id = ?) ORDER BY id",
            (turn - BEFORE, turn, turn),
        ).fetchall()
        for person, text, place, first, last in rows:
            if person not in willing or len(text) > LONGEST:
                return None
            if allowed is not None:
                begin, end = allowed.get(place, (0, -1))
                if not begin <= first <= last <= end:
                    return None
        return Exchange(turn, tuple(Line(person, text) for person, text, *_ in rows), score)


def open_memory(space: Workspace, say: Callable[[str], None] = lambda _: None) -> Memory | None:
    """The memory of a workspace, indexed now if it is not yet; None before `myna prepare`.

    Raises:
        WorkspaceError: the prepared chats are damaged, or the disk is full.
    """
    chats = space.prepared / "messages.parquet"
    if not chats.exists():
        return None
    path = space.prepared / "memory.sqlite"
    made_from = workspace.fingerprint(chats)
    if not _holds(path, made_from):
        say("indexing past chats")
        with workspace.clear_disk_errors(path):
            try:
                index(pl.read_parquet(chats), path, made_from)
            except (pl.exceptions.PolarsError, sqlite3.Error) as error:
                raise WorkspaceError(
                    f"cannot index {chats} ({error}): run `myna prepare --again`"
                ) from error

    def people() -> people_.People:
        try:
            return people_.load(space.people_file)
        except PeopleError:
            return people_.People((), None)  # nobody is known to consent

    return Memory(path, people)


def _holds(path: Path, made_from: str) -> bool:
    """Whether there is an index, and of these chats."""
    if not path.exists():
        return False
    found = sqlite3.connect(path)
    try:
        return bool(found.execute("SELECT * FROM about").fetchone() == (made_from, VERSION))
    except sqlite3.Error:
        return False
    finally:
        found.close()


def index(messages: pl.DataFrame, path: Path, made_from: str = "") -> None:
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
            made.execute("INSERT INTO about VALUES (?, ?)", (made_from, VERSION))
            made.executemany("INSERT INTO members VALUES (?, ?, ?, ?)", members.iter_rows())
            made.executemany(
                "INSERT INTO turns VALUES (?, ?, ?, ?, ?, ?, ?)",
                turns.select(
                    "id", "conversation", "place", "person", "text", "first", "last"
                ).iter_rows(),
            )
            replies = turns.filter("trained").select("id", "before", "text")
            made.executemany(
                "INSERT INTO said (rowid, before, reply) VALUES (?, ?, ?)",
                (
                    (number, searchable(before), searchable(reply))
                    for number, before, reply in replies.iter_rows()
                ),
            )
            made.execute("COMMIT")
        finally:
            made.close()
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _turns(messages: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The turns of the train split, and who was in which place from when to when."""
    rows = messages.filter(pl.col("part") == "train").with_row_index("row")
    place = pl.struct(PLACE).rank("dense")
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


def _plain(text: str) -> str:
    """A text without case and accents, as the index has its words."""
    apart = unicodedata.normalize("NFD", text.casefold())
    return "".join(c for c in apart if not unicodedata.combining(c))
