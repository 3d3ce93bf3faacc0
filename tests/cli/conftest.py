"""A small group chat, and `myna` as its users run it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

STARTS = {
    "Ana": ["who is coming", "I brought", "never again", "look at"],
    "Ben": ["honestly", "no way", "I would rather have", "ok but"],
    "Cy": ["lol", "where are", "did you see", "soup beats"],
}
THINGS = ["the lake", "soup", "that hill", "two bikes", "the rain", "a tent", "cold tea"]


def chat(messages: int = 160) -> list[dict[str, Any]]:
    """Three friends planning walks, a message a minute, with a night now and then."""
    chance = random.Random(5)
    said = []
    minute = 0
    for number in range(messages):
        minute += 1 if number % 40 else 600
        author = chance.choice(list(STARTS))
        text = f"{chance.choice(STARTS[author])} {chance.choice(THINGS)}"
        stamp = f"2024-05-{1 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:00Z"
        said.append(
            {"id": str(number), "channel": "walks", "author": author, "text": text,
             "timestamp": stamp}
        )  # fmt: skip
    return said


@dataclass(frozen=True)
class Done:
    """What a command printed, and how it ended."""

    out: str
    err: str
    status: int

    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)


Myna = Callable[..., Done]


def run(folder: Path, arguments: Sequence[str], typed: str | None = None) -> Done:
    """Run `myna` in a folder, without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "myna", *arguments],
        cwd=folder,
        input=typed if typed is not None else "",
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": "120"},
        check=False,
    )
    return Done(done.stdout, done.stderr, done.returncode)


@pytest.fixture
def myna(tmp_path: Path) -> Myna:
    """`myna`, in an empty folder."""
    return lambda *arguments, typed=None: run(tmp_path, arguments, typed)


@pytest.fixture(scope="session")
def friends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with prepared chats, for tests that copy it."""
    folder = tmp_path_factory.mktemp("road")
    export = folder / "walks.jsonl"
    export.write_text("".join(json.dumps(m) + "\n" for m in chat()), "utf-8")
    for line in (
        ["new", "friends"],
        ["-C", "friends", "import", "walks.jsonl", "--consent", "clone"],
        ["-C", "friends", "prepare", "--set", "samples.max_tokens=128"],
    ):
        done = run(folder, line)
        assert done.status == 0, done.err
    settings = folder / "friends" / "myna.toml"
    text = settings.read_text("utf-8").replace("# max_tokens = 512", "max_tokens = 128")
    settings.write_text(text.replace("# batch_tokens = 1024", "batch_tokens = 256"), "utf-8")
    return folder / "friends"
