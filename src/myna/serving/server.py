"""The whole server as one ASGI app, and the process around it: its socket, its start, its end."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11
import uvicorn
from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from myna import __version__
from myna.errors import SettingsError
from myna.rooms.registry import Rooms
from myna.serving import errors, openai_routes, room_routes
from myna.serving.access_control import Access, Guard, Limits
from myna.serving.background import GoneError, Work
from myna.serving.errors import Json
from myna.serving.metrics import Observer, Watch
from myna.serving.openai_chat import Served
from myna.serving.room_routes import RoomApi
from myna.serving.watched_rooms import Floors

MOST_CONNECTIONS = 400
"""Open connections, of which most may be idle."""
HEAD_S = 10.0
"""Seconds in which the head of a request must have come."""
SHORTEST_KEY = 16


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on `host`.

    Raises:
        SettingsError: there is no such host.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(f"--host {host}: there is no such address here ({error})") from error
    return all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)


def checked_key(key: str | None, host: str) -> str | None:
    """The key that clients must have; None where none is needed.

    Raises:
        SettingsError: it is missing beyond this machine, or too weak.
    """
    if not key:
        if not is_loopback(host):
            raise SettingsError(
                f"--host {host} lets other machines in, so a key is needed: give a file that "
                "holds one with --key-file, or set MYNA_API_KEY"
            )
        return None
    if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(
            f"the key must have {SHORTEST_KEY} or more plain letters, digits and signs, without "
            "blanks: make one with `python -c 'import secrets; print(secrets.token_urlsafe())'`"
        )
    return key


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        SettingsError: the address is not this machine's, or in use.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}, port {port} ({error.strerror or error}): is it in use? "
            "Choose another with --port"
        ) from error


def address(listening: socket.socket) -> str:
    """The URL of a socket, for people."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run(server: Server, listening: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM, which are no errors."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn puts its own in their place, and at the end does as these would have.
        signal.signal(number, lambda *_: None)
    server.run([listening])


class Connection(H11Protocol):
    """A connection as uvicorn serves it, which is ended where no request comes in time.

    uvicorn waits for ever: some hundred silent connections would keep everybody out.
    """

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        self._look_for_head()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        super().data_received(data)
        self._look_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        super().connection_lost(exc)
        self._wait_no_longer()

    def _look_for_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._wait_no_longer()
        elif self._late is None:  # however much of it drips in
            self._late = self.loop.call_later(HEAD_S, self.transport.close)

    def _wait_no_longer(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Server(uvicorn.Server):
    """uvicorn; what is being said when it shuts down is said to its end."""

    def __init__(
        self, app: FastAPI, grace_seconds: float, ready: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                lifespan="on",
                log_config=None,
                access_log=False,  # it logs paths and queries
                proxy_headers=False,  # anybody could send them
                server_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=int(grace_seconds) + 5,
            )
        )
        self._work: Work = app.state.work
        self._grace_seconds = grace_seconds
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        closing = asyncio.ensure_future(self._work.close(self._grace_seconds))
        await super().shutdown(sockets)
        await closing


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
    app.include_router(openai_routes.router(served, work, watch))
    app.include_router(room_routes.router)
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
