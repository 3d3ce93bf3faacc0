"""Turns that no request waits for: those asked for "at once", and personas who play.

Each room has a conductor. It runs one turn after the other; while the room plays, it leaves
readers the time that they need, lets whoever types finish, and stops when nobody looks.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

from starlette.concurrency import run_in_threadpool

from myna.errors import SpeakingError
from myna.rooms.registry import LiveRoom
from myna.rooms.store import Message
from myna.serving.background import StreamFactory, StreamRunner
from myna.serving.errors import ApiError, public_message, to_api_error
from myna.serving.watched_rooms import Playing, WatchedRoom

MAX_WAITING = 3
"""Turns of a room that wait for the one being said."""
READING_SECONDS, READING_SECONDS_PER_CHAR, MAX_READING_SECONDS = 0.5, 0.03, 5.0
"""Time between two turns at speed 1: it grows with the last message."""
TYPING_SECONDS = 6.0
"""Time for which somebody who was seen typing is waited for."""
ALONE_SECONDS = 30.0
"""Time without anybody who follows the room, after which it stops playing."""
POLL_SECONDS = 0.25

Create = StreamFactory[Message]


def reading_seconds(text: str, speed: float) -> float:
    """The time that a message needs to be read, in seconds."""
    seconds = READING_SECONDS + READING_SECONDS_PER_CHAR * len(text)
    return min(seconds, MAX_READING_SECONDS) / speed


class Conductor:
    """Runs the turns of one room; its methods are called in the server's event loop."""

    def __init__(self, watched: WatchedRoom, streams: StreamRunner) -> None:
        self._watched = watched
        self._streams = streams
        self._waiting: deque[Create] = deque()
        self._task: asyncio.Task[None] | None = None
        self._typing: dict[str, float] = {}
        self._is_due = True
        """True if the next turn of play need not wait."""

    def submit(self, create: Create) -> None:
        """Run turns, after those that run or wait.

        Raises:
            SpeakingError: too many wait.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise SpeakingError(f"{MAX_WAITING} turns wait already: let them speak first")
        self._waiting.append(create)
        self._ensure_task()

    def play(self, playing: Playing) -> None:
        """Let the personas talk by themselves, or pause."""
        self._is_due = playing.is_on and not self._watched.playing.is_on
        self._watched.playing = playing
        self._watched.publish_room()
        if playing.is_on:
            self._ensure_task()

    def heard(self, person: str) -> None:
        """Go on after a human's message: they type no more."""
        self._typing.pop(person, None)
        self._is_due = True

    def seen_typing(self, person: str) -> None:
        """Wait for a human who types."""
        self._typing[person] = time.monotonic() + TYPING_SECONDS
        self._watched.events.publish("typing", person=person, seconds=TYPING_SECONDS)

    def close(self) -> None:
        """Run nothing any more."""
        if self._task is not None:
            self._task.cancel()

    def _ensure_task(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._waiting or self._watched.playing.is_on:
            if not self._waiting and not await self._wait_for_readers():
                continue
            if not self._waiting:
                await self._play_turn()
            elif not await self._say(self._waiting.popleft()):
                self._waiting.clear()

    async def _play_turn(self) -> None:
        """Let the next persona speak; play ends where that fails or is stopped."""
        reasons: list[str | None] = []
        start = partial(LiveRoom.speak, among=self._watched.playing.among)

        def create(is_cancelled: Callable[[], bool]) -> Iterator[Message]:
            reasons.append((yield from self._watched.stream_turn(start, is_cancelled)))

        await self._say(create)
        playing = self._watched.playing
        if playing.is_on:
            left = None if playing.turns is None else playing.turns - 1
            goes_on = reasons not in ([], ["cancelled"]) and left != 0
            if not goes_on or left != playing.turns:
                self.play(replace(playing, turns=left, is_on=goes_on))

    async def _wait_for_readers(self) -> bool:
        """Wait until the next turn of play may begin; False once there is none."""
        last = await run_in_threadpool(self._watched.room.messages, 1)
        now = time.monotonic()
        pause = reading_seconds(last[0].text if last else "", self._watched.playing.speed)
        begin_at = now if self._is_due else now + pause
        followed_at = now
        while not self._waiting and self._watched.playing.is_on:
            now = time.monotonic()
            if self._watched.events.followers:
                followed_at = now
            elif now - followed_at > ALONE_SECONDS:
                self.play(replace(self._watched.playing, is_on=False))
                return False
            is_typing = any(until > now for until in self._typing.values())
            if not is_typing and (self._is_due or now >= begin_at) and followed_at == now:
                break
            await asyncio.sleep(POLL_SECONDS)
        self._is_due = False
        return not self._waiting and self._watched.playing.is_on

    async def _say(self, create: Create) -> bool:
        """Run turns to their end; False where they failed."""
        while True:
            try:
                stream = self._streams.start(create)
                try:
                    async for _ in stream:
                        pass
                finally:
                    stream.stop()
            except SpeakingError:  # somebody who waits for a turn was faster
                await asyncio.sleep(POLL_SECONDS)
            except Exception as error:  # the room goes on, and all are told
                self._publish_failure(error)
                return False
            else:
                self._read_ahead()
                return True

    def _publish_failure(self, error: Exception) -> None:
        api_error = to_api_error(error)
        self._watched.events.publish(
            "failed", message=public_message(api_error), code=api_error.code
        )

    def _read_ahead(self) -> None:
        def read_ahead(_: Callable[[], bool]) -> Iterator[None]:
            self._watched.room.read_ahead(self._streams.closing.is_set)
            yield

        if not self._waiting and not self._watched.playing.is_on:
            with suppress(ApiError):  # the server is shutting down
                self._streams.start(read_ahead)


class Conductors:
    """The conductors of all rooms."""

    def __init__(self, streams: StreamRunner) -> None:
        self._streams = streams
        self._conductors: dict[str, Conductor] = {}

    def of(self, watched: WatchedRoom) -> Conductor:
        """The conductor of a room."""
        room_id = watched.room.id
        if room_id not in self._conductors:
            self._conductors[room_id] = Conductor(watched, self._streams)
        return self._conductors[room_id]

    def drop(self, room_id: str) -> None:
        """End the conductor of a room that is gone."""
        if (conductor := self._conductors.pop(room_id, None)) is not None:
            conductor.close()

    def close(self) -> None:
        """Run nothing any more."""
        for room_id in [*self._conductors]:
            self.drop(room_id)
