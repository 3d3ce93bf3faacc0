# ruff: noqa: S608
# Queries are built from this module's own text alone; values are always bound.
"""The file of all rooms, as it is read: settings, messages, versions of turns, search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from myna.rooms.database import Database

VERSION = 2
_SCHEMA = """
CREATE TABLE rooms (
  id TEXT PRIMARY KEY,
  settings TEXT NOT NULL,
  made_at TEXT NOT NULL,
  turns INTEGER NOT NULL DEFAULT 0,       -- turns started so far
  forgotten INTEGER NOT NULL DEFAULT 0,   -- prompts show what comes after this turn
  first_turn INTEGER NOT NULL DEFAULT 0,  -- and from this message on: older ones
  first_id INTEGER NOT NULL DEFAULT 0     -- were trimmed
) STRICT;
CREATE TABLE messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  room TEXT NOT NULL REFERENCES rooms(id) ON DELETE CASCADE,
  turn INTEGER NOT NULL,
  person TEXT NOT NULL,
  text TEXT NOT NULL,
  by_clone INTEGER NOT NULL,
  said_at TEXT NOT NULL,
  key TEXT,
  addressed TEXT NOT NULL,                -- JSON: the names that it is for
  edited INTEGER NOT NULL DEFAULT 0,      -- how often
  deleted INTEGER NOT NULL DEFAULT 0,     -- its words are gone, its key is still known
  reply_to INTEGER,                       -- the message that it quotes
  version INTEGER NOT NULL DEFAULT 1,     -- of its turn
  shown INTEGER NOT NULL DEFAULT 1,       -- 0: another version of the turn is shown
  UNIQUE (room, key)
) STRICT;
CREATE INDEX messages_in_order ON messages (room, turn, id);
"""
_UPGRADES = (
    """ALTER TABLE messages ADD COLUMN reply_to INTEGER;
    ALTER TABLE messages ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE messages ADD COLUMN shown INTEGER NOT NULL DEFAULT 1""",
)
COLUMNS = (
    "id, room, turn, person, text, by_clone, said_at, key, addressed, edited, reply_to, version"
)
MAX_FOUND = 100
"""Messages that a search returns at most."""


@dataclass(frozen=True)
class Message:
    """One message in a room."""

    id: int
    """Unique in the file."""
    room: str
    turn: int
    """The messages of one turn of a persona share it; those of humans have one each."""
    person: str
    text: str
    by_clone: bool
    """True for a persona's message, False for a human's."""
    said_at: datetime
    """In UTC."""
    key: str | None = None
    """Its id elsewhere, such as on Discord; unique in its room."""
    to: tuple[str, ...] = ()
    """The personas that it is for, if its author's client says so."""
    revision: int = 0
    """Number of edits."""
    reply_to: int | None = None
    """The id of the message that it quotes."""
    version: int = 1
    """The version of the turn that it belongs to."""


@dataclass(frozen=True)
class RoomSummary:
    """A room as a list of rooms shows it."""

    id: str
    settings: dict[str, Any]
    made_at: datetime
    messages: int
    last: Message | None


class RoomReader:
    """The settings and messages of all rooms, in the file `path`, created if not there.

    May be used from several threads, and by several processes.

    Raises:
        WorkspaceError: the file is no such database, of a newer myna, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = Database(path, _SCHEMA, VERSION, _UPGRADES)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def changed_elsewhere(self) -> bool:
        """Check if another process wrote something since the last call."""
        return self._file.changed_elsewhere()

    def room_ids(self) -> list[str]:
        """The ids of all rooms, the oldest first."""
        return [row[0] for row in self._file.all("SELECT id FROM rooms ORDER BY rowid")]

    def summaries(self) -> list[RoomSummary]:
        """All rooms with their last messages, the one with the newest first."""
        rows = self._file.all(
            "SELECT rooms.id, settings, made_at, count(messages.id), max(messages.id) "
            "FROM rooms LEFT JOIN messages ON room = rooms.id AND NOT deleted AND shown "
            "GROUP BY rooms.id ORDER BY max(messages.id) DESC, made_at DESC"
        )
        last_ids = json.dumps([row[4] for row in rows if row[4] is not None])
        found = self._file.all(
            f"SELECT {COLUMNS} FROM messages WHERE id IN (SELECT value FROM json_each(?))",
            last_ids,
        )
        last = {row[0]: message_of(row) for row in found}
        return [
            RoomSummary(
                id_, json.loads(settings), datetime.fromisoformat(made_at), count, last.get(newest)
            )
            for id_, settings, made_at, count, newest in rows
        ]

    def search(self, words: str, room_id: str | None = None) -> list[Message]:
        """The newest `MAX_FOUND` messages shown with all of these words, in upper or lower case.

        `room_id` limits this to one room.
        """
        wanted = words.casefold().split()
        rows = self._file.all(
            f"SELECT {COLUMNS} FROM messages WHERE room = coalesce(?, room) AND NOT deleted "
            "AND shown ORDER BY id DESC",
            room_id,
        )
        found = (
            row for row in rows if all(word in f"{row[3]} {row[4]}".casefold() for word in wanted)
        )
        return [message_of(row) for row in islice(found, MAX_FOUND if wanted else 0)]

    def settings(self, room_id: str) -> dict[str, Any] | None:
        """A room's settings, or None if there is no such room."""
        row = self._file.one("SELECT settings FROM rooms WHERE id = ?", room_id)
        return json.loads(row[0]) if row else None

    def find(self, room_id: str, message: int | str) -> Message | None:
        """A message by its id (int) or its key (str), or None."""
        column = "id" if isinstance(message, int) else "key"
        row = self._file.one(
            f"SELECT {COLUMNS} FROM messages WHERE room = ? AND {column} = ? "
            "AND NOT deleted AND shown",
            *(room_id, message),
        )
        return message_of(row) if row else None

    def versions(self, room_id: str, turn: int) -> dict[int, list[Message]]:
        """The messages of each version of a turn."""
        versions: dict[int, list[Message]] = {}
        for message in self._messages("room = ? AND turn = ?", room_id, turn):
            versions.setdefault(message.version, []).append(message)
        return versions

    def version_numbers(self, room_id: str) -> dict[int, list[int]]:
        """The versions of each turn that has several."""
        rows = self._file.all(
            "SELECT turn, json_group_array(DISTINCT version) FROM messages "
            "WHERE room = ? AND NOT deleted GROUP BY turn HAVING count(DISTINCT version) > 1",
            room_id,
        )
        return {turn: sorted(json.loads(versions)) for turn, versions in rows}

    def messages(
        self, room_id: str, last: int | None = None, before: Message | None = None
    ) -> list[Message]:
        """All messages of a room that are shown, in order, or only the `last` ones.

        `before` limits this to those that stand before a message.
        """
        where, values = ("", ()) if before is None else (
            " AND (turn, id) < (?, ?)", (before.turn, before.id)
        )  # fmt: skip
        return self._messages(f"room = ? AND shown{where}", room_id, *values, last=last)

    def prompt_messages(self, room_id: str) -> list[Message]:
        """The messages that prompts show: since `forget`, and since `trim`."""
        query = "SELECT forgotten, first_turn, first_id FROM rooms WHERE id = ?"
        forgotten, *first = self._file.one(query, room_id) or (0, 0, 0)
        return self._messages(
            "room = ? AND shown AND turn > ? AND (turn, id) >= (?, ?)", room_id, forgotten, *first
        )

    def _messages(self, where: str, *values: Any, last: int | None = None) -> list[Message]:
        rows = self._file.all(
            f"SELECT {COLUMNS} FROM messages WHERE {where} AND NOT deleted "
            "ORDER BY turn DESC, id DESC LIMIT ?",
            *values,
            -1 if last is None else max(last, 0),
        )
        return [message_of(row) for row in reversed(rows)]


def message_of(row: Sequence[Any]) -> Message:
    """A message from a row of `COLUMNS`."""
    id_, room, turn, person, text, by_clone, said_at, key, addressed, *rest = row
    at, to = datetime.fromisoformat(said_at), tuple(json.loads(addressed))
    return Message(id_, room, turn, person, text, bool(by_clone), at, key, to, *rest)
