"""The pages to talk on: the chat, and the raw prompt."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from myna.web import shell

router = APIRouter(include_in_schema=False)
"""The pages to talk on."""


@router.get("/")
async def chat_page(request: Request) -> Response:
    """Show the rooms and their chats; without a clone, the way to the first one."""
    return _with_clone(request, "chat.html")


@router.get("/prompt")
async def prompt_page(request: Request) -> Response:
    """Show the exact text that the model sees, to edit and continue it."""
    return _with_clone(request, "prompt.html")


def _with_clone(request: Request, template: str) -> Response:
    if request.app.state.room_api is None:
        return RedirectResponse("/start", 303)
    return shell.render(request, template)
