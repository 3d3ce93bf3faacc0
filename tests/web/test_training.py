"""The training page: logs as they grow, are cut and replaced; start, stop, resume; a closed tab."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import run
from tests.serving.conftest import eventually
from tests.web.conftest import PHONE, Browsing, Home, serious
from tests.web.workspaces import FRIENDS, HOSTILE, log_lines, preview

from myna import leftovers
from myna.web.training import LogTail, read_previews, thinned


class TestTheLog:
    def test_only_whole_lines_are_read_and_each_once(self, tmp_path: Path) -> None:
        log = tmp_path / "log.jsonl"
        tail = LogTail(log)
        assert tail.read() == ([], False)
        lines = log_lines([1, 2, 3])
        log.write_text(lines[:-20])
        new, is_other = tail.read()
        assert ([point["step"] for point in new], is_other) == ([1, 2], True)
        with log.open("a") as file:
            file.write(lines[-20:] + "not json\n" + '{"step": 4, "loss": NaN}\n[]\n')
        assert [point["step"] for point in tail.read()[0]] == [3]
        assert tail.read() == ([], False)

    def test_a_resumed_run_cuts_it_and_the_curve_begins_anew(self, tmp_path: Path) -> None:
        log = tmp_path / "log.jsonl"
        log.write_text(log_lines(range(1, 9)))
        tail = LogTail(log)
        tail.read()
        leftovers.write_bytes(log, log_lines(range(1, 4)).encode())  # a new file in its place
        assert [point["step"] for point in tail.read()[0]] == [1, 2, 3]
        log.write_text(log_lines([1]))  # the same file, cut
        new, is_other = tail.read()
        assert (len(new), is_other, len(tail.points)) == (1, True, 1)
        log.unlink()
        assert tail.read() == ([], True)

    def test_of_many_steps_the_extremes_stay(self) -> None:
        points = [{"step": n, "loss": n % 17 / 4, "validation_loss": 2.0 if n == 777 else None}
                  for n in range(1, 30_001)]  # fmt: skip
        points[12_345]["loss"] = 99.0
        few = thinned(points, 2000)
        assert len(few) <= 2010
        assert few[0]["step"] == 1
        assert few[-1]["step"] == 30_000
        assert max(point["loss"] for point in few) == 99
        assert 777 in [point["step"] for point in few]
        assert thinned(points[:5]) == points[:5]

    def test_previews_of_a_resumed_run_hold(self, tmp_path: Path) -> None:
        (tmp_path / "previews.jsonl").write_text(
            preview(10, "old") + preview(5, "first") + preview(10, "new") + '{"st'
        )
        found = [(one["step"], one["reply"]) for one in read_previews(tmp_path)]
        assert found == [(5, "first"), (10, "new")]


def begin(home: Home, steps: int = 3) -> Path:
    """A training that was begun elsewhere: its folder."""
    work = home.space.training("group")
    work.mkdir()
    plan = {"steps": 40, "tokens": 4000, "epochs": 1.0, "reason": "1 epochs",
            "tokens_per_second": 300.0}  # fmt: skip
    (work / "plan.json").write_text(json.dumps(plan))
    (work / "log.jsonl").write_text(log_lines(range(1, steps + 1)))
    return work


def test_the_api_tells_runs_plans_and_commands(home: Home) -> None:
    begin(home)
    found = home.get("/api/training")
    assert [(run["adapter"], run["state"]) for run in found["runs"]] == [
        ("group", "stopped"), ("short", "done")
    ]  # fmt: skip
    assert sorted(found["samples"]["personas"]) == FRIENDS
    assert found["runs"][0]["plan"]["steps"] == 40
    log = home.get("/api/training/log?adapter=group")
    assert [point["step"] for point in log["points"]] == [1, 2, 3]
    older = home.get("/api/training/log?adapter=group&part=adapter")
    assert len(older["points"]) == 40
    options = {"budget": "2m", "adapter": "a b", "epochs": 0.5, "force": True}
    told = home.post("/api/training/command", options)["command"]
    assert told == "myna train '--adapter=a b' --budget=2m --set=train.num_train_epochs=0.5 --force"
    home.post("/api/training/start", {"budget": "soon"}, 409)
    home.post("/api/training/stop", {"adapter": "group"}, 409)
    home.get("/api/training/log?adapter=../../etc", 409)
    assert home.get("/api/training/log?adapter=nobody")["points"] == []


def test_a_follower_goes_on_where_it_was_unless_the_log_is_another(home: Home) -> None:
    work = begin(home, 5)
    url = "/api/training/events?adapter=group"

    def first_event(last: str) -> tuple[str, list[int]]:
        with (
            home.http() as http,
            http.stream("GET", url, headers={"Last-Event-ID": last}) as answer,
        ):
            kind = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    kind = line[7:]
                if line.startswith("data: "):
                    points = json.loads(line[6:]).get("points", [])
                    return kind, [point["step"] for point in points]
        raise AssertionError

    inode = (work / "log.jsonl").stat().st_ino
    assert first_event("") == ("reset", [1, 2, 3, 4, 5])
    assert first_event(f"{inode:x}-3") == ("steps", [4, 5])
    assert first_event(f"{inode + 1:x}-3") == ("reset", [1, 2, 3, 4, 5])


def test_a_run_started_in_a_terminal_is_seen_live_and_stopped_with_one_signal(
    home: Home, tmp_path: Path
) -> None:
    """A process that holds the lock as `myna train` does, and writes down its signals."""
    begin(home)
    lock = home.space.training_lock("group")
    script = (
        "import sys, os, signal, time, pathlib\n"
        "from myna import leftovers\n"
        "lock, told = map(pathlib.Path, sys.argv[1:])\n"
        "signal.signal(signal.SIGTERM, lambda *_: told.write_text(told.read_text() + 'T'))\n"
        "told.write_text('')\n"
        "with leftovers.locked(lock):\n"
        "    lock.write_text(str(os.getpid()))\n"
        "    while told.read_text() != 'T': time.sleep(0.05)\n"
    )
    told = tmp_path / "told"
    running = subprocess.Popen([sys.executable, "-c", script, str(lock), str(told)])
    try:
        eventually(lambda: home.get("/api/training")["runs"][0]["state"] == "running", 30)
        home.post("/api/training/start", {}, 409)
        home.post("/api/training/stop", {"adapter": "group"})
        assert running.wait(20) == 0
        assert told.read_text() == "T"
        assert home.get("/api/training")["runs"][0]["state"] == "stopped"
    finally:
        running.kill()


def test_two_trainings_of_one_adapter_are_refused(home: Home) -> None:
    with leftovers.locked(home.space.training_lock("group")):
        done = run(home.space.root, ["train", "--force"])
    assert done.status == 1
    assert done.err.splitlines()[-1].startswith("myna: adapter 'group' is being trained by")


def test_live_in_a_browser(at_home: Browsing, home: Home) -> None:
    work = begin(home, 1)
    with leftovers.locked(home.space.training_lock("group")):
        page = at_home.open("/training")
        page.get_by_text("1 of 40").wait_for()
        assert page.locator(".chart circle").count() >= 1  # a point from the first step on
        for step in range(2, 13):
            with (work / "log.jsonl").open("a") as file:
                file.write(log_lines([step]))
        (work / "previews.jsonl").write_text(preview(10, f"{HOSTILE} tea"))
        page.get_by_text("12 of 40").wait_for()
        page.get_by_text("After step 10").wait_for()
        page.get_by_text(f"{HOSTILE} tea").wait_for()
        assert page.locator(".chart-key").get_by_text("on held-out chats").count() == 1
        leftovers.write_bytes(work / "log.jsonl", log_lines(range(1, 6)).encode())  # resumed
        page.get_by_text("5 of 40").wait_for()
        page.reload()  # a closed tab loses nothing
        page.get_by_text("5 of 40").wait_for()
        page.get_by_label("Show short in the picture").check()
        page.get_by_text("short", exact=True).first.wait_for()
        assert page.locator("path.line").count() == 2
    page.get_by_role("button", name="Resume").wait_for()
    assert serious(page) == []


def test_the_form_says_the_command_and_starts_it(at_home: Browsing, home: Home) -> None:
    page = at_home.open("/training", viewport=PHONE)
    page.get_by_label("Longest time").fill("2m")
    page.get_by_text("myna train --budget=2m").wait_for()
    page.get_by_label("From the beginning").check()
    page.get_by_text("myna train --budget=2m --force").wait_for()
    page.get_by_role("button", name="Start").click()
    job = page.get_by_label("Command", exact=True)
    job.get_by_text("runs", exact=True).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    job.get_by_role("button", name="Stop").click()
    job.get_by_text("stopped", exact=True).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.model
def test_a_real_training_outlives_its_tab_stops_and_resumes(at_home: Browsing, home: Home) -> None:
    """With the embedded base: started on the page, seen by another tab, stopped, resumed."""
    page = at_home.open("/training")
    page.get_by_label("Longest time").fill("20s")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Name of the clone").fill("live")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("heading", name="Training", level=2).wait_for()
    page.close()
    log = home.space.training("live") / "log.jsonl"
    eventually(lambda: log.exists() and log.read_text().count("\n") >= 1, 120)
    home.post("/api/training/stop", {"adapter": "live"})
    [job] = home.get("/api/jobs")["jobs"]
    done = home.wait(job, 120)
    if "stopped after step" in done["output"]:  # else its last step was done before
        again = at_home.open("/training")
        again.get_by_role("button", name="live").click()
        again.get_by_role("button", name="Resume").click()
        eventually(lambda: home.get("/api/jobs")["jobs"][0]["state"] == "running", 20)
        job = home.get("/api/jobs")["jobs"][0]
        os.kill(int((home.space.jobs / job["id"] / "pid.txt").read_text()), signal.SIGTERM)
        home.wait(job, 120)
