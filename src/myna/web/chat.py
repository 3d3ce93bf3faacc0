"""The chat page."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from myna.web import shell

router = APIRouter(include_in_schema=False)
"""The chat page."""


@router.get("/")
async def chat_page(request: Request) -> Response:
    """Show the rooms and their chats."""
    return shell.render(request, "chat.html")
