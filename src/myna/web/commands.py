"""The API of jobs, and what all of the owner's APIs share: a page does what a command does.

Whatever changes something runs as `python -m myna …`: short commands while the request waits,
long ones as jobs. So a page and a terminal cannot do different things, and each form shows the
line that does the same.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from myna.errors import BusyError, MynaError
from myna.serving import background
from myna.serving.errors import ApiError, JsonResponse
from myna.serving.watched_rooms import Event
from myna.web import job_runner, jobs
from myna.workspace import Workspace

COMMAND_SECONDS = 120
"""Longest time of a short command."""
POLL_SECONDS = 0.3
"""Time between two looks at the output of a job."""


class OwnerRoute(APIRoute):
    """A path of the owner's: an error of myna's is told as a command would, and is no failure."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI."""
        handle = super().get_route_handler()

        async def handle_errors(request: Request) -> Response:
            try:
                return await handle(request)
            except BusyError as error:
                raise ApiError(409, str(error), code="busy") from error
            except MynaError as error:
                raise ApiError(409, str(error), code="refused") from error

        return handle_errors


router = APIRouter(prefix="/api/jobs", tags=["Jobs"], route_class=OwnerRoute)
"""The paths of jobs."""


def _workspace(request: Request) -> Workspace:
    workspace: Workspace = request.app.state.pages.workspace
    return workspace


Space = Annotated[Workspace, Depends(_workspace)]
"""The workspace that is served."""


@dataclass(frozen=True)
class Done:
    """A short command that has run: its line, its exit status, and the lines that it printed."""

    command: str
    status: int
    lines: list[str]


def run(workspace: Workspace, arguments: Sequence[str]) -> Done:
    """Run a short command in the workspace.

    Raises:
        ApiError: it failed; the message is the line that it printed.
    """
    try:
        done = subprocess.run(  # noqa: S603  # a list, and no shell reads it
            [sys.executable, "-m", "myna", *arguments],
            cwd=workspace.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=job_runner.environment(),
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ApiError(504, f"{job_runner.command_line(arguments)}: it took too long") from error
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    if done.returncode:
        message = lines[-1].removeprefix("myna: ") if lines else "the command failed"
        raise ApiError(409, message, code="refused")
    return Done(job_runner.command_line(arguments), done.returncode, lines)


def run_response(workspace: Workspace, arguments: Sequence[str]) -> Response:
    """Run a short command; the response has its lines."""
    return JsonResponse(asdict(run(workspace, arguments)))


def start_response(
    workspace: Workspace, *commands: Sequence[str], delete: Sequence[Path] = ()
) -> Response:
    """Start commands as a job; the response has its id."""
    job = jobs.start(workspace, *commands, delete=delete)
    return JsonResponse({"job": jobs.JobState(job, "running", None).to_json()}, 202)


@router.get("")
def list_jobs(workspace: Space) -> Response:
    """List the commands that pages started, the newest first."""
    return JsonResponse({"jobs": [state.to_json() for state in jobs.listed(workspace)]})


def _find(workspace: Workspace, job: str) -> jobs.JobState:
    state = jobs.find(workspace, job)
    if state is None:
        raise ApiError(404, "there is no such job", code="job_not_found")
    return state


@router.get("/{job}")
def get_job(job: str, workspace: Space) -> Response:
    """Get a job with its output so far."""
    state = _find(workspace, job)
    text, _ = jobs.output(workspace, job)
    return JsonResponse({"job": state.to_json(), "output": text})


@router.post("/{job}/stop")
def stop_job(job: str, workspace: Space) -> Response:
    """Ask a job to end: a training writes a checkpoint first."""
    _find(workspace, job)
    return JsonResponse({"stopping": jobs.stop(workspace, job)})


@router.get("/{job}/events", responses=background.EVENT_STREAM)
async def follow_job(
    job: str,
    request: Request,
    workspace: Space,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Follow a job: `output` with new lines, and `end` with its state.

    The id of an event is the byte from which to go on.
    """
    _find(workspace, job)
    start_at = int(last_event_id) if (last_event_id or "").isdecimal() else 0  # type: ignore[arg-type]
    closing = request.app.state.streams.closing
    return event_stream(_job_events(workspace, job, start_at, closing))


async def _job_events(
    workspace: Workspace, job: str, start_at: int, closing: asyncio.Event
) -> AsyncIterator[Event]:
    while not closing.is_set():
        state = jobs.find(workspace, job)  # before its output, or the last lines would be missed
        text, end = await asyncio.to_thread(jobs.output, workspace, job, start_at)
        if end > start_at:
            start_at = end
            yield Event(str(end), "output", {"text": text})
        if state is None or state.state != "running":
            yield Event(str(start_at), "end", state.to_json() if state else {})
            return
        await asyncio.sleep(POLL_SECONDS)


def event_stream(events: AsyncIterator[Event]) -> Response:
    """A response of server-sent events, with pings while there are none."""

    async def texts() -> AsyncIterator[str]:
        try:
            yield background.PING
            async with aclosing(background.with_pings(events)) as pinged:
                async for event in pinged:
                    if event is None:
                        yield background.PING
                    else:
                        data, kind = event.data, event.kind
                        yield background.server_sent_event(data, event=kind, id=event.id)
        finally:
            await events.aclose()  # type: ignore[attr-defined]  # it is a generator

    return background.EventStream(texts())
