# ruff: noqa: S608
# Queries are built from this module's own text alone; values are always bound.
"""The settings and messages of all rooms, in one SQLite file.

Messages stand in the order of their turns: a persona's turn gets its number when it starts,
so messages that others write meanwhile stand after it. A turn may have several versions: one
is shown, the others are kept. Rooms are never trained on.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from myna.errors import EditConflictError, RoomError
from myna.messages import normalize_text
from myna.rooms.reader import COLUMNS, Message, RoomReader, RoomSummary, message_of

__all__ = ["MAX_ID_CHARS", "MAX_MESSAGE_CHARS", "Message", "RoomStore", "RoomSummary"]

MAX_MESSAGE_CHARS = 20_000
"""Longer messages are refused."""
MAX_ID_CHARS = 200
"""Of rooms' ids and messages' keys."""

_EXISTS = "SELECT 1 FROM rooms WHERE id = ?"
_VALID_ID = f"use 1 to {MAX_ID_CHARS} printable characters"


class RoomStore(RoomReader):
    """The settings and messages of all rooms, which it changes; see `RoomReader`."""

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

    def branch(self, room_id: str, new_id: str, last: Message) -> None:
        """Copy what is shown of a room, up to a message, into another that is empty.

        Turns keep their numbers, quotes lead to the copies, and nothing is known by its key.
        """
        copies: dict[int, int] = {}
        with self._file.change():
            for message in self._messages(
                "room = ? AND shown AND (turn, id) <= (?, ?)", room_id, last.turn, last.id
            ):
                row = self._file.one(
                    "INSERT INTO messages (room, turn, person, text, by_clone, said_at, addressed, "
                    "reply_to) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                    *(new_id, message.turn, message.person, message.text, message.by_clone),
                    *(message.said_at.isoformat(timespec="milliseconds"),),
                    *(json.dumps(message.to), copies.get(message.reply_to or 0)),
                )
                copies[message.id] = row[0]
            self._file.all(
                "UPDATE rooms SET turns = ?, forgotten = "
                "(SELECT forgotten FROM rooms WHERE id = ?) WHERE id = ?",
                *(last.turn, room_id, new_id),
            )

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
        reply_to: int | None = None,
        version: int = 1,
    ) -> Message | None:
        """Store a message, in a new turn unless `turn` and its `version` are given.

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
                "(room, turn, person, text, by_clone, said_at, key, addressed, reply_to, version) "
                f"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING {COLUMNS}",
                *(room_id, turn, person, text, by_clone, _now(), key, json.dumps(list(to))),
                *(reply_to, version),
            )
        return message_of(row)

    def edit(
        self, room_id: str, message: int | str, text: str, revision: int | None = None
    ) -> Message:
        """Replace a message's text; with `revision` only if that is its newest.

        Raises:
            RoomError: there is no such message, or the text is empty or too long.
            EditConflictError: somebody else edited it meanwhile.
        """
        text = _checked(text)
        with self._file.change():
            existing = self._existing(room_id, message)
            if revision is not None and revision != existing.revision:
                raise EditConflictError(existing)
            id_ = existing.id
            row = self._file.one(
                "UPDATE messages SET text = ?, edited = edited + 1 WHERE id = ? "
                f"RETURNING {COLUMNS}",
                *(text, id_),
            )
        self._file.overwrite()
        return message_of(row)

    def delete(self, room_id: str, message: int | str) -> Message:
        """Erase a message's text; returns the message as it was.

        With the last message of a turn its other versions are erased, too.

        Raises:
            RoomError: there is no such message.
        """
        with self._file.change():
            deleted = self._existing(room_id, message)
            self._erase("id = ?", deleted.id)
            if not self._messages("room = ? AND turn = ? AND shown", room_id, deleted.turn):
                self._erase("room = ? AND turn = ?", room_id, deleted.turn)
        self._file.overwrite()
        return deleted

    def begin_version(self, room_id: str, turn: int) -> int:
        """Hide the messages of a turn; returns the number of its next version."""
        with self._file.change():
            self._file.all(
                "UPDATE messages SET shown = 0 WHERE room = ? AND turn = ?", room_id, turn
            )
            row = self._file.one(
                "SELECT max(version) FROM messages WHERE room = ? AND turn = ?", room_id, turn
            )
        return int(row[0] or 0) + 1

    def show_version(self, room_id: str, turn: int, version: int) -> list[Message]:
        """Show a version of a turn in place of another; returns its messages.

        Raises:
            RoomError: the turn has no such version.
        """
        with self._file.change():
            if version not in self.versions(room_id, turn):
                raise RoomError(f"turn {turn} has no version {version}")
            self._file.all(
                "UPDATE messages SET shown = (version = ?) WHERE room = ? AND turn = ?",
                *(version, room_id, turn),
            )
        return self._messages("room = ? AND turn = ? AND shown", room_id, turn)

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
