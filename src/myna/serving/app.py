"""The whole server as one ASGI app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from myna import __version__
from myna.persona.rooms import Rooms
from myna.serving import errors, openai_api, rooms_api
from myna.serving.errors import Json
from myna.serving.floors import Floors
from myna.serving.guard import Access, Guard, Limits
from myna.serving.observing import Observer, Watch
from myna.serving.served import Served
from myna.serving.working import GoneError, Work


@dataclass(frozen=True)
class Terms:
    """On which a server serves."""

    access: Access = field(default_factory=Access)
    limits: Limits = field(default_factory=Limits)
    reply_seconds: float = 120
    """The longest that a client waits for a reply, or for all `n` of them."""
    grace_seconds: float = 10
    """What is being said when the server shuts down may go on for so long."""


def create_app(served: Served, rooms: Rooms, terms: Terms) -> FastAPI:
    """The OpenAI-compatible API, the room API, `/healthz` and `/metrics`.

    `app.state.work` is what `myna.serving.server` shuts down.
    """
    work = Work(terms.reply_seconds)
    watch = Watch(served.queue, served.clone.tokenizer)
    floors = Floors(rooms, watch)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(floors.follow(work.closing))
        yield
        await work.close(0)
        await following

    app = FastAPI(
        title="myna",
        version=__version__,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        lifespan=life,
        responses=errors.SHOWN,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.work = work
    errors.install(app)

    @app.exception_handler(GoneError)
    async def gone(_: Request, __: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it; the log does

    app.include_router(openai_api.router(served, work, watch))
    app.include_router(rooms_api.router(served, floors, work, trusted=terms.access.loopback))

    @app.get("/healthz", tags=["Operation"])
    async def healthz() -> Response:
        """Whether replies can be made."""
        if work.closing.is_set():
            return Json({"status": "closing"}, 503)
        return Json({"status": "ok"})

    app.head("/healthz", include_in_schema=False)(healthz)  # as some monitors ask

    @app.get("/metrics", tags=["Operation"], response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Counts and latencies, for Prometheus."""
        return Response(watch.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    # The last one added is the first that a request meets.
    refused: Callable[[str], None] = lambda why: watch.refused.labels(why).inc()  # noqa: E731
    app.add_middleware(Guard, access=terms.access, limits=terms.limits, refused=refused)
    if terms.access.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(terms.access.origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Retry-After"],
        )
    app.add_middleware(Observer, watch=watch)
    return app
