"""The pages in the server's app."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from myna.serving.access_control import AccessRules
from myna.web import chat, login, shell
from myna.workspace import Workspace

ACCESS: dict[str, Any] = {
    "login_path": login.LOGIN_PATH,
    "static_prefixes": (shell.STATIC_PREFIX,),
    "guest_prefixes": (login.LOGIN_PATH,),
}
"""Fields of `AccessRules` that the pages need."""


@dataclass(frozen=True)
class PageServices:
    """The parts of a server that the pages use, as `app.state.pages`."""

    workspace: Workspace
    access: AccessRules


def add_pages(app: FastAPI, services: PageServices) -> None:
    """Add the pages to the server's app; its access rules need the fields of `ACCESS`."""
    app.state.pages = services
    for module in (shell, login, chat):
        app.include_router(module.router)
