"""All live rooms of a clone, which share its engine in turns.

    rooms = Rooms(clone, RoomStore(workspace.rooms_file), Queue(engine.slots, 32))
    room = rooms.open("kitchen", humans=["Ana"], audience=OWNER)
    room.say("Ana", "soup?")
    for piece in room.speak():
        print(piece, end="")

All calls block, and may come from several threads. While a persona speaks, humans may too;
their messages stand after its turn.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from myna.engines.queueing import Queue
from myna.errors import RoomError
from myna.persona.clone import Clone
from myna.persona.memory import OWNER, Audience
from myna.rooms.live_reply import LiveReply
from myna.rooms.live_room import LiveRoom
from myna.rooms.store import RoomStore

__all__ = ["OWNER", "Audience", "LiveReply", "LiveRoom", "Rooms"]


class Rooms:
    """The rooms of a clone, each opened once and shared by all callers."""

    def __init__(self, clone: Clone, store: RoomStore, queue: Queue) -> None:
        self.clone = clone
        self.store = store
        self.queue = queue
        self._open: dict[str, LiveRoom] = {}
        self._lock = threading.Lock()

    def open(
        self,
        room_id: str,
        *,
        humans: Sequence[str] = (),
        personas: Sequence[str] | None = None,
        audience: Audience | None = None,
    ) -> LiveRoom:
        """Open a room: created if it is not there, else resumed as it was left.

        Args:
            room_id: any printable text of at most 200 characters.
            humans: join the room.
            personas: replace those in the room; None leaves them, and puts everyone who speaks
                in the busiest channel into a new room.
            audience: those who can read the room, besides the humans in it; None: as before,
                in a new room unknown, and then nothing is recalled.

        Raises:
            PeopleError: unknown persona.
            RoomError: not a valid id.
        """
        for persona in personas or ():
            self.clone.check_persona(persona)
        with self._lock:
            room = self._open.get(room_id)
            if room is None:
                settings = self.store.settings(room_id)
                if settings is None:
                    if personas is None:
                        personas = self.clone.prompt_builder([]).members
                    settings = {"humans": [], "personas": list(personas), "audience": None}
                    settings |= {"chat": {}, "notes": {}}
                    self.store.save_settings(room_id, settings)
                room = self._open[room_id] = LiveRoom(
                    self.clone, self.store, self.queue, room_id, settings
                )
        room.update_members(humans, personas, audience)
        return room

    def branch(self, room_id: str, message: int | str, new_id: str) -> LiveRoom:
        """Open a new room with a copy of another up to a message; both go on by themselves.

        Raises:
            RoomError: there is no such room or message, or the new room is there already.
        """
        settings, last = self.store.settings(room_id), self.store.find(room_id, message)
        if settings is None or last is None:
            raise RoomError("there is no such message to branch from")
        if self.store.settings(new_id) is not None:
            raise RoomError(f"there is a room {new_id!r} already: choose another id")
        self.store.save_settings(new_id, settings)
        self.store.branch(room_id, new_id, last)
        return self.open(new_id)

    def ids(self) -> list[str]:
        """The ids of all rooms, the oldest first."""
        return self.store.room_ids()

    def drop(self, room_id: str) -> bool:
        """Erase a room with its messages, and stop a persona who speaks there.

        Returns False if there is no such room.
        """
        with self._lock:
            room = self._open.pop(room_id, None)
        if room is not None:
            room.stop()
        return self.store.drop(room_id)
