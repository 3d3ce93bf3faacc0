"""What happens in rooms, for everyone who watches.

Each room has a board with its newest events. An event's id is `EPOCH.NUMBER`: a client that
lost its connection names the last one that it saw and gets what came since; where that is
gone (too long ago, or the server was started anew) it is told to read the history again.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

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
