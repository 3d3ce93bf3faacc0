"""Live rooms: humans and personas talk, histories are kept, the engine is shared fairly.

    rooms = Rooms(clone, Histories(space.rooms_file), Queue(engine.slots, 32))
    room = rooms.open("kitchen", humans=["Ana"], audience=OWNER)
    room.say("Ana", "soup?")
    for piece in room.speak():
        print(piece, end="")

All calls block, and may come from several threads. While a persona speaks, others are
heard; what they say stands after the reply.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from myna.engines.queueing import Queue
from myna.persona.clone import Clone
from myna.persona.memory import OWNER, Audience
from myna.rooms.live_reply import Reply
from myna.rooms.live_room import LiveRoom
from myna.rooms.store import Histories

__all__ = ["OWNER", "Audience", "LiveRoom", "Reply", "Rooms"]


class Rooms:
    """The rooms of a clone, each made once and shared by all who open it."""

    def __init__(self, clone: Clone, histories: Histories, queue: Queue) -> None:
        self.clone = clone
        self.histories = histories
        self.queue = queue
        self._open: dict[str, LiveRoom] = {}
        self._lock = threading.Lock()

    def open(
        self,
        name: str,
        *,
        humans: Sequence[str] = (),
        personas: Sequence[str] | None = None,
        audience: Audience | None = None,
    ) -> LiveRoom:
        """The room `name`: made if it is not there, else resumed as it was left.

        Args:
            name: its id, any printable text of at most 200 characters.
            humans: join the room.
            personas: who is in a new room (None: all who speak in the busiest channel);
                in a room that was there before, they replace those in it (None: leaves
                them).
            audience: who can read the room, besides the humans in it; None: as before,
                in a new room unknown, and then nothing is recalled.

        Raises:
            PeopleError: a persona whom nobody knows.
            RoomError: the id cannot be one.
        """
        for persona in personas or ():
            self.clone.known(persona)
        with self._lock:
            room = self._open.get(name)
            if room is None:
                settings = self.histories.settings(name)
                if settings is None:
                    chosen = personas if personas is not None else self.clone.room([]).members
                    settings = {"humans": [], "personas": list(chosen), "audience": None}
                    settings |= {"chat": {}, "notes": {}}
                    self.histories.keep(name, settings)
                room = self._open[name] = LiveRoom(
                    self.clone, self.histories, self.queue, name, settings
                )
        room.arrive(humans, personas, audience)
        return room

    def ids(self) -> list[str]:
        """The ids of all rooms, the one made first first."""
        return self.histories.rooms()

    def drop(self, name: str) -> bool:
        """Erase a room with all that was said in it; False where there is none.

        Somebody who speaks there is stopped.
        """
        with self._lock:
            room = self._open.pop(name, None)
        if room is not None:
            room.stop()
        return self.histories.drop(name)
