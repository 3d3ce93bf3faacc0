"""`myna serve`: an OpenAI-compatible API and rooms over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._progress import working
from myna.cli._terminal import Adapter, Json, LogFormatter, Set, note, open_workspace, print_json

if TYPE_CHECKING:
    import socket
    from types import ModuleType

    from fastapi import FastAPI

    from myna.config import Settings
    from myna.people import Scope
    from myna.persona.clone import Clone
    from myna.serving.server import ServerOptions
    from myna.workspace import Workspace

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
    max_upload: Annotated[
        float, typer.Option(min=0, metavar="GB", help="Largest export dropped on a page.")
    ] = 16,
    rate: Annotated[int, typer.Option(min=1, help="Requests a minute from one address.")] = 600,
    adapter: Adapter = DEFAULT_ADAPTER,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Serve the clones over HTTP: an OpenAI-compatible API, rooms, and pages."""
    import os

    workspace, settings = open_workspace(ctx, assignments)
    server = _import_server()
    from myna import people
    from myna.serving.access_control import AccessRules, RequestLimits
    from myna.web import app as pages
    from myna.web.first_run import has_clone

    key = server.validated_key(_read_key(key_file, os.environ.get("MYNA_API_KEY")), host)
    access = AccessRules(
        key=key,
        allowed_hosts=frozenset(n.casefold() for n in (*(allow_host or ()), host)),
        allowed_origins=frozenset(url.rstrip("/") for url in allow_origin or ()),
        listens_on_loopback=server.is_loopback(host),
        **(pages.ACCESS if web else {}),
    )
    options = server.ServerOptions(access=access, limits=RequestLimits(requests_per_minute=rate))
    serving = _Serving(workspace, settings, adapter, waiting, people.sanitize_name(default_author))
    _set_up_log()
    again = True
    with server.bind(host, port) as listening:
        while again:  # pages may ask for the newest clone
            again = False
            needs_clone = not web or has_clone(workspace, adapter)
            with serving.open_app(options, needs_clone=needs_clone) as (app, clone):
                on_ready = partial(_print_urls, listening, clone, serving.ids, as_json=as_json)
                process = server.Server(app, options.shutdown_seconds, on_ready)

                def restart(process: Any = process) -> None:
                    nonlocal again
                    again = process.should_exit = True

                if web:
                    upload_bytes = int(max_upload * 1e9)
                    services = pages.PageServices(workspace, access, restart, upload_bytes)
                    pages.add_pages(app, services)
                server.run(process, listening.dup())  # it is closed at the end


@dataclass
class _Serving:
    """The clone that a server talks with, opened again whenever it begins again."""

    workspace: Workspace
    settings: Settings
    adapter: str
    waiting: int
    author: str
    ids: list[str] = field(default_factory=list)
    """Names of the models."""
    has_begun: bool = False

    @contextmanager
    def open_app(
        self, options: ServerOptions, *, needs_clone: bool
    ) -> Iterator[tuple[FastAPI, Clone | None]]:
        """The app with its clone, which is closed afterwards; or without one, for its pages."""
        from myna.engines.queueing import Queue
        from myna.errors import MynaError
        from myna.persona.clone import open_clone
        from myna.rooms.registry import Rooms
        from myna.rooms.store import RoomStore
        from myna.serving.metrics import Metrics
        from myna.serving.openai_chat import ServedModels
        from myna.serving.server import create_app, create_app_without_clones

        scope: Scope = "owner" if options.access.listens_on_loopback else "group"
        clone = None
        try:
            if needs_clone:
                with working("loading the clone"):
                    clone = open_clone(
                        self.workspace, self.adapter, self.settings, scope=scope, report=note
                    )
        except MynaError as error:
            if not self.has_begun:
                raise
            note(f"myna: {error}")  # whoever looks at a page goes on looking
        self.has_begun = True
        if clone is None:
            yield create_app_without_clones(options, Metrics(Queue(1, 0), None)), None
            return
        try:
            queue = Queue(clone.engine.slots, self.waiting)
            models = ServedModels(clone, queue, self.adapter, self.author)
            self.ids[:] = models.ids()
            rooms = Rooms(clone, RoomStore(self.workspace.rooms_file), queue)
            yield create_app(models, rooms, options), clone
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


def _print_urls(
    listening: socket.socket, clone: Clone | None, models: list[str], as_json: bool
) -> None:
    from myna.serving import server

    url = server.url_of(listening)
    report: dict[str, Any] = {"url": url, "openai": f"{url}/v1", "models": models}
    if as_json:
        print_json(report)
        return
    from myna import people

    if clone is None:
        note(f"no clone yet: {url} leads to the first one; without a browser: `myna status`")
        note("Stop it with Ctrl-C.")
        return
    note(f"{', '.join(p + people.CLONE_MARK for p in clone.speakers())} are at {url}")
    note(f"  Open WebUI, SillyTavern, AstrBot, openai: {url}/v1, any API key")
    note(f"  curl {url}/v1/models")
    note("Stop it with Ctrl-C.")
