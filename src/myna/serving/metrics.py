"""Prometheus metrics, and an access log without texts or keys.

Both name a request by its route, never by its path: that may hold a room's name.
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
from myna.serving.background import StreamFactory
from myna.serving.errors import error_response, to_api_error
from myna.serving.openai_generate import ChoiceDelta, ChoiceEnd, ChoiceEvent, ChoiceStart

log = logging.getLogger("myna.access")

_BUCKETS_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The metrics of a server."""

    def __init__(self, queue: Queue, tokenizer: Tokenizer | None) -> None:
        """Without a tokenizer, as where there is no clone, tokens are not counted."""
        self._tokenizer = tokenizer
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "myna_requests", "Requests answered", ["route", "method", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "myna_request_seconds",
            "Time to the end of a response",
            ["route"],
            buckets=_BUCKETS_SECONDS,
            registry=registry,
        )
        self.refused = Counter(
            "myna_refused", "Requests refused by access control", ["why"], registry=registry
        )
        self.first_token_seconds = Histogram(
            "myna_first_token_seconds",
            "Time from a request for a reply to its first token, with the time in the queue",
            buckets=_BUCKETS_SECONDS,
            registry=registry,
        )
        self.tokens = Counter(
            "myna_tokens", "Tokens of prompts and of replies", ["kind"], registry=registry
        )
        running = Gauge("myna_replies_running", "Replies being generated", registry=registry)
        running.set_function(lambda: queue.running)
        waiting = Gauge("myna_replies_waiting", "Replies in the queue", registry=registry)
        waiting.set_function(lambda: queue.waiting)

    def prometheus_text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def count_message(self, text: str) -> None:
        """Count the tokens of a persona's message in a room; its prompt is not counted."""
        if self._tokenizer is not None:
            self.tokens.labels("reply").inc(len(self._tokenizer.encode(text).ids))

    def count_stream(self, create: StreamFactory[ChoiceEvent]) -> StreamFactory[ChoiceEvent]:
        """Wrap a factory of choices, so that tokens and times are counted."""

        def counted(is_cancelled: Callable[[], bool]) -> Iterator[ChoiceEvent]:
            requested_at = time.monotonic()
            is_first = True
            for item in create(is_cancelled):
                if isinstance(item, ChoiceDelta) and is_first:
                    self.first_token_seconds.observe(time.monotonic() - requested_at)
                    is_first = False
                elif isinstance(item, ChoiceStart):
                    is_first = is_first or item.index > 0
                    requested_at = time.monotonic() if item.index > 0 else requested_at
                elif isinstance(item, ChoiceEnd):
                    self.tokens.labels("prompt").inc(item.prompt_tokens)
                    self.tokens.labels("reply").inc(item.completion_tokens)
                yield item

        return counted


class MetricsMiddleware:
    """ASGI middleware that logs and counts each request once it has its response."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status, size = 0, 0

        async def counting_send(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counting_send)
        except Exception as error:
            # Raised further, it would be logged with the texts in its message. A response
            # that has begun is cut off.
            response = error_response(to_api_error(error))
            if not status:
                await response(scope, receive, counting_send)
        finally:
            seconds = time.monotonic() - started
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(route, method, str(status or 499)).inc()
            self._metrics.request_seconds.labels(route).observe(seconds)
            log.info("%s %s %s %d bytes %.3f s", method, route, status or "gone", size, seconds)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
