"""Long works say at once what they do, and then how far they are."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console
from tests.chats import walks
from tests.cli.conftest import run

from myna.cli import _progress, _terminal, import_
from myna.cli._training_bar import TrainingBar
from myna.training.progress import StepMetrics


def test_without_a_terminal_each_work_begins_with_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with _progress.progress(unit="messages") as update:
        for done in (0, 50, 100):
            update("cleaning", done, 100)
        update("sorting")
    assert capsys.readouterr().err.splitlines() == ["cleaning: 100 messages", "sorting"]


def test_a_long_work_is_told_of_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_progress, "SECONDS_BETWEEN_LINES", 0.05)
    with _progress.working("loading"):
        time.sleep(0.4)
    first, *later = capsys.readouterr().err.splitlines()
    assert first == "loading"
    assert later
    assert all(re.fullmatch(r"loading: \d+ s so far", line) for line in later)


def test_the_time_left_is_by_what_is_done() -> None:
    lines = _progress.ProgressLines("bytes")
    lines.update("reading", 0, 2000)
    assert lines.line() == "reading: 0 of 2,000 bytes (0%)"
    lines._begun -= 60
    lines.update("reading", 500, 2000)
    lines.close()
    assert lines.line() == "reading: 500 of 2,000 bytes (25%), about 3 min left"


@pytest.mark.parametrize(
    ("seconds", "words"), [(3.2, "3 s"), (89, "89 s"), (200, "3 min"), (7500, "2 h 5 min")]
)
def test_durations_are_for_people(seconds: float, words: str) -> None:
    assert _progress.duration(seconds) == words


def test_notes_stand_on_lines_of_their_own_above_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    screen = Console(file=shown, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(_terminal, "console", lambda **_: screen)
    with _terminal.progress_bar(*TrainingBar.columns(), width=10) as bar:
        printer = TrainingBar(bar)
        _terminal.note("the plan")
        printer.step(StepMetrics(1, 40, 2.5, 1e-3, 100, 150.0, 100.0, 2.4, peak_share=1.5))
        bar.refresh()
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "\n", shown.getvalue()).splitlines()
    assert {"the plan", "step 1: validation loss 2.400"} <= {line.strip() for line in lines}
    whole = shown.getvalue()
    assert "None" not in whole
    assert "getting ready" in whole
    assert re.search(
        r"step 1 of 40\s.*loss 2.500  validation 2.400  150 tokens/s  2 min left", whole
    )


def test_ctrl_c_in_an_import_says_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, ["new", "friends"])
    first = tmp_path / "a.jsonl"
    first.write_text("".join(json.dumps(m) + "\n" for m in walks(30)), "utf-8")
    chat = "".join(f"01/05/2024, 10:{n:02} - Ana: line {n}\n" for n in range(20))
    (tmp_path / "WhatsApp Chat with Ana.txt").write_text(chat, "utf-8")

    @contextmanager
    def pressed(*_: object, **__: object) -> Iterator[_progress.Update]:
        def update(what: str, done: float = 0, total: float | None = None) -> None:
            if done > first.stat().st_size:
                raise KeyboardInterrupt

        yield update

    monkeypatch.setattr(import_, "progress", pressed)
    paths = ["../a.jsonl", "../WhatsApp Chat with Ana.txt"]
    stopped = run(tmp_path / "friends", ["import", *paths])
    assert stopped.status == 130
    assert (
        "stopped: 30 new messages of 1 of 2 files are kept; the same command goes on with the rest"
    ) in stopped.err
    monkeypatch.undo()
    assert run(tmp_path / "friends", ["import", *paths, "--json"]).json()["stored"] == 20
