"""The training page and its API: runs, the live log, start and stop.

The files of a training are the truth (`log.jsonl`, `previews.jsonl`), whoever started it: the
page and a terminal read the same. A log is followed by its size and inode: a resumed run cuts
it and puts a new file in its place.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from myna import config, leftovers, stages
from myna.artifacts import PreparedInfo
from myna.choices import DEFAULT_ADAPTER
from myna.errors import MynaError
from myna.serving import background
from myna.serving.errors import ApiError, JsonResponse
from myna.serving.room_routes import RequestBody
from myna.serving.watched_rooms import Event
from myna.web import jobs, shell
from myna.web.commands import OwnerRoute, Space, event_stream, start_response
from myna.web.job_runner import command_line
from myna.workspace import Workspace, read_json, read_manifest

POLL_SECONDS = 0.5
"""Time between two looks at a log."""
MAX_POINTS = 2000
"""The most points of the first answer: of each bucket of steps the least and the greatest loss."""
MAX_LINE_BYTES = 20_000

router = APIRouter(prefix="/api/training", tags=["Training"], route_class=OwnerRoute)
"""The paths of trainings."""
page = APIRouter(include_in_schema=False)
"""The page."""

Point = dict[str, Any]
RunState = Literal["running", "stopped", "done"]


class NewTraining(RequestBody):
    """A training to start: the options of `myna train`."""

    adapter: str = Field(DEFAULT_ADAPTER, min_length=1, max_length=100)
    budget: str = Field("", max_length=20)
    epochs: float | None = Field(None, gt=0, le=1000)
    learning_rate: float | None = Field(None, gt=0, le=1)
    force: bool = False
    continue_training: bool = False
    dry_run: bool = False

    def arguments(self) -> list[str]:
        """The command's arguments."""
        changes = {"num_train_epochs": self.epochs, "learning_rate": self.learning_rate}
        flags = {
            "--force": self.force,
            "--continue": self.continue_training,
            "--dry-run": self.dry_run,
        }
        return [
            "train",
            *([f"--adapter={self.adapter}"] if self.adapter != DEFAULT_ADAPTER else []),
            *([f"--budget={self.budget}"] if self.budget else []),
            *(f"--set=train.{key}={value:g}" for key, value in changes.items() if value),
            *(flag for flag, wanted in flags.items() if wanted),
        ]


class AdapterName(RequestBody):
    """The name of an adapter."""

    adapter: str = Field(min_length=1, max_length=100)


@page.get("/training")
async def training_page(request: Request) -> Response:
    """Show the trainings."""
    return shell.render(request, "training.html")


@router.get("")
def list_runs(workspace: Space) -> Response:
    """List all trainings, the state of the samples, and the plan of the next training."""
    return JsonResponse({
        "runs": [run_json(workspace, name) for name in adapter_names(workspace)],
        "default": DEFAULT_ADAPTER,
        "samples": _samples(workspace),
        "settings": _settings(workspace),
        "job": _training_job(workspace),
        "cores": os.cpu_count(),
    })  # fmt: skip


@router.post("/start", status_code=202)
def start_training(new: NewTraining, workspace: Space) -> Response:
    """Start or resume a training as a job; `dry_run` measures and prints the plan."""
    if new.budget:
        config.seconds(new.budget)  # says what is wrong with it
    if _is_training(workspace, new.adapter):
        raise ApiError(409, f"adapter '{new.adapter}' is being trained already", code="busy")
    return start_response(workspace, new.arguments())


@router.post("/command")
def training_command(new: NewTraining) -> Response:
    """Tell the command that a start with these fields would be."""
    return JsonResponse({"command": command_line(new.arguments())})


@router.post("/stop")
def stop_training(which: AdapterName, workspace: Space) -> Response:
    """Stop a training after its step, wherever it was started: one SIGTERM."""
    lock = workspace.training_lock(which.adapter)
    if not _is_training(workspace, which.adapter):
        raise ApiError(409, f"adapter '{which.adapter}' is not being trained", code="not_running")
    try:
        os.kill(int(lock.read_text("ascii")), signal.SIGTERM)
    except (OSError, ValueError) as error:
        raise ApiError(409, f"it cannot be stopped from here: {error}", code="refused") from error
    return JsonResponse({"stopping": which.adapter})


@router.get("/log")
def read_run(
    workspace: Space,
    adapter: Annotated[str, Query(max_length=100)],
    part: Literal["training", "adapter"] | None = None,
) -> Response:
    """Get a training's points and sample replies: of the unfinished one, or of the adapter."""
    folder = _run_folder(workspace, adapter, part)
    tail = LogTail(folder / "log.jsonl")
    tail.read()
    return JsonResponse({
        "run": run_json(workspace, adapter),
        "points": thinned(tail.points),
        "previews": read_previews(folder),
    })  # fmt: skip


@router.get("/events", responses=background.EVENT_STREAM)
async def follow_run(
    request: Request,
    workspace: Space,
    adapter: Annotated[str, Query(max_length=100)],
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Follow an adapter's training: `reset`, `steps`, `previews`, `state`.

    A `reset` has all points (of many steps the least and greatest of each bucket): at the
    beginning, and when the log was cut or replaced. The id of an event is the log's inode and
    the last step.
    """
    workspace.adapter(adapter)  # refuses names that would lead elsewhere
    closing = request.app.state.streams.closing
    return event_stream(_run_events(workspace, adapter, last_event_id or "", closing))


async def _run_events(
    workspace: Workspace, adapter: str, last_id: str, closing: asyncio.Event
) -> AsyncIterator[Event]:
    """The events of one follower."""
    state: dict[str, Any] = {}
    previews: list[Point] = []
    folder = _run_folder(workspace, adapter, None)
    tail = LogTail(folder / "log.jsonl")
    is_first = True
    while not closing.is_set():
        here = _run_folder(workspace, adapter, None)
        if here != folder:  # it has ended, or begun anew
            folder, tail = here, LogTail(here / "log.jsonl")
        new, was_replaced = await asyncio.to_thread(tail.read)
        seen = _seen_step(last_id, tail) if is_first else None
        if seen is not None:
            new, was_replaced = [point for point in tail.points if point["step"] > seen], False
        if was_replaced or (is_first and seen is None):
            previews = read_previews(folder)
            data = {"points": thinned(tail.points), "previews": previews}
            yield Event(tail.event_id, "reset", data)
        elif new:
            yield Event(tail.event_id, "steps", {"points": new})
        if (told := read_previews(folder)) != previews:
            previews = told
            yield Event(tail.event_id, "previews", {"previews": previews})
        if (now := run_json(workspace, adapter)) != state:
            state = now
            yield Event(tail.event_id, "state", state)
        is_first = False
        await asyncio.sleep(POLL_SECONDS)


def _seen_step(last_id: str, tail: LogTail) -> int | None:
    """The last step that a follower has seen of this very log; None: of another, or none."""
    inode, _, step = last_id.rpartition("-")
    if inode and inode == f"{tail.inode:x}" and step.isdecimal():
        return int(step)
    return None


@dataclass
class LogTail:
    """A growing log: `points` has a dict for each step."""

    path: Path
    points: list[Point] = field(default_factory=list)
    inode: int = 0
    _offset: int = 0

    @property
    def event_id(self) -> str:
        """The log's inode and its last step."""
        return f"{self.inode:x}-{self.points[-1]['step'] if self.points else 0}"

    def read(self) -> tuple[list[Point], bool]:
        """Read whole new lines; return their points, and True if the log was cut or replaced."""
        try:
            with self.path.open("rb") as file:
                stat = os.fstat(file.fileno())
                was_replaced = stat.st_ino != self.inode or stat.st_size < self._offset
                if was_replaced:
                    self.points, self._offset, self.inode = [], 0, stat.st_ino
                file.seek(self._offset)
                data = file.read()
        except OSError:
            had_points = bool(self.points)
            self.points, self._offset, self.inode = [], 0, 0
            return [], had_points
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        new = [point for line in whole.splitlines() if (point := _point(line))]
        self.points += new
        return new, was_replaced


def _point(line: bytes) -> Point | None:
    """A step of a log; None of a damaged line."""
    try:
        step = json.loads(line[:MAX_LINE_BYTES])
        keys = ("step", "loss", "validation_loss", "tokens_per_second", "seconds_left")
        point = {key: step.get(key) for key in keys}
        return point if isinstance(point["step"], int) and _is_finite(point["loss"]) else None
    except (ValueError, AttributeError):
        return None


def _is_finite(loss: Any) -> bool:
    return isinstance(loss, int | float) and abs(loss) < float("inf")


def thinned(points: Sequence[Point], most: int = MAX_POINTS) -> list[Point]:
    """At most about so many points: first, last, validations, each bucket's least and greatest."""
    if len(points) <= most:
        return list(points)
    size = -(-len(points) // (most // 2))
    kept = {0, len(points) - 1}
    for start in range(0, len(points), size):
        bucket = range(start, min(start + size, len(points)))
        kept.add(min(bucket, key=lambda i: points[i]["loss"]))
        kept.add(max(bucket, key=lambda i: points[i]["loss"]))
        kept.update(i for i in bucket if points[i]["validation_loss"] is not None)
    return [points[i] for i in sorted(kept)]


def read_previews(folder: Path) -> list[Point]:
    """Sample replies by step; after a resumed run those that came later hold."""
    try:
        lines = (folder / "previews.jsonl").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    found: dict[tuple[int, str, str], Point] = {}
    for line in lines:
        try:
            preview = json.loads(line)
            found[preview["step"], preview["asked"], preview["person"]] = preview
        except (ValueError, KeyError, TypeError):
            continue  # a line that is being written
    return sorted(found.values(), key=lambda preview: preview["step"])


def adapter_names(workspace: Workspace) -> list[str]:
    """All adapters, trained or in training, by name."""
    folders = list((workspace.root / "adapters").glob("*"))
    done = {f.name for f in folders if not f.name.startswith(".") and f.is_dir()}
    begun = {f.name[1 : -len(".training")] for f in folders if f.name.endswith(".training")}
    return sorted(done | begun)


def run_json(workspace: Workspace, name: str) -> dict[str, Any]:
    """The state of an adapter's training, and its plan."""
    work, folder = workspace.training(name), workspace.adapter(name)
    is_running = _is_training(workspace, name)
    state: RunState = "running" if is_running else "stopped" if work.exists() else "done"
    plan = _read(work / "plan.json") if state != "done" else None
    if plan is None:
        training = (_read(folder / "adapter.json") or {}).get("training") or {}
        plan = training.get("plan") if state == "done" else None
    manifest = read_manifest(folder)
    return {
        "adapter": name,
        "state": state,
        "plan": plan,
        "made_at": manifest["made_at"] if manifest else None,
        "diverged": _text(work / "diverged"),
    }


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data: dict[str, Any] | None = read_json(path)
    except MynaError:
        return None
    return data


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return None


def _is_training(workspace: Workspace, name: str) -> bool:
    return leftovers.is_locked(workspace.training_lock(name))


def _run_folder(workspace: Workspace, name: str, part: str | None) -> Path:
    """The folder of an unfinished training, or else the adapter's."""
    work = workspace.training(name)
    if part == "adapter" or (part is None and not (work / "log.jsonl").exists()):
        return workspace.adapter(name)
    return work


def _samples(workspace: Workspace) -> dict[str, Any] | None:
    """Numbers of the prepared samples; None before `myna prepare`."""
    try:
        info = PreparedInfo.load(workspace)
        stale = stages.stale_samples(workspace, workspace.settings())
    except MynaError:
        return None
    return {
        "personas": info.personas,
        "samples": info.samples,
        "trained_tokens": info.trained_tokens,
        "stale": stale,
    }


def _settings(workspace: Workspace) -> dict[str, Any]:
    """The settings of myna.toml that a training page shows."""
    settings = workspace.settings()
    keys = ("num_train_epochs", "learning_rate", "budget", "method", "lora_r", "per_person")
    return {"base": settings.base, **settings.train.model_dump(include=set(keys))}


def _training_job(workspace: Workspace) -> dict[str, Any] | None:
    """The job that runs, whatever it is: no training can start beside it."""
    busy = jobs.running(workspace)
    return busy.to_json() if busy else None
