"""`myna serve`: the clones for other programs, over HTTP."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._terminal import Adapter, Json, Set, emit, here, say

if TYPE_CHECKING:
    import socket
    from types import ModuleType

    from myna.persona.clone import Clone

NAME = "serve"
_MISSING = "fastapi", "uvicorn", "prometheus_client"


def command(
    ctx: typer.Context,
    host: Annotated[
        str, typer.Option(help="Where to listen; other than this machine only with a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    key_file: Annotated[
        Path | None,
        typer.Option(help="A file with the key that clients must have; or set MYNA_API_KEY."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another name that this server goes by."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="A web page that may use this server from a browser."),
    ] = None,
    default_author: Annotated[
        str, typer.Option(metavar="NAME", help="The author of messages that name none.")
    ] = "Me",
    waiting: Annotated[
        int, typer.Option(min=0, help="Replies that may wait; more are refused with 429.")
    ] = 32,
    rate: Annotated[int, typer.Option(min=1, help="Requests a minute from one address.")] = 600,
    adapter: Adapter = DEFAULT_ADAPTER,
    set_: Set = None,
    json_: Json = False,
) -> None:
    """Serve the clones to other programs: an OpenAI-compatible API, and rooms."""
    import os

    workspace = here(ctx)
    server = _server()
    from myna import config, people
    from myna.engines.queueing import Queue
    from myna.persona.clone import open_clone
    from myna.rooms.registry import Rooms
    from myna.rooms.store import Histories
    from myna.serving.access_control import AccessRules, RequestLimits
    from myna.serving.openai_chat import ServedModels
    from myna.serving.server import ServerOptions, create_app

    key = server.validated_key(_key(key_file, os.environ.get("MYNA_API_KEY")), host)
    settings = config.override(workspace.settings(), set_ or [])
    with server.bind(host, port) as listening:
        clone = open_clone(workspace, adapter, settings, say=say)
        try:
            queue = Queue(clone.engine.slots, waiting)
            histories = Histories(workspace.rooms_file)
            access = AccessRules(
                key=key,
                allowed_hosts=frozenset(n.casefold() for n in (*(allow_host or ()), host)),
                allowed_origins=frozenset(url.rstrip("/") for url in allow_origin or ()),
                listens_on_loopback=server.is_loopback(host),
            )
            options = ServerOptions(access=access, limits=RequestLimits(requests_per_minute=rate))
            models = ServedModels(clone, queue, adapter, people.plain_name(default_author))
            app = create_app(models, Rooms(clone, histories, queue), options)
            _log()
            ready = partial(_ready, listening, clone, models.ids(), json_=json_)
            server.run(server.Server(app, options.shutdown_seconds, ready), listening)
        finally:
            clone.close()


def _server() -> ModuleType:
    """The module that serves, where it is installed."""
    from myna.errors import EngineError

    try:
        from myna.serving import server
    except ModuleNotFoundError as error:
        if error.name not in _MISSING:
            raise
        raise EngineError(
            "the server is not installed: run `pip install 'myna[serve]'`, then this again"
        ) from error
    return server


def _key(file: Path | None, environment: str | None) -> str | None:
    from myna.errors import SettingsError

    if file is None:
        return environment
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the key in {file}: {error}") from error


def _log() -> None:
    """What happens, on standard error: never what is said, nor keys."""
    import logging

    form = logging.Formatter("%(asctime)s %(name)s %(message)s", "%H:%M:%S")
    handler = logging.StreamHandler()
    handler.setFormatter(form)
    for logger, level in (("myna", logging.INFO), ("uvicorn", logging.WARNING)):
        logging.getLogger(logger).addHandler(handler)
        logging.getLogger(logger).setLevel(level)


def _ready(listening: socket.socket, clone: Clone, models: list[str], *, json_: bool) -> None:
    from myna.serving import server

    url = server.url_of(listening)
    report: dict[str, Any] = {"url": url, "openai": f"{url}/v1", "models": models}
    if json_:
        emit(report)
        return
    say(f"{', '.join(clone.personas)} are at {url}")
    say(f"  Open WebUI, SillyTavern, AstrBot, openai: {url}/v1, any key")
    say(f"  curl {url}/v1/models")
    say("Ctrl-C ends it.")
