"""A small group chat, and `myna` as its users run it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tests.chats import walks

from myna.cli import main


@dataclass(frozen=True)
class Done:
    """Output and exit status of a command."""

    out: str
    err: str
    status: int

    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)


Myna = Callable[..., Done]


def run(folder: Path, arguments: Sequence[str], typed: str = "") -> Done:
    """Run `myna` in a folder, without a terminal, in this process: that saves its start."""
    out, err = io.StringIO(), io.StringIO()
    status: Any = 0
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["myna", *arguments]),
        mock.patch.object(sys, "stdin", io.StringIO(typed)),
        mock.patch.dict(os.environ, COLUMNS="120"),
    ):
        try:
            main()
        except SystemExit as ended:
            status = ended.code
    return Done(out.getvalue(), err.getvalue(), status or 0)


def start(folder: Path, arguments: Sequence[str], typed: str = "") -> Done:
    """Run `myna` in a folder, without a terminal, as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "myna", *arguments],
        cwd=folder,
        input=typed,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": "120"},
        check=False,
    )
    return Done(done.stdout, done.stderr, done.returncode)


@pytest.fixture
def myna(tmp_path: Path) -> Myna:
    """`myna`, in an empty folder."""
    return lambda *arguments, typed="": run(tmp_path, arguments, typed)


@pytest.fixture(scope="session")
def friends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with prepared chats, for tests that copy it."""
    folder = tmp_path_factory.mktemp("road")
    export = folder / "walks.jsonl"
    export.write_text("".join(json.dumps(m) + "\n" for m in walks()), "utf-8")
    for line in (
        ["new", "friends"],
        ["-C", "friends", "import", "walks.jsonl", "--consent", "clone"],
        ["-C", "friends", "prepare", "--set", "samples.max_length=128"],
    ):
        done = run(folder, line)
        assert done.status == 0, done.err
    settings = folder / "friends" / "myna.toml"
    text = settings.read_text("utf-8")
    settings.write_text(text.replace("# batch_tokens = 1024", "batch_tokens = 256"), "utf-8")
    return folder / "friends"
