"""Commands that pages start: they outlive a tab, run one at a time, and tell their end."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from tests.web.conftest import Home

from myna.errors import BusyError
from myna.web import jobs
from myna.workspace import Workspace, create


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return create(tmp_path / "friends")


def ended(space: Workspace, job: jobs.Job) -> jobs.JobState:
    until = time.monotonic() + 240  # a busy machine
    while (state := jobs.find(space, job.id)) and state.state == "running":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert state
    return state


def test_commands_run_one_after_the_other_until_one_fails(space: Workspace) -> None:
    (space.root / "uploads" / "x").mkdir(parents=True)
    left = space.root / "uploads" / "x"
    job = jobs.start(space, ["status"], ["prepare"], ["status"], delete=[left])
    assert job.command == "myna status && myna prepare && myna status"
    with pytest.raises(BusyError, match="myna status && myna prepare"):
        jobs.start(space, ["status"])
    state = ended(space, job)
    assert (state.state, state.exit) == ("failed", 1)
    text, end = jobs.output(space, job.id)
    lines = text.splitlines()
    assert lines[0] == "$ myna status"
    assert lines.count("$ myna status") == 1
    assert "$ myna prepare" in lines
    assert lines[-1].startswith("myna: ")
    assert jobs.output(space, job.id, end) == ("", end)
    assert not left.exists()
    assert (space.root / "jobs" / job.id / "output.txt").stat().st_mode & 0o077 == 0


def test_a_job_that_was_killed_is_not_running(space: Workspace) -> None:
    job = jobs.start(space, ["status"])
    pid = int((space.jobs / job.id / "pid.txt").read_text())
    os.kill(pid, signal.SIGKILL)
    state = ended(space, job)
    assert state.state == "failed"
    assert jobs.running(space) is None


def test_a_job_that_was_stopped_has_not_failed(space: Workspace) -> None:
    job = jobs.start(space, ["doctor"], ["status"])
    assert jobs.stop(space, job.id)
    assert ended(space, job).state == "stopped"
    assert "$ myna status" not in jobs.output(space, job.id)[0]
    assert not jobs.stop(space, job.id)


@pytest.mark.parametrize("name", ["..", "../friends", "20260101-000000-0000000g", ""])
def test_no_id_leads_out_of_the_folder(space: Workspace, name: str) -> None:
    assert jobs.find(space, name) is None


def test_a_page_follows_a_job_and_goes_on_where_it_was(home: Home) -> None:
    job = home.post("/api/data/prepare", status=202)["job"]
    home.post("/api/data/prepare", status=409)
    done = home.wait(job)
    assert done["job"]["state"] == "done"
    with home.http() as http:
        events = http.get(f"/api/jobs/{job['id']}/events").text
        assert "nothing has changed" in events
        assert "event: end" in events
        last = events.rpartition("id: ")[2].split()[0]
        again = http.get(f"/api/jobs/{job['id']}/events", headers={"Last-Event-ID": last}).text
        assert "event: output" not in again
        assert "event: end" in again
        assert http.get("/api/jobs/none/events").status_code == 404
