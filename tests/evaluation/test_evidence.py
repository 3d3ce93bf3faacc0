"""Evidence that was gathered is kept: a stopped run goes on where it was."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from myna.evaluation.evidence import Evidence

ITEMS = ["a", "b", "c", "d"]


class StoppedError(Exception):
    """The user pressed Ctrl-C."""


@pytest.fixture
def gather(tmp_path: Path) -> Callable[..., list[Any]]:
    """`Evidence.gather` in a folder of its own, without an adapter."""
    evidence = Evidence.__new__(Evidence)
    evidence.folder = tmp_path / ".group.unfinished"
    evidence.progress = lambda *_: None
    return evidence.gather


def upper(made: list[int], stop_at: int | None = None) -> Callable[[int, str], Any]:
    """Make a letter a capital one, and note its number; or stop there."""

    def make(i: int, item: str) -> Any:
        if i == stop_at:
            raise StoppedError
        made.append(i)
        return {"letter": item.upper()}

    return make


def test_a_stopped_run_goes_on_where_it_was(gather: Callable[..., list[Any]]) -> None:
    made: list[int] = []
    with pytest.raises(StoppedError):
        gather("some letters", ITEMS, upper(made, stop_at=2))
    assert made == [0, 1]
    assert gather("some letters", ITEMS, upper(made)) == [{"letter": c} for c in "ABCD"]
    assert made == [0, 1, 2, 3]
    gather("some letters", ITEMS, upper(made))
    assert made == [0, 1, 2, 3]  # nothing is made twice


def test_a_torn_last_line_is_made_again(gather: Callable[..., list[Any]], tmp_path: Path) -> None:
    made: list[int] = []
    gather("some letters", ITEMS[:2], upper(made))
    path = tmp_path / ".group.unfinished" / "some-letters.jsonl"
    path.write_bytes(path.read_bytes()[:-6])
    assert gather("some letters", ITEMS, upper(made)) == [{"letter": c} for c in "ABCD"]
    assert made == [0, 1, 1, 2, 3]
    kept = [json.loads(line)["letter"] for line in path.read_text("utf-8").splitlines()]
    assert kept == ["A", "B", "C", "D"]


def test_different_work_is_kept_apart(gather: Callable[..., list[Any]]) -> None:
    gather("some letters", ITEMS, lambda i, item: item)
    assert gather("other letters", ITEMS, lambda i, item: i) == [0, 1, 2, 3]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_the_user_can_read_what_is_kept(
    gather: Callable[..., list[Any]], tmp_path: Path
) -> None:
    gather("some letters", ITEMS, lambda i, item: item)
    assert stat.S_IMODE((tmp_path / ".group.unfinished").stat().st_mode) == 0o700
