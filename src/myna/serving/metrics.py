"""What became of each request: an access log without words or keys, and metrics.

Both name a request by its path's pattern, never by the path: that may hold a room's name.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myna.engines.queueing import Queue
from myna.rendering.tokenizer import Tokenizer
from myna.serving.background import Made
from myna.serving.errors import answer, as_api
from myna.serving.openai_generate import Begun, Ended, Piece, Spoken

log = logging.getLogger("myna.access")

_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)


class Watch:
    """The counters of a server."""

    def __init__(self, queue: Queue, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        disable_created_metrics()  # type: ignore[no-untyped-call]
        own = self.registry = CollectorRegistry()
        self.requests = Counter(
            "myna_requests", "Requests answered", ["route", "method", "status"], registry=own
        )
        self.seconds = Histogram(
            "myna_request_seconds",
            "Time to the end of an answer",
            ["route"],
            buckets=_SECONDS,
            registry=own,
        )
        self.refused = Counter(
            "myna_refused", "Requests refused at the door", ["why"], registry=own
        )
        self.first = Histogram(
            "myna_first_token_seconds",
            "Time from a request for a reply, waiting included, to its first words",
            buckets=_SECONDS,
            registry=own,
        )
        self.tokens = Counter(
            "myna_tokens", "Tokens of prompts and of replies", ["kind"], registry=own
        )
        running = Gauge("myna_replies_running", "Replies that are being made", registry=own)
        running.set_function(lambda: queue.running)
        waiting = Gauge("myna_replies_waiting", "Replies that wait for the engine", registry=own)
        waiting.set_function(lambda: queue.waiting)

    def page(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)

    def said(self, text: str) -> None:
        """Count a message of a persona in a room; its prompt is the room's own affair."""
        self.tokens.labels("reply").inc(len(self._tokenizer.encode(text).ids))

    def replies(self, make: Made[Spoken]) -> Made[Spoken]:
        """The same replies, counted."""

        def counted(gone: Callable[[], bool]) -> Iterator[Spoken]:
            asked = time.monotonic()
            waits = True
            for item in make(gone):
                if isinstance(item, Piece) and waits:
                    self.first.observe(time.monotonic() - asked)
                    waits = False
                elif isinstance(item, Begun):
                    waits = waits or item.index > 0
                    asked = time.monotonic() if item.index > 0 else asked
                elif isinstance(item, Ended):
                    self.tokens.labels("prompt").inc(item.prompt_tokens)
                    self.tokens.labels("reply").inc(item.tokens)
                yield item

        return counted


class Observer:
    """Logs and counts each request once it is answered."""

    def __init__(self, app: ASGIApp, watch: Watch) -> None:
        self._app = app
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()
        status, size = 0, 0

        async def counting(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counting)
        except Exception as error:
            # No further: the server would log it with the words that are in it. An answer
            # that has begun is cut off.
            broken = answer(as_api(error))
            if not status:
                await broken(scope, receive, counting)
        finally:
            taken = time.monotonic() - begun
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._watch.requests.labels(route, method, str(status or 499)).inc()
            self._watch.seconds.labels(route).observe(taken)
            log.info("%s %s %s %d bytes %.3f s", method, route, status or "gone", size, taken)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
