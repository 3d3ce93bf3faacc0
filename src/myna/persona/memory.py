"""Memory of past chats: the persona's own exchanges that are most like the moment.

An exchange is a turn of theirs and what was said just before it, out of the train split of
what `myna prepare` made (redacted, names hidden, by consent); validation and test are never in
it. SQLite's full-text search finds those that share rare words with what was just said,
and vectors, where there is a model for them (`embeddings`), those that mean the same. The
index lies beside the chats (`memory_index`), and is made anew when they are.

What is recalled may be said aloud, so it comes only from places where everybody who can
read the room was at the time: they spoke there before it, or in it, and after it.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from myna import people as people_
from myna import workspace
from myna.errors import PeopleError, WorkspaceError
from myna.persona.embeddings import Embedder, open_embedder
from myna.persona.memory_index import BEFORE, holds, searchable, write
from myna.persona.prompt import Line
from myna.workspace import Workspace

OWNER: Literal["owner"] = "owner"
"""The audience of a room that nobody but the owner of the workspace reads, such as one in
their own terminal: every chat in the workspace is theirs anyway."""

Audience = Collection[str] | Literal["owner"]
"""Who can read a room: names of people.toml, or accounts (`discord:1234`, surer than names,
which anybody can take); `OWNER` for the owner of the workspace alone.

Nobody of a name or account that people.toml does not have was anywhere, so a single
stranger keeps memory silent. So does an audience of nobody: it is not known."""

LOOKED_AT = 3
"""Lines of the moment that the past is compared with."""
MOST_WORDS = 12
"""Words looked for: the rarest."""
COMMON = 0.02
"""Share of all exchanges in which a word is too common to tell anything."""
FEW = 10
"""Exchanges that a word may always be in."""
CANDIDATES = 50
"""Exchanges that each way of looking finds, at most."""
RANKS = 60
"""The constant of reciprocal rank fusion, as in Cormack, Clarke and Büttcher, "Reciprocal
Rank Fusion Outperforms Condorcet and Individual Rank Learning Methods", SIGIR 2009."""
LONGEST = 400
"""Characters of a turn that is recalled; longer ones are stories, not answers."""

_WORD = re.compile(r"\w+")

_Allowed = dict[int, tuple[int, int]] | None
"""Places, and from when to when all of the audience were there; None: everywhere."""


@dataclass(frozen=True)
class Exchange:
    """What a persona said once, and what was said before."""

    turn: int
    lines: tuple[Line, ...]
    """The persona's own turn is the last."""
    score: float
    """By reciprocal rank fusion; higher is more like the moment."""


class Memory:
    """The index of a workspace's past chats; may be used from several threads.

    `people` is asked each time for who is who and who consents.
    """

    def __init__(
        self, path: Path, people: Callable[[], people_.People], embedder: Embedder | None = None
    ) -> None:
        """`embedder` is the one whose vectors the index has, if it has any."""
        self.path = path
        self._people = people
        self._embedder = embedder
        self._lock = threading.Lock()
        self._index = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False
        )
        self._size = int(self._index.execute("SELECT count(*) FROM turns").fetchone()[0])

    def by_words_alone(self) -> Memory:
        """The same memory without vectors, to compare."""
        return Memory(self.path, self._people)

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
            if allowed == {}:
                return []
            scores: dict[int, float] = defaultdict(float)
            for found in (
                self._by_words(person, moment, allowed),
                self._by_meaning(person, moment, allowed),
            ):
                for rank, turn in enumerate(found, 1):
                    scores[turn] += 1 / (RANKS + rank)
            willing = {p.shown for p in people.persons if p.consent != "no"}
            best = sorted(scores, key=lambda turn: -scores[turn])
            exchanges = (self._exchange(turn, scores[turn], allowed, willing) for turn in best)
            return [exchange for exchange in exchanges if exchange]

    def _by_words(self, person: str, moment: Sequence[Line], allowed: _Allowed) -> list[int]:
        """Turns before which, or in which, rare words of the moment were said, best first."""
        query = self._query(moment)
        if not query:
            return []
        found = self._index.execute(
            "SELECT turns.id FROM said JOIN turns ON turns.id = said.rowid "
            "WHERE said MATCH ? AND turns.person = ? "
            "AND (? OR turns.place IN (SELECT value FROM json_each(?))) "
            "ORDER BY bm25(said, 1.0, 0.5) LIMIT ?",
            (query, person, *_places_in(allowed), CANDIDATES),
        )
        return [turn for (turn,) in found]

    def _by_meaning(self, person: str, moment: Sequence[Line], allowed: _Allowed) -> list[int]:
        """Turns whose vectors are nearest to the moment's, the nearest first."""
        if self._embedder is None:
            return []
        import numpy as np

        heard = "\n".join(line.text for line in moment[-LOOKED_AT:])
        [asked] = self._embedder.embed([heard])
        rows = self._index.execute(
            "SELECT turns, vectors FROM vectors WHERE person = ? "
            "AND (? OR place IN (SELECT value FROM json_each(?)))",
            (person, *_places_in(allowed)),
        )
        best: list[tuple[float, int]] = []
        for turns, vectors in rows:
            each = np.frombuffer(vectors, "<f2").reshape(-1, len(asked)).astype(np.float32)
            near = each @ asked
            numbers = np.frombuffer(turns, "<i8")
            best += [(float(near[at]), int(numbers[at])) for at in np.argsort(-near)[:CANDIDATES]]
            best = sorted(best, reverse=True)[:CANDIDATES]
        return [turn for nearness, turn in best if nearness > 0]

    def _places(self, people: people_.People, audience: Audience) -> _Allowed:
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
        allowed: _Allowed,
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


def _places_in(allowed: _Allowed) -> tuple[bool, str]:
    """What a query takes: whether any place will do, and else which ones."""
    return allowed is None, json.dumps(list(allowed or ()))


def open_memory(
    space: Workspace, embeddings: str = "", say: Callable[[str], None] = lambda _: None
) -> Memory | None:
    """The memory of a workspace, indexed now if it is not yet; None before `myna prepare`.

    `embeddings` names the model that finds what means the same; "" looks for words alone.

    Raises:
        WorkspaceError: the prepared chats are damaged, or the disk is full.
        EngineError, ModelError: as `embeddings.open_embedder`.
    """
    chats = space.prepared / "messages.parquet"
    if not chats.exists():
        return None
    embedder = open_embedder(embeddings) if embeddings else None
    path = space.prepared / "memory.sqlite"
    made_from = workspace.fingerprint(chats)
    if not holds(path, made_from, embedder.id if embedder else None):
        say("indexing past chats")
        with workspace.explain_disk_errors(path):
            try:
                write(pl.read_parquet(chats), path, made_from, embedder)
            except (pl.exceptions.PolarsError, sqlite3.Error) as error:
                raise WorkspaceError(
                    f"cannot index {chats} ({error}): run `myna prepare --force`"
                ) from error

    def people() -> people_.People:
        try:
            return people_.load(space.people_file)
        except PeopleError:
            return people_.People((), None)  # nobody is known to consent

    return Memory(path, people, embedder)


def _plain(text: str) -> str:
    """A text without case and accents, as the index has its words."""
    apart = unicodedata.normalize("NFD", text.casefold())
    return "".join(c for c in apart if not unicodedata.combining(c))
