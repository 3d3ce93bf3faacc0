"""The first run: from an empty workspace to the first chat, without a terminal.

The walk is read from the workspace each time, so a tab may be closed at any step:

    1. chats       `myna import`, or `myna demo` with the crew of Apollo 11
    2. you         `myna people me NAME`
    3. consent     `myna people allow NAME --asked …`
    4. the clone   `myna prepare && myna train --budget …`
    5. hello       the server opens the new clone
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from myna import config
from myna import people as people_
from myna.choices import DEFAULT_ADAPTER
from myna.errors import MynaError
from myna.serving.errors import ApiError, JsonResponse
from myna.serving.room_routes import RequestBody
from myna.web import jobs, shell
from myna.web.commands import OwnerRoute, Space, start_response
from myna.web.data import stage_states
from myna.workspace import Workspace, read_manifest

DEFAULT_BUDGET = "4m"

router = APIRouter(prefix="/api/start", tags=["First run"], route_class=OwnerRoute)
"""The paths of the walk."""
page = APIRouter(include_in_schema=False)
"""The page."""


class TrainingTime(RequestBody):
    """The longest time to train."""

    budget: str = Field(DEFAULT_BUDGET, min_length=1, max_length=20)


@page.get("/start")
async def first_run_page(request: Request) -> Response:
    """Show the walk."""
    reads_paths = request.app.state.pages.access.listens_on_loopback
    return shell.render(request, "start.html", reads_paths=reads_paths)


@router.get("")
def get_walk(request: Request, space: Space) -> Response:
    """Get the step at which the workspace is."""
    return JsonResponse({**walk(space), "is_served": _is_served(request)})


def walk(space: Workspace) -> dict[str, Any]:
    """The state of the walk: people, consents, stages, and the job that runs or ran last."""
    everyone = people_.load(space.people_file)
    listed = jobs.listed(space)
    return {
        "workspace": space.root.name,
        "has_messages": bool(space.message_files()),
        "me": everyone.me,
        "agreed": [p.name for p in everyone.persons if p.scope],
        "stages": {stage.name: stage.state for stage in stage_states(space)},
        "has_clone": has_clone(space),
        "budget": space.settings().train.budget or DEFAULT_BUDGET,
        "cores": os.cpu_count(),
        "job": listed[0].to_json() if listed else None,
    }


def has_clone(space: Workspace, adapter: str = DEFAULT_ADAPTER) -> bool:
    """True if there is an adapter to talk with."""
    try:
        return read_manifest(space.adapter(adapter)) is not None
    except MynaError:
        return False


def _is_served(request: Request) -> bool:
    """True if this server talks with a clone already."""
    return request.app.state.room_api is not None


@router.post("/make", status_code=202)
def make_clone(time: TrainingTime, space: Space) -> Response:
    """Prepare and train, as one job of two commands."""
    config.seconds(time.budget)  # says what is wrong with it
    return start_response(space, ["prepare"], ["train", f"--budget={time.budget}"])


@router.post("/demo", status_code=202)
def make_demo(time: TrainingTime, space: Space) -> Response:
    """Make the demo's clones in this workspace, which must be empty."""
    config.seconds(time.budget)
    if space.message_files():
        raise ApiError(409, "this workspace has chats already: the demo would mix with them")
    return start_response(space, ["demo", f"--budget={time.budget}", "."])


@router.post("/open", status_code=202)
def open_clone(request: Request, space: Space) -> Response:
    """Let the server begin again with the newest clone; pages wait for it and come back.

    Replies that are being generated end first.
    """
    if not has_clone(space):
        raise ApiError(409, "there is no clone yet: train one first", code="refused")
    restart = request.app.state.pages.restart
    if restart is None:
        raise ApiError(409, "start `myna serve` again to talk with it", code="refused")
    restart()
    return JsonResponse({"opening": True}, 202)
