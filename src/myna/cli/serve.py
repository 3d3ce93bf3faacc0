"""`myna serve`: an OpenAI-compatible API and rooms over HTTP."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._terminal import Adapter, Json, LogFormatter, Set, note, open_workspace, print_json

if TYPE_CHECKING:
    import socket
    from types import ModuleType

    from myna.people import Scope
    from myna.persona.clone import Clone

NAME = "serve"
_SERVER_PACKAGES = "fastapi", "uvicorn", "prometheus_client"


def command(
    ctx: typer.Context,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine only with a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8000,
    key_file: Annotated[
        Path | None,
        typer.Option(help="File with the API key that clients must send; or set MYNA_API_KEY."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Additional allowed Host header; may be repeated."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Allowed CORS origin of web pages; may be repeated."),
    ] = None,
    default_author: Annotated[
        str, typer.Option(metavar="NAME", help="Default author name of messages without one.")
    ] = "Me",
    waiting: Annotated[
        int, typer.Option(min=0, help="Longest queue of replies; more get status 429.")
    ] = 32,
    web: Annotated[
        bool, typer.Option("--web/--no-web", help="Pages for the browser, beside the API.")
    ] = True,
    rate: Annotated[int, typer.Option(min=1, help="Requests a minute from one address.")] = 600,
    adapter: Adapter = DEFAULT_ADAPTER,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Serve the clones over HTTP: an OpenAI-compatible API, and rooms."""
    import os

    workspace, settings = open_workspace(ctx, assignments)
    server = _import_server()
    from myna import people
    from myna.engines.queueing import Queue
    from myna.persona.clone import open_clone
    from myna.rooms.registry import Rooms
    from myna.rooms.store import RoomStore
    from myna.serving.access_control import AccessRules, RequestLimits
    from myna.serving.openai_chat import ServedModels
    from myna.serving.server import ServerOptions, create_app
    from myna.web import app as pages

    key = server.validated_key(_read_key(key_file, os.environ.get("MYNA_API_KEY")), host)
    with server.bind(host, port) as listening:
        scope: Scope = "owner" if server.is_loopback(host) else "group"
        clone = open_clone(workspace, adapter, settings, scope=scope, report=note)
        try:
            queue = Queue(clone.engine.slots, waiting)
            store = RoomStore(workspace.rooms_file)
            access = AccessRules(
                key=key,
                allowed_hosts=frozenset(n.casefold() for n in (*(allow_host or ()), host)),
                allowed_origins=frozenset(url.rstrip("/") for url in allow_origin or ()),
                listens_on_loopback=server.is_loopback(host),
                **(pages.ACCESS if web else {}),
            )
            options = ServerOptions(access=access, limits=RequestLimits(requests_per_minute=rate))
            models = ServedModels(clone, queue, adapter, people.sanitize_name(default_author))
            app = create_app(models, Rooms(clone, store, queue), options)
            if web:
                pages.add_pages(app, pages.PageServices(workspace, access))
            _set_up_log()
            on_ready = partial(_print_urls, listening, clone, models.ids(), as_json=as_json)
            server.run(server.Server(app, options.shutdown_seconds, on_ready), listening)
        finally:
            clone.close()


def _import_server() -> ModuleType:
    """The server module; EngineError if it is not installed."""
    from myna.errors import EngineError

    try:
        from myna.serving import server
    except ModuleNotFoundError as error:
        if error.name not in _SERVER_PACKAGES:
            raise
        raise EngineError(
            "the server is not installed: run `pip install 'myna[serve]'`, then this again"
        ) from error
    return server


def _read_key(file: Path | None, environment: str | None) -> str | None:
    from myna.errors import SettingsError

    if file is None:
        return environment
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the key in {file}: {error}") from error


def _set_up_log() -> None:
    """Log to standard error; no message and no key is ever logged."""
    import logging

    formatter = LogFormatter("%(asctime)s %(name)s %(message)s", "%H:%M:%S")
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    for logger, level in (("myna", logging.INFO), ("uvicorn", logging.WARNING)):
        logging.getLogger(logger).addHandler(handler)
        logging.getLogger(logger).setLevel(level)


def _print_urls(listening: socket.socket, clone: Clone, models: list[str], as_json: bool) -> None:
    from myna.serving import server

    url = server.url_of(listening)
    report: dict[str, Any] = {"url": url, "openai": f"{url}/v1", "models": models}
    if as_json:
        print_json(report)
        return
    from myna import people

    note(f"{', '.join(p + people.CLONE_MARK for p in clone.speakers())} are at {url}")
    note(f"  Open WebUI, SillyTavern, AstrBot, openai: {url}/v1, any API key")
    note(f"  curl {url}/v1/models")
    note("Stop it with Ctrl-C.")
