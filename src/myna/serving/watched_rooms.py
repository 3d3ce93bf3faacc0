"""Live rooms with an event log that any number of clients can follow.

An event's id is `EPOCH.NUMBER`. A client that lost its connection sends the last id that it
saw and gets the events since; if they are no longer kept (too many, or the server has been
restarted) it gets a `reset`: it has to read the history again.
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
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool

from myna.errors import MynaError
from myna.rooms.registry import Audience, LiveReply, LiveRoom, Rooms
from myna.rooms.store import Message
from myna.serving.errors import ApiError
from myna.serving.metrics import Metrics

MAX_KEPT_EVENTS = 1000
"""Events kept for each room; a client that lags further behind is disconnected."""
RESET = "reset"
"""Kind of the event after which a client has to read the history again."""
SECONDS_PER_PIECE = 0.05
"""Time between two events with text of a live reply."""
POLL_SECONDS = 1.0
"""Time between two checks for messages that other processes wrote into the rooms."""

IsCancelled = Callable[[], bool]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """An event in a room: its id, its kind, and its data as JSON."""

    id: str
    kind: str
    data: dict[str, Any]


class EventLog:
    """The newest events of one room, and their subscribers; `publish` from any thread."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._events: deque[Event] = deque(maxlen=MAX_KEPT_EVENTS)
        self._newest = 0
        self._subscribers: dict[asyncio.Queue[Event | None], asyncio.AbstractEventLoop] = {}

    @property
    def last_id(self) -> str:
        """The id of the newest event."""
        with self._lock:
            return self._id(self._newest)

    def _id(self, number: int) -> str:
        return f"{self._epoch}.{number}"

    def publish(self, kind: str, **data: Any) -> None:
        """Add an event and send it to all subscribers."""
        with self._lock:
            self._newest += 1
            event = Event(self._id(self._newest), kind, data)
            self._events.append(event)
            self._send(event)

    @property
    def followers(self) -> int:
        """The number of subscriptions."""
        return len(self._subscribers)

    def close(self) -> None:
        """End all subscriptions: the room is gone."""
        with self._lock:
            self._send(None)

    def _send(self, event: Event | None) -> None:
        for queue, loop in self._subscribers.items():
            loop.call_soon_threadsafe(queue.put_nowait, event)

    async def subscribe(self, after: str | None, closing: asyncio.Event) -> AsyncIterator[Event]:
        """The events from now on, or since the event `after`.

        Ends when the room is gone, when `closing` is set, and if the subscriber lags too far
        behind.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        with self._lock:
            missed = self._since(after)
            self._subscribers[queue] = asyncio.get_running_loop()
        end = asyncio.ensure_future(closing.wait())
        end.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            for event in missed:
                yield event
            while queue.qsize() <= MAX_KEPT_EVENTS and (next_ := await queue.get()) is not None:
                yield next_
        finally:
            end.cancel()
            with self._lock:
                del self._subscribers[queue]

    def _since(self, after: str | None) -> list[Event]:
        if after is None:
            return []
        epoch, _, number = after.partition(".")
        seen = int(number) if number.isdecimal() and len(number) < 16 else -1
        oldest = self._newest - len(self._events)
        if epoch != self._epoch or not oldest <= seen <= self._newest:
            return [Event(self._id(self._newest), RESET, {})]
        return list(self._events)[len(self._events) - (self._newest - seen) :]


def message_json(message: Message) -> dict[str, Any]:
    """A message as JSON for clients."""
    return {
        "id": message.id,
        "turn": message.turn,
        "person": message.person,
        "text": message.text,
        "by_clone": message.by_clone,
        "said_at": message.said_at.isoformat(),
        "key": message.key,
        "to": list(message.to),
        "revision": message.revision,
        "reply_to": message.reply_to,
        "version": message.version,
    }


@dataclass(frozen=True)
class Playing:
    """The state of a room in which personas talk by themselves.

    `speed` divides the times that readers need; `among` are the personas who talk, None for
    all; `turns` is the number of turns left, None for any.
    """

    is_on: bool = False
    speed: float = 1.0
    among: tuple[str, ...] | None = None
    turns: int | None = None


class WatchedRoom:
    """A live room with its event log and its live reply."""

    def __init__(self, room: LiveRoom, metrics: Metrics) -> None:
        self.room = room
        self._metrics = metrics
        self.events = EventLog()
        self.speaking: dict[str, Any] | None = None
        """The live reply: its person, its turn, and the text of its message so far."""
        self.playing = Playing()
        self._reply: LiveReply | None = None
        self._pieces = ""
        """Text of the live reply that waits to be published."""
        self._published_at = 0.0

    def as_json(self) -> dict[str, Any]:
        """The room as JSON for clients."""
        return {
            "id": self.room.id,
            "title": self.room.title,
            "members": self.room.members,
            "personas": self.room.personas,
            "humans": self.room.humans,
            "speaking": self.speaking,
            "playing": asdict(self.playing),
            "settings": self.room.settings,
            "last_event": self.events.last_id,
        }

    def publish_room(self) -> dict[str, Any]:
        """Send the room's state to all subscribers, and return it."""
        self.events.publish("room", room=self.as_json())
        return self.as_json()

    def stop(self) -> bool:
        """Stop the live reply; False if there is none."""
        if reply := self._reply:
            reply.close()
        return reply is not None

    def stream_turn(
        self, start: Callable[[LiveRoom], LiveReply], is_cancelled: IsCancelled
    ) -> Generator[Message, None, str | None]:
        """Generate a persona's turn, message by message; return its finish reason.

        Raises:
            PeopleError, SpeakingError, BusyError, EngineError: as `LiveRoom.speak`.
        """
        requested_at: float | None = time.monotonic()
        reply = start(self.room)
        reply.is_cancelled = is_cancelled
        self._reply = reply
        reply_id: dict[str, Any] = {"person": reply.person, "turn": reply.turn}
        if reply.continued is not None:
            reply_id["continues"] = reply.continued.id
        is_replacing = False
        try:
            self.speaking = {**reply_id, "text": ""}
            self.events.publish("speaking", **reply_id)
            for item in reply.events():
                if reply.replaced and not is_replacing:
                    is_replacing = True
                    self.publish_turn(reply.turn, [])
                if item == "":
                    self._add_piece("", reply_id)
                elif isinstance(item, str):
                    if requested_at is not None:
                        self._metrics.first_token_seconds.observe(time.monotonic() - requested_at)
                        requested_at = None
                    self._add_piece(item, reply_id)
                else:
                    self._metrics.count_message(item.text)
                    self._publish_pieces(reply_id)
                    self.speaking = {**reply_id, "text": ""}
                    is_longer = reply.continued is not None and item.id == reply.continued.id
                    kind = "edited" if is_longer else "message"
                    self.events.publish(kind, message=message_json(item))
                    yield item
        finally:
            reply.close()
            self._reply = self.speaking = None
            self._pieces = ""
            self.events.publish("silent", **reply_id, reason=reply.finish_reason)
            if reply.replaced:
                self.publish_turn(reply.turn)
        return reply.finish_reason

    def publish_turn(self, turn: int, shown: Sequence[Message] | None = None) -> None:
        """Send the messages of a turn that are shown now, and the numbers of its versions."""
        versions = self.room.versions(turn)
        if shown is None:
            shown = [m for m in self.room.messages() if m.turn == turn]
        self.events.publish(
            "turn", turn=turn, versions=sorted(versions), messages=[message_json(m) for m in shown]
        )

    def _add_piece(self, piece: str, reply_id: dict[str, Any]) -> None:
        before = self.speaking["text"] if self.speaking else ""
        self.speaking = {**reply_id, "text": (before + piece).removeprefix("\n")}
        self._pieces += piece
        if time.monotonic() - self._published_at > SECONDS_PER_PIECE:
            self._publish_pieces(reply_id)

    def _publish_pieces(self, reply_id: dict[str, Any]) -> None:
        if self._pieces:
            self.events.publish("piece", **reply_id, text=self._pieces)
            self._pieces, self._published_at = "", time.monotonic()

    def play(
        self,
        turns: int,
        among: Sequence[str] | None,
        is_cancelled: IsCancelled,
        *,
        until_human: bool,
    ) -> Iterator[Message]:
        """Generate up to `turns` turns, with `until_human` only until a human is next.

        Raises:
            PeopleError, SpeakingError, BusyError, EngineError: as `LiveRoom.speak`.
        """
        for number in range(turns):
            speaker = None
            if until_human and number:  # the first turn is always a persona's
                speaker = self.room.next_speaker()
                if speaker not in self.room.personas:
                    return
            start = partial(LiveRoom.speak, person=speaker, among=among)
            reason = yield from self.stream_turn(start, is_cancelled)
            if reason == "cancelled" or is_cancelled():
                return


class WatchedRooms:
    """The rooms that clients opened, each one `WatchedRoom`."""

    def __init__(self, registry: Rooms, metrics: Metrics) -> None:
        self.registry = registry
        self._metrics = metrics
        self._watched: dict[str, WatchedRoom] = {}
        self._lock = threading.Lock()

    def summaries(self) -> list[dict[str, Any]]:
        """All rooms as JSON for a list, the one with the newest message first."""
        return [
            {
                "id": room.id,
                "title": room.settings.get("title", ""),
                "personas": room.settings.get("personas", []),
                "humans": room.settings.get("humans", []),
                "messages": room.messages,
                "made_at": room.made_at.isoformat(),
                "last": room.last and message_json(room.last),
            }
            for room in self.registry.store.summaries()
        ]

    def open(
        self,
        room_id: str,
        humans: Sequence[str],
        personas: Sequence[str] | None,
        audience: Audience | None,
    ) -> WatchedRoom:
        """Open a room, or create it.

        Raises:
            PeopleError, RoomError: as `Rooms.open`.
        """
        room = self.registry.open(room_id, humans=humans, personas=personas, audience=audience)
        with self._lock:
            return self._watched.setdefault(room.id, WatchedRoom(room, self._metrics))

    def find(self, room_id: str) -> WatchedRoom:
        """An existing room.

        Raises:
            ApiError: no such room (404).
        """
        with self._lock:
            watched = self._watched.get(room_id)
        if watched is not None:
            return watched
        if self.registry.store.settings(room_id) is None:
            message = "there is no such room: POST /api/rooms creates one"
            raise ApiError(404, message, param="room", code="room_not_found")
        return self.open(room_id, (), None, None)

    def drop(self, room_id: str) -> None:
        """Erase a room: its live reply stops, its subscriptions end.

        Raises:
            ApiError: no such room (404).
        """
        watched = self.find(room_id)
        watched.stop()
        with self._lock:
            self._watched.pop(room_id, None)
        self.registry.drop(room_id)
        watched.events.publish("dropped")
        watched.events.close()

    async def poll(self, closing: asyncio.Event) -> None:
        """Publish changes by other processes, such as a bot, until `closing` is set."""
        while not closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await closing.wait()
            try:
                await run_in_threadpool(self.catch_up)
            except MynaError as error:
                log.error("%s", error)

    def catch_up(self) -> None:
        """Publish the changes by other processes since the last call."""
        if not self.registry.store.changed_elsewhere():
            return
        with self._lock:
            rooms = list(self._watched.items())
        for room_id, watched in rooms:
            if self.registry.store.settings(room_id) is None:
                self.drop(room_id)
                continue
            before = watched.room.settings
            for kind, message in watched.room.catch_up():
                is_deleted = kind == "deleted"
                data = {"id": message.id} if is_deleted else {"message": message_json(message)}
                watched.events.publish(kind, **data)
            if watched.room.settings != before:
                watched.publish_room()
