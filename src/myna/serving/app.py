"""The whole server as one ASGI app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import APIRouter, FastAPI
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
from myna.serving.rooms_api import RoomApi
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
    app = FastAPI(
        title="myna",
        version=__version__,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
        responses=errors.SHOWN,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.work = work
    app.state.watch = watch
    app.state.room_api = RoomApi(served, floors, work, trusted=terms.access.loopback)
    errors.install(app)
    app.add_exception_handler(GoneError, _gone)
    app.include_router(openai_api.router(served, work, watch))
    app.include_router(rooms_api.router)
    app.include_router(operation)
    _add_middleware(app, terms, watch)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    api: RoomApi = app.state.room_api
    following = asyncio.create_task(api.floors.follow(api.work.closing))
    yield
    await api.work.close(0)
    await following


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it; the log does


operation = APIRouter(tags=["Operation"])
"""The paths for whoever watches over the server."""


@operation.head("/healthz", include_in_schema=False)  # as some monitors ask
@operation.get("/healthz")
async def healthz(request: Request) -> Response:
    """Whether replies can be made."""
    if request.app.state.work.closing.is_set():
        return Json({"status": "closing"}, 503)
    return Json({"status": "ok"})


@operation.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Counts and latencies, for Prometheus."""
    page = request.app.state.watch.page()
    return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_middleware(app: FastAPI, terms: Terms, watch: Watch) -> None:
    """Add what every request goes through: the last one added is the first that it meets."""

    def refused(why: str) -> None:
        watch.refused.labels(why).inc()

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
