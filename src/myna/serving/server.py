"""The server as one ASGI app, and its process: socket, start, shutdown."""

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
from myna.serving import errors, openai_routes, room_routes, turn_routes
from myna.serving.access_control import AccessControl, AccessRules, RequestLimits
from myna.serving.background import StreamRunner
from myna.serving.conductor import Conductors
from myna.serving.errors import ClientDisconnectedError, JsonResponse
from myna.serving.metrics import Metrics, MetricsMiddleware
from myna.serving.openai_chat import ServedModels
from myna.serving.room_routes import RoomServices
from myna.serving.watched_rooms import WatchedRooms

MAX_CONNECTIONS = 400
"""Limit of open connections, most of them idle."""
HEAD_TIMEOUT_SECONDS = 10.0
"""Time in which the head of a request must arrive."""
SECOND_PROBE_SECONDS, PROBE_SECONDS = 0.01, 0.25
"""Times between interim responses to a client that has closed its sending side."""
MIN_KEY_CHARS = 16


def is_loopback(host: str) -> bool:
    """True if only this machine can connect to a server on `host`.

    Raises:
        SettingsError: unknown host.
    """
    try:
        addresses = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(f"--host {host}: no such address on this machine ({error})") from error
    return all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in addresses)


def validated_key(key: str | None, host: str) -> str | None:
    """The API key that clients must send; None if they need none.

    Raises:
        SettingsError: the key is missing although other machines can connect, or too weak.
    """
    if not key:
        if not is_loopback(host):
            raise SettingsError(
                f"--host {host} lets other machines connect, so a key is needed: give a file "
                "with one by --key-file, or set MYNA_API_KEY"
            )
        return None
    if len(key) < MIN_KEY_CHARS or not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(
            f"the key must have {MIN_KEY_CHARS} or more ASCII characters, without spaces: make "
            "one with `python -c 'import secrets; print(secrets.token_urlsafe())'`"
        )
    return key


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 chooses a free one.

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


def url_of(listening: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run(server: Server, listening: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM; both end it without an error."""
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn installs its own handlers, and raises the signal again for these at the end.
        signal.signal(signal_number, lambda *_: None)
    server.run([listening])


class TimedConnection(H11Protocol):
    """uvicorn's HTTP connection, closed if no request arrives in time.

    uvicorn itself waits for ever: some hundred silent connections would block all others.

    A client that closes its sending side after a request still gets the answer. Whether it has
    not closed the whole connection shows only when something is sent: interim responses ("102
    Processing", RFC 2518; clients skip those that they do not know, RFC 9110 §15.2).
    """

    _head_timeout: asyncio.TimerHandle | None = None
    _probe: asyncio.TimerHandle | None = None
    _is_half_closed = False

    def eof_received(self) -> bool:  # type: ignore[override]
        """See asyncio: keep the connection as long as a response is due."""
        self._is_half_closed = True
        is_due = bool(self.cycle) and not self.cycle.response_started
        if is_due and not self.conn.trailing_data[0] and self.conn.their_state is h11.DONE:
            self._probe_client(SECOND_PROBE_SECONDS)  # the first one's refusal shows at the next
            return True
        return False

    def _probe_client(self, next_in: float) -> None:
        self._probe = None
        if self.transport.is_closing() or self.cycle.response_started:
            return
        if self.conn.their_http_version != b"1.0":
            interim = h11.InformationalResponse(status_code=102, headers=[], reason="Processing")
            self.transport.write(self.conn.send(interim) or b"")
        self._probe = self.loop.call_later(next_in, self._probe_client, PROBE_SECONDS)

    def on_response_complete(self) -> None:
        """See uvicorn: nothing can follow on a half-closed connection."""
        super().on_response_complete()
        if self._is_half_closed:
            self.transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        self._update_head_timeout()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        super().data_received(data)
        self._update_head_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        super().connection_lost(exc)
        self._cancel_head_timeout()
        if self._probe is not None:
            self._probe.cancel()

    def _update_head_timeout(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._cancel_head_timeout()
        elif self._head_timeout is None:  # bytes of an incomplete head do not extend it
            self._head_timeout = self.loop.call_later(HEAD_TIMEOUT_SECONDS, self.transport.close)

    def _cancel_head_timeout(self) -> None:
        if self._head_timeout is not None:
            self._head_timeout.cancel()
            self._head_timeout = None


class Server(uvicorn.Server):
    """uvicorn's server; at shutdown it waits for live replies."""

    def __init__(
        self, app: FastAPI, shutdown_seconds: float, ready: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=TimedConnection,
                lifespan="on",
                log_config=None,
                access_log=False,  # it contains paths and queries
                proxy_headers=False,  # any client could forge them
                server_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_graceful_shutdown=int(shutdown_seconds) + 5,
            )
        )
        self._streams: StreamRunner = app.state.streams
        self._shutdown_seconds = shutdown_seconds
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        closing = asyncio.ensure_future(self._streams.close(self._shutdown_seconds))
        await super().shutdown(sockets)
        await closing


@dataclass(frozen=True)
class ServerOptions:
    """Options of a server."""

    access: AccessRules = field(default_factory=AccessRules)
    limits: RequestLimits = field(default_factory=RequestLimits)
    reply_timeout_seconds: float = 120
    """Time limit of a request for replies, with the time in the queue."""
    shutdown_seconds: float = 10
    """Time that live replies have to end when the server shuts down."""


def create_app(models: ServedModels, rooms: Rooms, options: ServerOptions) -> FastAPI:
    """The OpenAI-compatible API, the room API, `/healthz` and `/metrics` as one ASGI app."""
    metrics = Metrics(models.queue, models.clone.tokenizer)
    app = create_app_without_clones(options, metrics)
    streams: StreamRunner = app.state.streams
    trusts_audience = options.access.listens_on_loopback
    watched_rooms, conductors = WatchedRooms(rooms, metrics), Conductors(streams)
    services = RoomServices(models, watched_rooms, streams, conductors, trusts_audience)
    app.state.room_api = services
    app.include_router(openai_routes.create_router(models, streams, metrics))
    app.include_router(room_routes.router)
    app.include_router(turn_routes.router)
    return app


def create_app_without_clones(options: ServerOptions, metrics: Metrics) -> FastAPI:
    """An app that can only be watched: for pages where there is no clone yet."""
    app = FastAPI(
        title="myna",
        version=__version__,
        docs_url=None,  # these pages load scripts from other servers
        redoc_url=None,
        lifespan=_lifespan,
        responses=errors.OPENAPI_ERRORS,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.streams = StreamRunner(options.reply_timeout_seconds)
    app.state.metrics = metrics
    app.state.room_api = None
    errors.install_error_handlers(app)
    app.add_exception_handler(ClientDisconnectedError, _on_disconnect)
    app.include_router(monitoring)
    _add_middleware(app, options, metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    api: RoomServices | None = app.state.room_api
    streams: StreamRunner = app.state.streams
    polling = asyncio.create_task(api.rooms.poll(streams.closing)) if api else None
    yield
    if api:
        api.conductors.close()
    await streams.close(0)
    if polling:
        await polling


async def _on_disconnect(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # only the access log sees it


monitoring = APIRouter(tags=["Operation"])
"""The paths for monitoring."""


@monitoring.head("/healthz", include_in_schema=False)  # as some monitors ask
@monitoring.get("/healthz")
async def healthz(request: Request) -> Response:
    """Report `ok`, or `closing` (503) while the server shuts down."""
    if request.app.state.streams.closing.is_set():
        return JsonResponse({"status": "closing"}, 503)
    return JsonResponse({"status": "ok"})


@monitoring.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Counts and latencies in Prometheus' text format."""
    page = request.app.state.metrics.prometheus_text()
    return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_middleware(app: FastAPI, options: ServerOptions, metrics: Metrics) -> None:
    """Add the middleware; requests pass it in reverse order."""

    def on_refused(why: str) -> None:
        metrics.refused.labels(why).inc()

    app.add_middleware(
        AccessControl, rules=options.access, limits=options.limits, on_refused=on_refused
    )
    if options.access.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(options.access.allowed_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Retry-After"],
        )
    app.add_middleware(MetricsMiddleware, metrics=metrics)
