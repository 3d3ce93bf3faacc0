"""Server-sent events: the WHATWG HTML standard, "Server-sent events"."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from starlette.responses import StreamingResponse
from starlette.types import Send

from myna.serving.errors import packed

PING_S = 15
"""A stream that is silent for so long says that it is alive."""
PING = ": ping\n\n"
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events", "content": {"text/event-stream": {}}}
}
"""How a stream stands in the OpenAPI document."""

T = TypeVar("T")


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
