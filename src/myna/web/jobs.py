"""Commands of myna that the pages start: each a process of its own, with its output in a file.

    jobs/ID/
      job.json     Job: the command, and when it started
      output.txt   standard output and error, as they come
      lock         locked by the system as long as the job runs
      exit.txt     the exit status once it has ended, and "stopped" if that was asked for

A small process (`job_runner`) runs the command and writes down its end, so a
job outlives a closed tab and a server that starts again. One runs at a time: they would share
the same files and cores.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from myna import leftovers
from myna.errors import BusyError, WorkspaceError
from myna.web.job_runner import command_line
from myna.workspace import Workspace, explain_disk_errors, read_json, write_json

KEPT_JOBS = 20
"""Ended jobs whose output is kept."""
START_SECONDS = 60.0
"""Longest time until a job's process holds its lock."""
MAX_TAIL_BYTES = 400_000
"""The most of an output that is shown; of a longer one the end."""

State = Literal["running", "done", "failed", "stopped"]


@dataclass(frozen=True)
class Job:
    """A command that was started.

    Attributes:
        id: the name of its folder.
        commands: arguments of `myna`; each command runs once the one before has succeeded.
        started_at: ISO time in UTC.
        delete: folders that are deleted when it ends, such as an upload that was imported.
    """

    id: str
    commands: list[list[str]]
    started_at: str
    delete: list[str] = field(default_factory=list)

    @property
    def command(self) -> str:
        """The commands as they would be typed."""
        return " && ".join(map(command_line, self.commands))


@dataclass(frozen=True)
class JobState:
    """A job as it stands: `exit` is None while it runs, or where it was killed."""

    job: Job
    state: State
    exit: int | None

    def to_json(self) -> dict[str, Any]:
        """Plain data, without what is on the disk where."""
        job = self.job
        return {
            "id": job.id, "kind": job.commands[0][0], "command": job.command,
            "started_at": job.started_at, "state": self.state, "exit": self.exit,
        }  # fmt: skip


def start(workspace: Workspace, *commands: Sequence[str], delete: Sequence[Path] = ()) -> Job:
    """Start commands in the workspace, one after the other; return when the first runs.

    Raises:
        BusyError: another one runs.
        WorkspaceError: it did not start, or the disk is full.
    """
    at = datetime.now(UTC)
    job = Job(
        f"{at:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}", [list(arguments) for arguments in commands],
        at.isoformat(timespec="seconds"), [str(folder) for folder in delete],
    )  # fmt: skip
    folder = _folder(workspace, job.id)
    with explain_disk_errors(folder):
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        with leftovers.locked(folder.parent / "starting") as is_ours:
            if not is_ours or (busy := running(workspace)) is not None:
                what = busy.job.command if is_ours and busy else "a command"
                raise BusyError(f"`{what}` is running: wait for its end, or stop it")
            folder.mkdir(mode=0o700)
            write_json(folder / "job.json", asdict(job))
            (folder / "output.txt").touch(mode=0o600)
            runner = subprocess.Popen(  # noqa: S603  # a list, and no shell reads it
                [sys.executable, "-m", "myna.web.job_runner", str(folder)],
                cwd=workspace.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            threading.Thread(target=runner.wait, daemon=True, name="job").start()
            _wait_for_start(folder, runner)
    _remove_old(workspace)
    return job


def _wait_for_start(folder: Path, runner: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while not (folder / "pid.txt").exists():
        if time.monotonic() > until or runner.returncode:
            raise WorkspaceError(f"the command did not start: see {folder}")
        time.sleep(0.01)


def find(workspace: Workspace, job_id: str) -> JobState | None:
    """A job by its id; None if there is none."""
    if not re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{8}", job_id):
        return None
    folder = _folder(workspace, job_id)
    data = read_json(folder / "job.json")
    if data is None:
        return None
    job = Job(**data)
    end = folder / "exit.txt"
    is_running = leftovers.is_locked(folder / "lock")  # first: the end is written before
    if end.exists():
        status, *stopped = end.read_text("ascii").split() or ["1"]
        state: State = "done" if status == "0" else "stopped" if stopped else "failed"
        return JobState(job, state, int(status))
    return JobState(job, "running" if is_running else "failed", None)


def listed(workspace: Workspace) -> list[JobState]:
    """All jobs, the newest first."""
    names = sorted((path.name for path in workspace.jobs.glob("*-*")), reverse=True)
    return [state for name in names if (state := find(workspace, name)) is not None]


def running(workspace: Workspace) -> JobState | None:
    """The job that runs; None if none does."""
    return next((state for state in listed(workspace) if state.state == "running"), None)


def stop(workspace: Workspace, job_id: str) -> bool:
    """Ask a job to end, as Ctrl-C does: one SIGTERM. False if it does not run."""
    state = find(workspace, job_id)
    if state is None or state.state != "running":
        return False
    pid = int((_folder(workspace, job_id) / "pid.txt").read_text("ascii"))
    os.kill(pid, signal.SIGTERM)
    return True


def output(workspace: Workspace, job_id: str, start_at: int = 0) -> tuple[str, int]:
    """The whole lines of a job's output from a byte on, and the byte behind them.

    What a terminal would write over (up to a carriage return) is left out. The last line counts
    as whole once the job has ended.
    """
    state = find(workspace, job_id)
    path = _folder(workspace, job_id) / "output.txt"
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            start_at = max(0, min(start_at, size), size - MAX_TAIL_BYTES)
            file.seek(start_at)
            data = file.read()
    except FileNotFoundError:
        return "", 0
    if state is None or state.state == "running":
        data = data[: data.rfind(b"\n") + 1]
    text = data.decode("utf-8", "replace")
    lines = [line.rsplit("\r", 1)[-1] for line in text.replace("\r\n", "\n").split("\n")]
    return "\n".join(lines), start_at + len(data)


def _folder(workspace: Workspace, job_id: str) -> Path:
    return workspace.jobs / job_id


def _remove_old(workspace: Workspace) -> None:
    ended = [state for state in listed(workspace) if state.state != "running"]
    for state in ended[KEPT_JOBS:]:
        shutil.rmtree(_folder(workspace, state.job.id), ignore_errors=True)
