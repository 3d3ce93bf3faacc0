"""Rooms as watched: everything that happens in one is told on its board.

Each room has a board with its newest events. An event's id is `EPOCH.NUMBER`: a client that
lost its connection names the last one that it saw and gets what came since; where that is
gone (too long ago, or the server was started anew) it is told to read the history again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool

from myna.errors import MynaError
from myna.rooms.registry import Audience, LiveReply, LiveRoom, Rooms
from myna.rooms.store import Message
from myna.serving.errors import ApiError
from myna.serving.metrics import Watch

MOST_KEPT = 1000
"""Events of a room that can be asked for again; and that a slow watcher may lag behind."""
RESET = "reset"
"""The event that says: read the history again."""


@dataclass(frozen=True)
class Event:
    """Something that happened; `id` is "" for what happened to one watcher alone."""

    id: str
    kind: str
    data: dict[str, Any]


class Board:
    """The newest events of one room; may be written to from any thread."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._kept: deque[Event] = deque(maxlen=MOST_KEPT)
        self._number = 0
        self._watching: dict[asyncio.Queue[Event | None], asyncio.AbstractEventLoop] = {}

    @property
    def last(self) -> str:
        """The id of the newest event."""
        with self._lock:
            return self._id(self._number)

    def _id(self, number: int) -> str:
        return f"{self._epoch}.{number}"

    def publish(self, kind: str, **data: Any) -> None:
        """Tell everyone who watches."""
        with self._lock:
            self._number += 1
            event = Event(self._id(self._number), kind, data)
            self._kept.append(event)
            self._tell(event)

    def end(self) -> None:
        """The room is gone: nobody watches it any more."""
        with self._lock:
            self._tell(None)

    def _tell(self, event: Event | None) -> None:
        for queue, loop in self._watching.items():
            loop.call_soon_threadsafe(queue.put_nowait, event)

    async def watch(self, after: str | None, closing: asyncio.Event) -> AsyncIterator[Event]:
        """What happens from now on, or since the event `after`.

        Ends when the room is gone, when `closing` is set, and where a watcher lags too far
        behind.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        with self._lock:
            missed = self._since(after)
            self._watching[queue] = asyncio.get_running_loop()
        end = asyncio.ensure_future(closing.wait())
        end.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            for event in missed:
                yield event
            while queue.qsize() <= MOST_KEPT and (next_ := await queue.get()) is not None:
                yield next_
        finally:
            end.cancel()
            with self._lock:
                del self._watching[queue]

    def _since(self, after: str | None) -> list[Event]:
        if after is None:
            return []
        epoch, _, number = after.partition(".")
        seen = int(number) if number.isdecimal() and len(number) < 16 else -1
        oldest = self._number - len(self._kept)
        if epoch != self._epoch or not oldest <= seen <= self._number:
            return [Event(self._id(self._number), RESET, {})]
        return list(self._kept)[len(self._kept) - (self._number - seen) :]


Gone = Callable[[], bool]
FOLLOWED_S = 1.0
"""How often it is looked whether another process wrote into the rooms."""

log = logging.getLogger(__name__)


def shown(message: Message) -> dict[str, Any]:
    """A message as clients read it."""
    return {
        "id": message.id,
        "turn": message.turn,
        "person": message.person,
        "text": message.text,
        "by_clone": message.by_clone,
        "said_at": message.said_at.isoformat(),
        "key": message.key,
        "to": list(message.to),
        "edited": message.edited,
    }


class Floor:
    """A live room, its board, and who has the floor."""

    def __init__(self, room: LiveRoom, watch: Watch) -> None:
        self.room = room
        self._watch = watch
        self.board = Board()
        self.saying: dict[str, Any] | None = None
        """Who speaks, in which turn, and the words of their message so far."""
        self._reply: LiveReply | None = None

    def described(self) -> dict[str, Any]:
        """The room as clients read it."""
        return {
            "id": self.room.id,
            "members": self.room.members,
            "personas": self.room.personas,
            "humans": self.room.humans,
            "speaking": self.saying,
            "settings": self.room.settings,
            "last_event": self.board.last,
        }

    def stop(self) -> bool:
        """Whoever speaks stops; False where nobody does."""
        reply = self._reply
        if reply is None:
            return False
        reply.close()
        return True

    def turn(
        self, begin: Callable[[LiveRoom], LiveReply], gone: Gone
    ) -> Generator[Message, None, str | None]:
        """A persona's turn, message by message; returns why it ended.

        Raises:
            PeopleError, SpeakingError, BusyError, EngineError: as `LiveRoom.speak`.
        """
        asked: float | None = time.monotonic()
        reply = begin(self.room)
        reply.is_cancelled = gone
        self._reply = reply
        who = {"person": reply.person, "turn": reply.turn}
        try:
            self.saying = {**who, "text": ""}
            self.board.publish("speaking", **who)
            for item in reply.events():
                self._tell_erased(reply)
                if isinstance(item, str):
                    if asked is not None:
                        self._watch.first.observe(time.monotonic() - asked)
                        asked = None
                    self._hear(item, who)
                else:
                    self._watch.said(item.text)
                    self.saying = {**who, "text": ""}
                    self.board.publish("message", message=shown(item))
                    yield item
        finally:
            reply.close()
            self._tell_erased(reply)
            self._reply = self.saying = None
            self.board.publish("silent", **who, reason=reply.finish_reason)
        return reply.finish_reason

    def _tell_erased(self, reply: LiveReply) -> None:
        while reply.erased:
            self.board.publish("deleted", id=reply.erased.pop(0).id)

    def _hear(self, piece: str, who: dict[str, Any]) -> None:
        before = self.saying["text"] if self.saying else ""
        self.saying = {**who, "text": (before + piece).removeprefix("\n")}
        self.board.publish("piece", **who, text=piece)

    def again(self, gone: Gone) -> Iterator[Message]:
        """The last turn of a persona, said anew.

        Raises:
            RoomError, SpeakingError, BusyError, EngineError: as `LiveRoom.regenerate`.
        """
        return self.turn(LiveRoom.regenerate, gone)

    def play(
        self, turns: int, among: Sequence[str] | None, gone: Gone, *, until_human: bool
    ) -> Iterator[Message]:
        """Turns of personas, until it is a human's where `until_human` says so.

        Raises:
            PeopleError, SpeakingError, BusyError, EngineError: as `LiveRoom.speak`.
        """
        for number in range(turns):
            speaker = None
            if until_human and number:  # at first somebody answers in any case
                speaker = self.room.next_speaker()
                if speaker not in self.room.personas:
                    return
            begin = partial(LiveRoom.speak, person=speaker, among=among)
            reason = yield from self.turn(begin, gone)
            if reason == "cancelled" or gone():
                return


class Floors:
    """The rooms that somebody looked at, each once."""

    def __init__(self, rooms: Rooms, watch: Watch) -> None:
        self.rooms = rooms
        self._watch = watch
        self._floors: dict[str, Floor] = {}
        self._lock = threading.Lock()

    def open(
        self,
        id: str,  # noqa: A002  # as `Rooms.open` calls it
        humans: Sequence[str],
        personas: Sequence[str] | None,
        audience: Audience | None,
    ) -> Floor:
        """A room, made if it is not there.

        Raises:
            PeopleError, RoomError: as `Rooms.open`.
        """
        room = self.rooms.open(id, humans=humans, personas=personas, audience=audience)
        with self._lock:
            return self._floors.setdefault(room.id, Floor(room, self._watch))

    def find(self, id: str) -> Floor:  # noqa: A002  # as above
        """A room that is there.

        Raises:
            ApiError: it is not.
        """
        with self._lock:
            floor = self._floors.get(id)
        if floor is not None:
            return floor
        if self.rooms.store.settings(id) is None:
            raise ApiError(404, "there is no such room", param="room", code="room_not_found")
        return self.open(id, (), None, None)

    def drop(self, id: str) -> None:  # noqa: A002  # as above
        """Erase a room; whoever speaks there stops, and nobody watches it any more.

        Raises:
            ApiError: it is not there.
        """
        floor = self.find(id)
        floor.stop()
        with self._lock:
            self._floors.pop(id, None)
        self.rooms.drop(id)
        floor.board.publish("dropped")
        floor.board.end()

    async def follow(self, closing: asyncio.Event) -> None:
        """Tell what other processes, such as a bot, say in the rooms, until `closing` is set."""
        while not closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FOLLOWED_S):
                    await closing.wait()
            try:
                await run_in_threadpool(self.catch_up)
            except MynaError as error:
                log.error("%s", error)

    def catch_up(self) -> None:
        """Tell what other processes said since this was called last."""
        if not self.rooms.store.changed_elsewhere():
            return
        with self._lock:
            floors = list(self._floors.items())
        for id, floor in floors:  # noqa: A001  # as above
            if self.rooms.store.settings(id) is None:
                self.drop(id)
                continue
            before = floor.room.settings
            for kind, message in floor.room.catch_up():
                deleted = kind == "deleted"
                told = {"id": message.id} if deleted else {"message": shown(message)}
                floor.board.publish(kind, **told)
            if floor.room.settings != before:
                floor.board.publish("room", room=floor.described())
