"""Blocking work for the event loop: in threads, stopped when nobody waits for it any more.

What it makes can be streamed as server-sent events (the WHATWG HTML standard).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Send

from myna.serving.errors import ApiError, packed

T = TypeVar("T")
Made = Callable[[Callable[[], bool]], Iterator[T]]
"""Makes an iterator; it is given a function that says whether it is to stop."""


class GoneError(Exception):
    """The client has gone: nobody reads an answer."""


class Work:
    """The threads in which replies are made.

    `closing` is set when the server begins to shut down, `closed` when what still runs
    then is to end.
    """

    def __init__(self, most_seconds: float) -> None:
        self.most_seconds = most_seconds
        self.closing = asyncio.Event()
        self.closed = asyncio.Event()
        self._threads: set[threading.Thread] = set()

    async def close(self, seconds: float) -> None:
        """Wait until nothing runs; what runs after `seconds` is told to stop."""
        self.closing.set()
        if self._threads:
            try:
                async with asyncio.timeout(seconds):
                    while self._threads:
                        await asyncio.sleep(0.02)
            except TimeoutError:
                self.closed.set()
        self.closed.set()
        while self._threads:
            await asyncio.sleep(0.02)

    @property
    def running(self) -> int:
        """How many replies are being made or wait for the engine."""
        return len(self._threads)

    def begin(self, make: Made[T]) -> Running[T]:
        """Run an iterator in a thread of its own: iterate over what it gives.

        Raises:
            ApiError: the server shuts down.
        """
        if self.closing.is_set():
            raise ApiError(503, "the server is shutting down", headers={"Retry-After": "5"})
        running = Running(self, make)
        self._threads.add(running.thread)
        running.thread.start()
        return running

    def ended(self, thread: threading.Thread) -> None:
        """A thread of `begin` is done."""
        self._threads.discard(thread)

    async def whole(self, request: Request, make: Made[T]) -> list[T]:
        """All that an iterator gives; a client that goes meanwhile stops it.

        Raises:
            GoneError: the client has gone.
            ApiError: as `begin`, and iterating.
        """
        running = self.begin(make)

        async def collect() -> list[T]:
            return [item async for item in running]

        try:
            return await unless_gone(request, collect())
        finally:
            running.stop()


class Running(Generic[T]):
    """An iterator at work in a thread; `stop` ends it before its next item.

    Iterating raises what the iterator raises, and an ApiError where it takes too long or
    the server shuts down.
    """

    def __init__(self, work: Work, make: Made[T]) -> None:
        self.thread = threading.Thread(target=self._run, name="reply")
        self._work = work
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._made: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._stopped = threading.Event()
        self._until = time.monotonic() + work.most_seconds

    def stop(self) -> None:
        """Let it end; nothing more of it is wanted."""
        self._stopped.set()

    def __aiter__(self) -> Running[T]:
        return self

    async def __anext__(self) -> T:
        got = asyncio.ensure_future(self._made.get())
        closed = asyncio.ensure_future(self._work.closed.wait())
        try:
            left = max(0.0, self._until - time.monotonic())
            await asyncio.wait({got, closed}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not got.done():
                self.stop()
                if closed.done():
                    raise ApiError(503, "the server is shutting down")
                raise ApiError(504, f"this took longer than {self._work.most_seconds:g} s")
            kind, what = got.result()
        except asyncio.CancelledError:
            self.stop()
            raise
        finally:
            got.cancel()
            closed.cancel()
        if kind == "item":
            item: T = what
            return item
        if kind == "error":
            raise what
        raise StopAsyncIteration

    def _run(self) -> None:
        items = self._make(self._stopped.is_set)
        try:
            for item in items:
                if self._stopped.is_set():
                    break
                self._put("item", item)
            self._put("end", None)
        except BaseException as error:  # raised again where the caller waits
            self._put("error", error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
            self._loop.call_soon_threadsafe(self._work.ended, self.thread)

    def _put(self, kind: str, what: Any) -> None:
        self._loop.call_soon_threadsafe(self._made.put_nowait, (kind, what))


async def unless_gone(request: Request, wanted: Awaitable[T]) -> T:
    """The result of `wanted`, which is cancelled when the client goes.

    Raises:
        GoneError: the client has gone.
    """
    task = asyncio.ensure_future(wanted)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise GoneError
    finally:
        for still in (task, gone):
            if not still.done():
                still.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


PING_S = 15
"""A stream that is silent for so long says that it is alive."""
PING = ": ping\n\n"
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events", "content": {"text/event-stream": {}}}
}
"""How a stream stands in the OpenAPI document."""


class EventStream(StreamingResponse):
    """An answer of server-sent events; it ends its generator when the client goes."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[str]) -> None:
        # A proxy that collects events before it passes them on would make them late.
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events = events

    async def stream_response(self, send: Send) -> None:
        """See Starlette."""
        try:
            await super().stream_response(send)
        finally:
            await self._events.aclose()  # type: ignore[attr-defined]  # it is a generator


def sse(data: Any, *, event: str = "", id: str = "") -> str:  # noqa: A002  # the standard's word
    """An event whose data is JSON, in one line."""
    head = (f"id: {id}\n" if id else "") + (f"event: {event}\n" if event else "")
    return f"{head}data: {packed(data)}\n\n"


async def alive(items: AsyncIterator[T], seconds: float = PING_S) -> AsyncIterator[T | None]:
    """The items, and None whenever none came for a while."""
    coming: asyncio.Future[list[T]] = asyncio.ensure_future(_next(items))
    try:
        while True:
            await asyncio.wait({coming}, timeout=seconds)
            if not coming.done():
                yield None
                continue
            found = coming.result()
            if not found:
                return
            coming = asyncio.ensure_future(_next(items))
            yield found[0]
    finally:
        coming.cancel()


async def _next(items: AsyncIterator[T]) -> list[T]:
    """The next item, or nothing at the end."""
    async for item in items:
        return [item]
    return []
