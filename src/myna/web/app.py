"""The pages in the server's app."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from myna.serving.access_control import AccessRules
from myna.web import (
    chat,
    commands,
    data,
    first_run,
    game_routes,
    login,
    report,
    shell,
    training,
    uploads,
)
from myna.workspace import Workspace

ACCESS: dict[str, Any] = {
    "login_path": login.LOGIN_PATH,
    "static_prefixes": (shell.STATIC_PREFIX,),
    "guest_prefixes": (login.LOGIN_PATH, *game_routes.GUEST_PREFIXES),
}
"""Fields of `AccessRules` that the pages need."""


@dataclass(frozen=True)
class PageServices:
    """The parts of a server that the pages use, as `app.state.pages`."""

    workspace: Workspace
    access: AccessRules
    restart: Callable[[], None] | None = None
    """Ends the server, which then begins again with the newest clone; None: it cannot."""
    max_upload_bytes: int = uploads.MAX_UPLOAD_BYTES


def add_pages(app: FastAPI, services: PageServices) -> None:
    """Add the pages to the server's app; its access rules need the fields of `ACCESS`."""
    app.state.pages = services
    for module in (shell, login, chat, commands, uploads, data, training, report, first_run):
        app.include_router(module.router)
    for router in (game_routes.router, game_routes.guest_router):
        app.include_router(router)
    for module in (data, training, report, first_run, game_routes):
        app.include_router(module.page)
