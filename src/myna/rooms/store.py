# ruff: noqa: S608
# Queries are built from this module's own text alone; values are always bound.
"""The settings and messages of all rooms, in one SQLite file.

Messages stand in the order of their turns: a persona's turn gets its number when it starts,
so messages that others write meanwhile stand after it. Rooms are never trained on.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from myna.errors import RoomError
from myna.messages import normalize_text
from myna.rooms.database import Database

VERSION = 1
MAX_MESSAGE_CHARS = 20_000
"""Longer messages are refused."""
MAX_ID_CHARS = 200
"""Of rooms' ids and messages' keys."""

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
  edited INTEGER NOT NULL DEFAULT 0,
  deleted INTEGER NOT NULL DEFAULT 0,     -- its words are gone, its key is still known
  UNIQUE (room, key)
) STRICT;
CREATE INDEX messages_in_order ON messages (room, turn, id);
"""
_EXISTS = "SELECT 1 FROM rooms WHERE id = ?"
_VALID_ID = f"use 1 to {MAX_ID_CHARS} printable characters"
_COLUMNS = "id, room, turn, person, text, by_clone, said_at, key, addressed, edited"


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
    edited: bool = False


class RoomStore:
    """The settings and messages of all rooms, in the file `path`, created if not there.

    May be used from several threads, and by several processes.

    Raises:
        WorkspaceError: the file is no such database, of a newer myna, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = Database(path, _SCHEMA, VERSION)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def changed_elsewhere(self) -> bool:
        """Check if another process wrote something since the last call."""
        return self._file.changed_elsewhere()

    def room_ids(self) -> list[str]:
        """The ids of all rooms, the oldest first."""
        return [row[0] for row in self._file.all("SELECT id FROM rooms ORDER BY rowid")]

    def settings(self, room_id: str) -> dict[str, Any] | None:
        """A room's settings, or None if there is no such room."""
        row = self._file.one("SELECT settings FROM rooms WHERE id = ?", room_id)
        return json.loads(row[0]) if row else None

    def save_settings(self, room_id: str, settings: Mapping[str, Any]) -> None:
        """Create a room, or replace its settings.

        Raises:
            RoomError: the id is empty, too long or not printable.
        """
        if not _is_id(room_id):
            raise RoomError(f"{room_id[:40]!r} cannot be a room's id: {_VALID_ID}")
        with self._file.change():
            self._file.all(
                "INSERT INTO rooms (id, settings, made_at) VALUES (?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET settings = excluded.settings",
                room_id,
                json.dumps(settings),
                _now(),
            )

    def drop(self, room_id: str) -> bool:
        """Erase a room with its messages; False if there is no such room."""
        with self._file.change():
            erased = self._file.all("DELETE FROM rooms WHERE id = ? RETURNING 1", room_id)
        self._file.overwrite()
        return bool(erased)

    def begin_turn(self, room_id: str) -> int:
        """Number a new turn; messages of later turns stand after it.

        Raises:
            RoomError: there is no such room.
        """
        with self._file.change():
            row = self._file.one(
                "UPDATE rooms SET turns = turns + 1 WHERE id = ? RETURNING turns", room_id
            )
        return _of_room(row, room_id)

    def add(
        self,
        room_id: str,
        person: str,
        text: str,
        *,
        by_clone: bool = False,
        turn: int | None = None,
        key: str | None = None,
        to: Sequence[str] = (),
    ) -> Message | None:
        """Store a message, in a new turn unless `turn` is given.

        Returns:
            The message as stored; None if its key is known already, even of a deleted one.

        Raises:
            RoomError: there is no such room, or the message is empty or too long.
        """
        text = _checked(text)
        if key is not None and not _is_id(key):
            raise RoomError(f"{key[:40]!r} cannot be a message's key: {_VALID_ID}")
        with self._file.change():
            if turn is not None:
                _of_room(self._file.one(_EXISTS, room_id), room_id)
            if key is not None and self._file.one(
                "SELECT 1 FROM messages WHERE room = ? AND key = ?", room_id, key
            ):
                return None
            turn = self.begin_turn(room_id) if turn is None else turn
            row = self._file.one(
                "INSERT INTO messages "
                "(room, turn, person, text, by_clone, said_at, key, addressed) "
                f"VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING {_COLUMNS}",
                *(room_id, turn, person, text, by_clone, _now(), key, json.dumps(list(to))),
            )
        return _message(row)

    def find(self, room_id: str, message: int | str) -> Message | None:
        """A message by its id (int) or its key (str), or None."""
        column = "id" if isinstance(message, int) else "key"
        row = self._file.one(
            f"SELECT {_COLUMNS} FROM messages WHERE room = ? AND {column} = ? AND NOT deleted",
            *(room_id, message),
        )
        return _message(row) if row else None

    def edit(self, room_id: str, message: int | str, text: str) -> Message:
        """Replace a message's text.

        Raises:
            RoomError: there is no such message, or the text is empty or too long.
        """
        text = _checked(text)
        with self._file.change():
            id_ = self._existing(room_id, message).id
            row = self._file.one(
                f"UPDATE messages SET text = ?, edited = 1 WHERE id = ? RETURNING {_COLUMNS}",
                text,
                id_,
            )
        self._file.overwrite()
        return _message(row)

    def delete(self, room_id: str, message: int | str) -> Message:
        """Erase a message's text; returns the message as it was.

        Raises:
            RoomError: there is no such message.
        """
        with self._file.change():
            deleted = self._existing(room_id, message)
            self._erase("id = ?", deleted.id)
        self._file.overwrite()
        return deleted

    def delete_turn(self, room_id: str, turn: int) -> list[Message]:
        """Erase all messages of a turn; returns them as they were."""
        with self._file.change():
            deleted = self._messages("room = ? AND turn = ?", room_id, turn)
            self._erase("room = ? AND turn = ?", room_id, turn)
        self._file.overwrite()
        return deleted

    def erase_person(self, names: Collection[str], only: str | None = None) -> int:
        """Erase all messages by these names, humans or personas, and remove them from all rooms.

        `only` limits this to one room. Returns the number of messages.
        """
        erased = 0
        where = "DELETE FROM messages WHERE person = ? AND room = coalesce(?, room)"
        with self._file.change():
            for name in names:
                erased += len(self._file.all(f"{where} RETURNING 1", name, only))
            for room_id in self.room_ids():
                if only not in (None, room_id):
                    continue
                settings = self.settings(room_id) or {}
                for members in ("humans", "personas"):
                    settings[members] = [n for n in settings.get(members, ()) if n not in names]
                self.save_settings(room_id, settings)
        self._file.overwrite()
        return erased

    def forget(self, room_id: str) -> int:
        """Show no message up to now in prompts; nothing is erased.

        Returns the last turn that prompts do not show.

        Raises:
            RoomError: there is no such room.
        """
        with self._file.change():
            row = self._file.one(
                "UPDATE rooms SET forgotten = turns WHERE id = ? RETURNING forgotten", room_id
            )
        return _of_room(row, room_id)

    def trim(self, room_id: str, first: Message) -> None:
        """Show no message before `first` in prompts."""
        with self._file.change():
            self._file.all(
                "UPDATE rooms SET first_turn = ?, first_id = ? WHERE id = ?",
                *(first.turn, first.id, room_id),
            )

    def messages(self, room_id: str, last: int | None = None) -> list[Message]:
        """All messages of a room in order, or only the `last` ones."""
        return self._messages("room = ?", room_id, last=last)

    def prompt_messages(self, room_id: str) -> list[Message]:
        """The messages that prompts show: since `forget`, and since `trim`."""
        query = "SELECT forgotten, first_turn, first_id FROM rooms WHERE id = ?"
        forgotten, *first = self._file.one(query, room_id) or (0, 0, 0)
        return self._messages(
            "room = ? AND turn > ? AND (turn, id) >= (?, ?)", room_id, forgotten, *first
        )

    def _messages(self, where: str, *values: Any, last: int | None = None) -> list[Message]:
        rows = self._file.all(
            f"SELECT {_COLUMNS} FROM messages WHERE {where} AND NOT deleted "
            "ORDER BY turn DESC, id DESC LIMIT ?",
            *values,
            -1 if last is None else max(last, 0),
        )
        return [_message(row) for row in reversed(rows)]

    def _existing(self, room_id: str, message: int | str) -> Message:
        existing = self.find(room_id, message)
        if existing is None:
            raise RoomError(f"there is no message {message!r} in room {room_id!r}")
        return existing

    def _erase(self, where: str, *values: Any) -> None:
        """Erase messages; rows with a key stay without text, so that the key is still known."""
        self._file.all(f"DELETE FROM messages WHERE {where} AND key IS NULL", *values)
        self._file.all(f"UPDATE messages SET text = '', deleted = 1 WHERE {where}", *values)


def _checked(text: str) -> str:
    """A message's text as it is stored: without control characters.

    Raises:
        RoomError: it is empty or too long.
    """
    text = normalize_text(text)
    if not text:
        raise RoomError("there is nothing in the message: write something")
    if len(text) > MAX_MESSAGE_CHARS:
        raise RoomError(
            f"the message has {len(text):,} characters, and a room takes {MAX_MESSAGE_CHARS:,}: "
            "shorten it"
        )
    return text


def _of_room(row: Sequence[Any] | None, room_id: str) -> int:
    """The number in a row; RoomError if there is no such room."""
    if row is None:
        raise RoomError(f"there is no room {room_id!r}: it was dropped, or never created")
    return int(row[0])


def _is_id(text: str) -> bool:
    return 0 < len(text) <= MAX_ID_CHARS and text.isprintable()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _message(row: Sequence[Any]) -> Message:
    """A message from a row of `_COLUMNS`."""
    id_, room, turn, person, text, by_clone, said_at, key, addressed, edited = row
    at, to = datetime.fromisoformat(said_at), tuple(json.loads(addressed))
    return Message(id_, room, turn, person, text, bool(by_clone), at, key, to, bool(edited))
