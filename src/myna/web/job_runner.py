"""Run a job's commands to their end: `python -m myna.web.job_runner FOLDER`.

It is a process of its own, which imports little; `myna.web.jobs` starts it, and says what is in
the folder.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from myna import leftovers


def command_line(arguments: Sequence[str]) -> str:
    """A command of myna as it would be typed in a shell."""
    return shlex.join(["myna", *arguments])


def environment() -> dict[str, str]:
    """The environment of a command: UTF-8, unbuffered, and lines of a fixed width."""
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:replace",
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }


def run(folder: Path) -> int:
    """Run a job's commands to their end, in this process's own session; return the status."""
    os.umask(0o077)
    job = json.loads((folder / "job.json").read_text("utf-8"))
    children: list[subprocess.Popen[bytes]] = []
    is_stopped = False

    def stop_now(*_: object) -> None:
        nonlocal is_stopped
        is_stopped = True
        for child in children[-1:]:
            child.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop_now)
    status = 0
    with leftovers.locked(folder / "lock"), (folder / "output.txt").open("ab", 0) as out:
        leftovers.write_bytes(folder / "pid.txt", str(os.getpid()).encode())
        for arguments in job["commands"]:
            out.write(f"$ {command_line(arguments)}\n".encode())
            child = subprocess.Popen(  # noqa: S603  # a list, and no shell reads it
                [sys.executable, "-m", "myna", *arguments],
                cwd=folder.parents[1],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment(),
            )
            children.append(child)
            if is_stopped:  # before there was a child to tell
                child.terminate()
            status = child.wait()
            if status or is_stopped:
                break
        for left in job["delete"]:
            shutil.rmtree(left, ignore_errors=True)
        end = f"{status} stopped" if is_stopped else str(status)
        leftovers.write_bytes(folder / "exit.txt", end.encode())
    return status


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])) != 0)
