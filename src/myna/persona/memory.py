"""Memory of past chats: a persona's own exchanges that are most like the latest messages.

An exchange is a turn of theirs and the turns just before it, from the train split that
`myna prepare` made (redacted, names hidden, by consent); validation and test are never in
it. SQLite's full-text search finds exchanges that share rare words with the latest messages;
an embedding model (`embeddings`), where there is one, finds those of the same meaning. The
index (`memory_index`) is rebuilt when the chats are.

The persona may repeat what is recalled, so it comes only from channels where everybody who
can read the room was at the time: they spoke there before it, or in it, and after it.
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
from myna.errors import PeopleError, WorkspaceError
from myna.persona.embeddings import Embedder, open_embedder
from myna.persona.memory_index import CONTEXT_TURNS, is_current, searchable, write
from myna.persona.prompt import PromptMessage
from myna.workspace import Workspace, explain_disk_errors, fingerprint

OWNER: Literal["owner"] = "owner"
"""The audience of a room that only the owner of the workspace reads, such as one in their
own terminal: every chat in the workspace is theirs anyway."""

Audience = Collection[str] | Literal["owner"]
"""Those who can read a room: names of people.toml, or accounts (`discord:1234`, surer than
names, which anybody can take); `OWNER` for the owner of the workspace alone.

With a single name or account that people.toml does not have, nothing is recalled; nor with
an empty audience, as it is unknown."""

QUERY_MESSAGES = 3
"""The latest messages, which the past is compared with."""
MAX_QUERY_WORDS = 12
"""The rarest words of these messages, which are searched."""
MAX_WORD_SHARE = 0.02
"""Words in a larger share of all exchanges are too common to be searched."""
MIN_WORD_LIMIT = 10
"""Words in at most so many exchanges are searched, whatever their share."""
CANDIDATES = 50
"""The most exchanges that each search finds."""
FUSION_CONSTANT = 60
"""k of reciprocal rank fusion, as in Cormack, Clarke and Büttcher, "Reciprocal
Rank Fusion Outperforms Condorcet and Individual Rank Learning Methods", SIGIR 2009."""
MAX_TURN_CHARS = 400
"""The longest turn that is recalled, in characters; longer ones are stories, not answers."""

_WORD = re.compile(r"\w+")

_Allowed = dict[int, tuple[int, int]] | None
"""By channel, the first and last time that all of the audience were there; None: any."""


@dataclass(frozen=True)
class Exchange:
    """A turn of a persona, and the turns before it."""

    turn: int
    messages: tuple[PromptMessage, ...]
    """The persona's own turn is the last."""
    score: float
    """By reciprocal rank fusion; higher is more alike."""


class Memory:
    """The index of a workspace's past chats; may be used from several threads.

    `people` is called each time for names, accounts and consent.
    """

    def __init__(
        self, path: Path, people: Callable[[], people_.People], embedder: Embedder | None = None
    ) -> None:
        """`embedder` is the model whose vectors the index has, if it has any."""
        self.path = path
        self._people = people
        self._embedder = embedder
        self._lock = threading.Lock()
        self._index = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False
        )
        self._size = int(self._index.execute("SELECT count(*) FROM turns").fetchone()[0])

    def without_embeddings(self) -> Memory:
        """The same memory with full-text search alone, to compare."""
        return Memory(self.path, self._people)

    def close(self) -> None:
        """Close the index."""
        with self._lock:
            self._index.close()

    def recall(
        self,
        person: str,
        history: Sequence[PromptMessage],
        audience: Audience | None,
        *,
        max_exchanges: int,
        max_tokens: int,
        count: Callable[[str], int],
    ) -> list[PromptMessage]:
        """Messages of `person`'s past chats that are most like the latest, the best last.

        Args:
            person: the persona who recalls.
            history: messages in the room, the newest last.
            audience: those who can read the room; None, or empty: unknown, so nothing comes.
            max_exchanges: of which the messages are.
            max_tokens: of all these messages together.
            count: the number of tokens of a text.
        """
        chosen: list[Exchange] = []
        tokens_left = max_tokens
        seen = {_folded(message.text) for message in history}
        for exchange in self.exchanges(person, history, audience):
            text = _folded(exchange.messages[-1].text)
            if len(chosen) == max_exchanges or text in seen:
                continue
            cost = sum(count(f"{m.person}: {m.text}\n") for m in exchange.messages)
            is_near = any(abs(exchange.turn - c.turn) <= CONTEXT_TURNS for c in chosen)
            if cost <= tokens_left and not is_near:
                seen.add(text)
                tokens_left -= cost
                chosen.append(exchange)
        return [message for exchange in reversed(chosen) for message in exchange.messages]

    def exchanges(
        self, person: str, history: Sequence[PromptMessage], audience: Audience | None
    ) -> list[Exchange]:
        """The exchanges that `recall` chooses from, those most like the latest messages first."""
        if not audience or not self.path.exists():
            return []
        people = self._people()
        with self._lock:
            allowed = self._allowed(people, audience)
            if allowed == {}:
                return []
            scores: dict[int, float] = defaultdict(float)
            for search in (self._by_words, self._by_meaning):
                for rank, turn in enumerate(search(person, history, allowed), 1):
                    scores[turn] += 1 / (FUSION_CONSTANT + rank)
            consenting = {p.display_name for p in people.persons if p.consent != "no"}
            best = sorted(scores, key=lambda turn: -scores[turn])
            exchanges = (self._exchange(turn, scores[turn], allowed, consenting) for turn in best)
            return [exchange for exchange in exchanges if exchange]

    def _by_words(
        self, person: str, history: Sequence[PromptMessage], allowed: _Allowed
    ) -> list[int]:
        """Turns that share rare words with the latest messages, or before which such stand.

        The best come first.
        """
        query = self._query(history)
        if not query:
            return []
        turns = self._index.execute(
            "SELECT turns.id FROM said JOIN turns ON turns.id = said.rowid "
            "WHERE said MATCH ? AND turns.person = ? "
            "AND (? OR turns.place IN (SELECT value FROM json_each(?))) "
            "ORDER BY bm25(said, 1.0, 0.5) LIMIT ?",
            (query, person, *_channel_values(allowed), CANDIDATES),
        )
        return [turn for (turn,) in turns]

    def _by_meaning(
        self, person: str, history: Sequence[PromptMessage], allowed: _Allowed
    ) -> list[int]:
        """Turns whose vectors are nearest to the latest messages', the nearest first."""
        if self._embedder is None:
            return []
        import numpy as np

        latest = "\n".join(message.text for message in history[-QUERY_MESSAGES:])
        [query] = self._embedder.embed([latest])
        rows = self._index.execute(
            "SELECT turns, vectors FROM vectors WHERE person = ? "
            "AND (? OR place IN (SELECT value FROM json_each(?)))",
            (person, *_channel_values(allowed)),
        )
        best: list[tuple[float, int]] = []
        for turns, vectors in rows:
            matrix = np.frombuffer(vectors, "<f2").reshape(-1, len(query)).astype(np.float32)
            similarity = matrix @ query
            ids = np.frombuffer(turns, "<i8")
            nearest = np.argsort(-similarity)[:CANDIDATES]
            best += [(float(similarity[i]), int(ids[i])) for i in nearest]
            best = sorted(best, reverse=True)[:CANDIDATES]
        return [turn for similarity, turn in best if similarity > 0]

    def _allowed(self, people: people_.People, audience: Audience) -> _Allowed:
        """The channels that all of the audience were in, and their time there; None for any."""
        present = readers(people, audience)
        if present is None:
            return None
        rows = self._index.execute(
            "SELECT place, max(first), min(last) FROM members "
            "WHERE person IN (SELECT value FROM json_each(?)) GROUP BY place HAVING count(*) = ?",
            (json.dumps(sorted(present)), len(present)),
        )
        return {channel: (first, last) for channel, first, last in rows}

    def _query(self, history: Sequence[PromptMessage]) -> str:
        """A full-text query of the rarest words in the latest messages."""
        words = {
            word: None
            for message in reversed(history[-QUERY_MESSAGES:])
            for word in _WORD.findall(searchable(message.text))
        }
        counted = []
        for word in list(words)[: 8 * MAX_QUERY_WORDS]:
            # The index keeps the accents of some scripts.
            row = self._index.execute(
                "SELECT max(doc) FROM words WHERE term IN (?, ?)", (word.lower(), _folded(word))
            )
            uses = row.fetchone()[0]
            if uses and uses <= max(MAX_WORD_SHARE * self._size, MIN_WORD_LIMIT):
                counted.append((uses, word))
        return " OR ".join(f'"{word}"' for _, word in sorted(counted)[:MAX_QUERY_WORDS])

    def _exchange(
        self, turn: int, score: float, allowed: _Allowed, consenting: set[str]
    ) -> Exchange | None:
        """A turn and the turns before it, if all of them may be recalled."""
        rows = self._index.execute(
            "SELECT person, text, place, first, last FROM turns WHERE id BETWEEN ? AND ? "
            "AND conversation = (SELECT conversation FROM turns WHERE id = ?) ORDER BY id",
            (turn - CONTEXT_TURNS, turn, turn),
        ).fetchall()
        for person, text, channel, first, last in rows:
            if person not in consenting or len(text) > MAX_TURN_CHARS:
                return None
            if allowed is not None:
                begin, end = allowed.get(channel, (0, -1))
                if not begin <= first <= last <= end:
                    return None
        messages = tuple(PromptMessage(person, text) for person, text, *_ in rows)
        return Exchange(turn, messages, score)


def _channel_values(allowed: _Allowed) -> tuple[bool, str]:
    """The values that queries bind: True for any channel, and else the channels as JSON."""
    return allowed is None, json.dumps(list(allowed or ()))


def readers(people: people_.People, audience: Audience | None) -> set[str] | None:
    """The people of an audience by their displayed names; None for the owner alone.

    Empty where the audience is unknown, or one of them is.
    """
    if audience == OWNER:
        return None
    display_names = {
        name: person.display_name
        for person in people.persons
        for name in (person.name, person.display_name, *person.accounts)
    }
    known = {display_names.get(name, "") for name in audience or ()}
    return set() if "" in known else known


def open_memory(
    workspace: Workspace, embeddings: str = "", report: Callable[[str], None] = lambda _: None
) -> Memory | None:
    """Open the memory of a workspace, indexed now if it is not yet; None before `myna prepare`.

    `embeddings` names the embedding model; "" is for full-text search alone.

    Raises:
        WorkspaceError: the prepared chats are damaged, or the disk is full.
        EngineError, ModelError: as `embeddings.open_embedder`.
    """
    chats = workspace.prepared / "messages.parquet"
    if not chats.exists():
        return None
    embedder = open_embedder(embeddings) if embeddings else None
    path = workspace.prepared / "memory.sqlite"
    made_from = fingerprint(chats)
    if not is_current(path, made_from, embedder.id if embedder else None):
        report("indexing past chats")
        with explain_disk_errors(path):
            try:
                write(pl.read_parquet(chats), path, made_from, embedder)
            except (pl.exceptions.PolarsError, sqlite3.Error) as error:
                raise WorkspaceError(
                    f"cannot index {chats} ({error}): run `myna prepare --force`"
                ) from error

    return Memory(path, lambda: people_now(workspace), embedder)


def people_now(workspace: Workspace) -> people_.People:
    """Read people.toml; without the file, nobody consents."""
    try:
        return people_.load(workspace.people_file)
    except PeopleError:
        return people_.People((), None)


def _folded(text: str) -> str:
    """A text without case and accents, as the index has its words."""
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))
