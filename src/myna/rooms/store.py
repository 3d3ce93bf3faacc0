# ruff: noqa: S608
# Queries are put together of this module's own words alone; values are always bound.
"""What is said in rooms, in one SQLite file: killed at any time, nothing said is lost.

Rooms have settings (JSON) and messages. Messages stand in the order of their turns: a
persona's turn gets its number when it begins, so what others say meanwhile stands after
it. What is said in rooms is never trained on.
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
LONGEST = 20_000
"""Characters of the longest message; longer ones are refused."""
LONGEST_ID = 200
"""Characters of the longest id of a room, and of the longest key."""

_SCHEMA = """
CREATE TABLE rooms (
  id TEXT PRIMARY KEY,
  settings TEXT NOT NULL,
  made_at TEXT NOT NULL,
  turns INTEGER NOT NULL DEFAULT 0,       -- turns begun so far
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
_AN_ID = f"use 1 to {LONGEST_ID} printable characters"
_COLUMNS = "id, room, turn, person, text, by_clone, said_at, key, addressed, edited"


@dataclass(frozen=True)
class Message:
    """One message in a room."""

    id: int
    """Its number, unique in the file."""
    room: str
    turn: int
    """The messages of one turn of a persona share it; those of humans have one each."""
    person: str
    text: str
    by_clone: bool
    """Whether a persona said it, not a human."""
    said_at: datetime
    """In UTC."""
    key: str | None = None
    """What it is known by elsewhere (on Discord, its id there); unique in its room."""
    to: tuple[str, ...] = ()
    """The names that it was said to, where its author's client told."""
    edited: bool = False


class Histories:
    """All rooms' histories, in the file `path`, which is made if it is not there.

    May be used from several threads, and by several processes.

    Raises:
        WorkspaceError: the file is no such database, of a newer myna, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = Database(path, _SCHEMA, VERSION)

    def close(self) -> None:
        """Close the file; the histories are of no use afterwards."""
        self._file.close()

    def changed_elsewhere(self) -> bool:
        """Whether another process said or changed something since this was asked last."""
        return self._file.changed_elsewhere()

    def rooms(self) -> list[str]:
        """The ids of all rooms, the one made first first."""
        return [row[0] for row in self._file.all("SELECT id FROM rooms ORDER BY rowid")]

    def settings(self, room: str) -> dict[str, Any] | None:
        """A room's settings; None where there is no such room."""
        row = self._file.one("SELECT settings FROM rooms WHERE id = ?", room)
        return json.loads(row[0]) if row else None

    def keep(self, room: str, settings: Mapping[str, Any]) -> None:
        """Make a room, or give it other settings.

        Raises:
            RoomError: the id is empty, too long or not printable.
        """
        if not _is_id(room):
            raise RoomError(f"{room[:40]!r} cannot be a room's id: {_AN_ID}")
        with self._file.change():
            self._file.all(
                "INSERT INTO rooms (id, settings, made_at) VALUES (?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET settings = excluded.settings",
                room,
                json.dumps(settings),
                _now(),
            )

    def drop(self, room: str) -> bool:
        """Erase a room with all that was said in it; False where there is none."""
        with self._file.change():
            erased = self._file.all("DELETE FROM rooms WHERE id = ? RETURNING 1", room)
        self._file.overwrite()
        return bool(erased)

    def begin_turn(self, room: str) -> int:
        """The number of a new turn: what is said in later ones stands after it.

        Raises:
            RoomError: there is no such room.
        """
        with self._file.change():
            row = self._file.one(
                "UPDATE rooms SET turns = turns + 1 WHERE id = ? RETURNING turns", room
            )
        return _of_room(row, room)

    def add(
        self,
        room: str,
        person: str,
        text: str,
        *,
        by_clone: bool = False,
        turn: int | None = None,
        key: str | None = None,
        to: Sequence[str] = (),
    ) -> Message | None:
        """Store a message, in a new turn of its own unless `turn` says which.

        Returns:
            The message as stored; None where its key is known already, even of a message
            that was deleted.

        Raises:
            RoomError: there is no such room, nothing in the message, or too much.
        """
        text = checked(text)
        if key is not None and not _is_id(key):
            raise RoomError(f"{key[:40]!r} cannot be a message's key: {_AN_ID}")
        with self._file.change():
            if turn is not None:
                _of_room(self._file.one(_EXISTS, room), room)
            if key is not None and self._file.one(
                "SELECT 1 FROM messages WHERE room = ? AND key = ?", room, key
            ):
                return None
            at = self.begin_turn(room) if turn is None else turn
            row = self._file.one(
                "INSERT INTO messages "
                "(room, turn, person, text, by_clone, said_at, key, addressed) "
                f"VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING {_COLUMNS}",
                *(room, at, person, text, by_clone, _now(), key, json.dumps(list(to))),
            )
        return _message(row)

    def find(self, room: str, message: int | str) -> Message | None:
        """A message by its id (int) or its key (str); None where there is none any more."""
        column = "id" if isinstance(message, int) else "key"
        row = self._file.one(
            f"SELECT {_COLUMNS} FROM messages WHERE room = ? AND {column} = ? AND NOT deleted",
            *(room, message),
        )
        return _message(row) if row else None

    def edit(self, room: str, message: int | str, text: str) -> Message:
        """Give a message other words.

        Raises:
            RoomError: there is no such message, nothing in the text, or too much.
        """
        text = checked(text)
        with self._file.change():
            found = self._found(room, message)
            row = self._file.one(
                f"UPDATE messages SET text = ?, edited = 1 WHERE id = ? RETURNING {_COLUMNS}",
                text,
                found.id,
            )
        self._file.overwrite()
        return _message(row)

    def delete(self, room: str, message: int | str) -> Message:
        """Erase a message's words; returns the message as it was.

        Raises:
            RoomError: there is no such message.
        """
        with self._file.change():
            found = self._found(room, message)
            self._erase("id = ?", found.id)
        self._file.overwrite()
        return found

    def delete_turn(self, room: str, turn: int) -> list[Message]:
        """Erase all messages of a turn; returns them as they were."""
        with self._file.change():
            found = self._messages("room = ? AND turn = ?", room, turn)
            self._erase("room = ? AND turn = ?", room, turn)
        self._file.overwrite()
        return found

    def erase_person(self, names: Collection[str], only: str | None = None) -> int:
        """Erase what somebody of these names said in all rooms, themselves or as a persona.

        They are in no room any more; with `only`, not in that one. Returns how many messages
        that were.
        """
        erased = 0
        where = "DELETE FROM messages WHERE person = ? AND room = coalesce(?, room)"
        with self._file.change():
            for name in names:
                erased += len(self._file.all(f"{where} RETURNING 1", name, only))
            for room in self.rooms():
                if only not in (None, room):
                    continue
                settings = self.settings(room) or {}
                for who in ("humans", "personas"):
                    settings[who] = [n for n in settings.get(who, ()) if n not in names]
                self.keep(room, settings)
        self._file.overwrite()
        return erased

    def forget(self, room: str) -> int:
        """Let prompts begin after what was said up to now; nothing is erased.

        Returns the last turn that they do not show.

        Raises:
            RoomError: there is no such room.
        """
        with self._file.change():
            row = self._file.one(
                "UPDATE rooms SET forgotten = turns WHERE id = ? RETURNING forgotten", room
            )
        return _of_room(row, room)

    def trim(self, room: str, first: Message) -> None:
        """Let prompts begin with the message `first`: what was before it is too much."""
        with self._file.change():
            self._file.all(
                "UPDATE rooms SET first_turn = ?, first_id = ? WHERE id = ?",
                *(first.turn, first.id, room),
            )

    def messages(self, room: str, last: int | None = None) -> list[Message]:
        """What was said in a room, in order; of a long history only the `last` messages."""
        return self._messages("room = ?", room, last=last)

    def shown(self, room: str) -> list[Message]:
        """The messages that prompts show: since `forget`, and since `trim`."""
        begin = self._file.all(
            "SELECT forgotten, first_turn, first_id FROM rooms WHERE id = ?", room
        )
        forgotten, *first = begin[0] if begin else (0, 0, 0)
        return self._messages(
            "room = ? AND turn > ? AND (turn, id) >= (?, ?)", room, forgotten, *first
        )

    def _messages(self, where: str, *values: Any, last: int | None = None) -> list[Message]:
        rows = self._file.all(
            f"SELECT {_COLUMNS} FROM messages WHERE {where} AND NOT deleted "
            "ORDER BY turn DESC, id DESC LIMIT ?",
            *values,
            -1 if last is None else max(last, 0),
        )
        return [_message(row) for row in reversed(rows)]

    def _found(self, room: str, message: int | str) -> Message:
        found = self.find(room, message)
        if found is None:
            raise RoomError(f"there is no message {message!r} in room {room!r}")
        return found

    def _erase(self, where: str, *values: Any) -> None:
        """Take messages' words; rows with a key stay, so that it is still known."""
        self._file.all(f"DELETE FROM messages WHERE {where} AND key IS NULL", *values)
        self._file.all(f"UPDATE messages SET text = '', deleted = 1 WHERE {where}", *values)


def checked(text: str) -> str:
    """A message's text as it is stored: tidy, not empty and not too long.

    Raises:
        RoomError: it is.
    """
    text = normalize_text(text)
    if not text:
        raise RoomError("there is nothing in the message: say something")
    if len(text) > LONGEST:
        raise RoomError(
            f"the message has {len(text):,} characters, and a room takes {LONGEST:,}: shorten it"
        )
    return text


def _of_room(row: Sequence[Any] | None, room: str) -> int:
    """The one number of a row, if there is that room."""
    if row is None:
        raise RoomError(f"there is no room {room!r}: it was dropped, or never made")
    return int(row[0])


def _is_id(text: str) -> bool:
    return 0 < len(text) <= LONGEST_ID and text.isprintable()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _message(row: Sequence[Any]) -> Message:
    """A message of a row of `_COLUMNS`."""
    number, room, turn, person, text, by_clone, said_at, key, addressed, edited = row
    at, to = datetime.fromisoformat(said_at), tuple(json.loads(addressed))
    return Message(number, room, turn, person, text, bool(by_clone), at, key, to, bool(edited))
