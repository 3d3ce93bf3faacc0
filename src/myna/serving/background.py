"""Blocking iterators in threads, cancelled when their client disconnects.

Their items can be sent as server-sent events (the WHATWG HTML standard).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Send

from myna.serving.errors import ApiError, ClientDisconnectedError, compact_json

T = TypeVar("T")
StreamFactory = Callable[[Callable[[], bool]], Iterator[T]]
"""Creates an iterator; its argument returns True once the iterator is to stop."""
PING_SECONDS = 15
"""Silence after which a stream sends a ping, so that no proxy closes it."""
PING = ": ping\n\n"
EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events", "content": {"text/event-stream": {}}}
}
"""Description of an event stream in the OpenAPI document."""


class StreamRunner:
    """Runs iterators, such as live replies, each in a thread of its own.

    `closing` is set when the server begins to shut down, `closed` when the iterators that
    still run have to end.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self.closing = asyncio.Event()
        self.closed = asyncio.Event()
        self._threads: set[threading.Thread] = set()

    async def close(self, seconds: float) -> None:
        """Wait until nothing runs; stop what still runs after `seconds`."""
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

    def start(self, create: StreamFactory[T]) -> RunningStream[T]:
        """Run an iterator in a thread; iterate over the result to get its items.

        Raises:
            ApiError: the server is shutting down (503).
        """
        if self.closing.is_set():
            message = "the server is shutting down: try again in a moment"
            raise ApiError(503, message, headers={"Retry-After": "5"})
        stream = RunningStream(self, create)
        self._threads.add(stream.thread)
        stream.thread.start()
        return stream

    def finished(self, thread: threading.Thread) -> None:
        """Forget a thread that has ended."""
        self._threads.discard(thread)

    async def collect(self, request: Request, create: StreamFactory[T]) -> list[T]:
        """All items of an iterator; it stops if the client disconnects.

        Raises:
            ClientDisconnectedError: the client disconnected.
            ApiError: as `start`, and as iterating.
        """
        stream = self.start(create)

        async def items() -> list[T]:
            return [item async for item in stream]

        try:
            return await cancel_on_disconnect(request, items())
        finally:
            stream.stop()


class RunningStream(Generic[T]):
    """An iterator that runs in a thread; `stop` ends it before its next item.

    Iterating raises the iterator's own errors, and an ApiError if it takes too long or the
    server shuts down.
    """

    def __init__(self, streams: StreamRunner, create: StreamFactory[T]) -> None:
        self.thread = threading.Thread(target=self._run, name="reply")
        self._streams = streams
        self._create = create
        self._loop = asyncio.get_running_loop()
        self._results: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._stopped = threading.Event()
        self._deadline = time.monotonic() + streams.timeout_seconds

    def stop(self) -> None:
        """Stop the iterator: no more items are needed."""
        self._stopped.set()

    def __aiter__(self) -> RunningStream[T]:
        return self

    async def __anext__(self) -> T:
        result = asyncio.ensure_future(self._results.get())
        closed = asyncio.ensure_future(self._streams.closed.wait())
        try:
            left = max(0.0, self._deadline - time.monotonic())
            await asyncio.wait({result, closed}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                self.stop()
                if closed.done():
                    raise ApiError(503, "the server is shutting down")
                raise ApiError(504, f"no reply within {self._streams.timeout_seconds:g} s")
            kind, value = result.result()
        except asyncio.CancelledError:
            self.stop()
            raise
        finally:
            result.cancel()
            closed.cancel()
        if kind == "item":
            item: T = value
            return item
        raise value if kind == "error" else StopAsyncIteration

    def _run(self) -> None:
        items: Iterator[T] = iter(())
        try:
            items = self._create(self._stopped.is_set)
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
            self._loop.call_soon_threadsafe(self._streams.finished, self.thread)

    def _put(self, kind: str, value: Any) -> None:
        self._loop.call_soon_threadsafe(self._results.put_nowait, (kind, value))


async def cancel_on_disconnect(request: Request, result: Awaitable[T]) -> T:
    """The awaited result; it is cancelled if the client disconnects.

    Raises:
        ClientDisconnectedError: the client disconnected.
    """
    task = asyncio.ensure_future(result)
    disconnected = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait({task, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnectedError
    finally:
        task.cancel()
        disconnected.cancel()
        await asyncio.gather(task, disconnected, return_exceptions=True)


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class EventStream(StreamingResponse):
    """A response of server-sent events; it closes its generator if the client disconnects."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[str]) -> None:
        # Without buffering in proxies, events arrive at once.
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events = events

    async def stream_response(self, send: Send) -> None:
        """See Starlette."""
        try:
            await super().stream_response(send)
        finally:
            await self._events.aclose()  # type: ignore[attr-defined]  # it is a generator


def server_sent_event(data: Any, *, event: str = "", id: str = "") -> str:  # noqa: A002  # the standard's word
    """The text of an event whose data is one line of JSON."""
    head = (f"id: {id}\n" if id else "") + (f"event: {event}\n" if event else "")
    return f"{head}data: {compact_json(data)}\n\n"


async def with_pings(
    items: AsyncIterator[T], seconds: float = PING_SECONDS
) -> AsyncGenerator[T | None]:
    """The items, and None after each `seconds` without one."""
    upcoming: asyncio.Future[list[T]] = asyncio.ensure_future(_next_item(items))
    try:
        while True:
            await asyncio.wait({upcoming}, timeout=seconds)
            if not upcoming.done():
                yield None
                continue
            item = upcoming.result()
            if not item:
                return
            upcoming = asyncio.ensure_future(_next_item(items))
            yield item[0]
    finally:
        upcoming.cancel()
        await asyncio.wait({upcoming})  # before that, nobody may close the items


async def _next_item(items: AsyncIterator[T]) -> list[T]:
    """The next item in a list; an empty list at the end."""
    async for item in items:
        return [item]
    return []
