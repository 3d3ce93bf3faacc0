"""Temporary files: of live processes they stay, of dead ones they go, whatever they hold."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from tests.bots.world import letters
from tests.chats import walks
from tests.cli.conftest import run

from myna import leftovers, workspace
from myna.workspace import Workspace

HOLDER = """
import sys, time
from pathlib import Path
from myna import leftovers
target = Path(sys.argv[1])
with leftovers.temporary_folder(target) as new:
    (new / "text").write_text("secret")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return workspace.create(tmp_path / "friends")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.name.startswith("."))


def test_of_a_live_process_they_stay_and_of_a_killed_one_they_go(space: Workspace) -> None:
    command = [sys.executable, "-c", HOLDER, str(space.prepared)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        workspace.find(space.root)
        assert len(list(space.root.glob(".prepared.new-*/text"))) == 1
        assert leftovers.is_being_written(space.prepared)
        holder.kill()
    assert len(list(space.root.glob(".prepared.new-*/text"))) == 1
    workspace.find(space.root)
    assert names(space.root) == [".gitignore"]


@pytest.mark.parametrize(
    "left",
    [
        ".prepared.new-abcd_123/messages.parquet",
        "messages/.walks.new-abcd1234/0.parquet",
        "messages/walks/.0.parquet.new-abcd1234",
        "adapters/.group.training/checkpoints/.step-1.new-abcd1234/state",
        "adapters/group/.adapter.gguf.new-abcd1234.lock",
        "adapters/group/.parts-abcd1234/adapter.gguf",
        ".prepared.old/messages.parquet",
        "reports/.group.html.new-abcd1234",
    ],
)
def test_wherever_they_were_left(space: Workspace, left: str) -> None:
    space.prepared.mkdir()
    path = space.root / left
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("secret")
    workspace.find(space.root)
    assert not path.exists()


@pytest.mark.parametrize(
    "kept",
    [
        ".gitignore",
        "adapters/.group.training/begun.json",
        ".prepared.old/x",
        ".x.md",
        ".myna.toml.old",
    ],
)
def test_what_is_none_stays(space: Workspace, kept: str) -> None:
    path = space.root / kept
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    workspace.find(space.root)
    assert (space.prepared / "x" if "prepared" in kept else path).exists()


def test_beside_an_export_only_its_own_are_cleared(tmp_path: Path) -> None:
    for name in (".out.new-abcd1234", ".other.new-abcd1234", ".config.old"):
        (tmp_path / name).mkdir()
    (tmp_path / "config").mkdir()
    with leftovers.temporary_folder(tmp_path / "out"):
        pass
    assert names(tmp_path) == [".config.old", ".other.new-abcd1234"]


def test_files_and_folders_are_for_their_user_alone(tmp_path: Path) -> None:
    leftovers.write_bytes(tmp_path / "a", b"x")
    with leftovers.temporary_file(tmp_path / "b") as new:
        new.write_text("x")
        new.replace(tmp_path / "b")
    assert {oct((tmp_path / name).stat().st_mode & 0o777) for name in "ab"} == {"0o600"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_after_kills_in_every_stage_nothing_of_the_forgotten_is_left(tmp_path: Path) -> None:
    """Grep the whole workspace for a word that only the forgotten person wrote."""
    letters(tmp_path / "tiny")
    config = {"eos_token_id": 256, "max_position_embeddings": 512}
    (tmp_path / "tiny" / "config.json").write_text(json.dumps(config), "utf-8")
    said = walks(2000)
    for message in said:
        if message["author"] == "Ana":
            message["text"] += " marzipan"
    (tmp_path / "walks.jsonl").write_text("".join(json.dumps(m) + "\n" for m in said), "utf-8")
    space = tmp_path / "friends"
    myna = partial(run, tmp_path)
    myna(["new", "friends", "--base", str(tmp_path / "tiny")])
    draw = random.Random(5)
    for stage in (["import", "walks.jsonl", "--consent", "clone"], ["prepare"]):
        killed_in(tmp_path, stage, space, draw)
        done = myna(["-C", "friends", *stage])
        assert done.status == 0, done.err
    assert len(marked(space)) > 1, "the test would prove nothing"
    killed_in(tmp_path, ["prepare", "--force"], space, draw)
    assert hidden(space), "nor would it"
    killed_in(tmp_path, ["people", "forget", "Ana", "--yes"], space, draw)
    myna(["-C", "friends", "people", "forget", "Ana", "--yes"])
    assert marked(space) == []
    assert hidden(space) == set()


def hidden(space: Path) -> set[Path]:
    # Not `rglob`, which fails where a folder vanishes meanwhile.
    walked = ((folder, [*inner, *files]) for folder, inner, files in os.walk(space))
    found = (Path(folder, name) for folder, names in walked for name in names)
    return {path for path in found if path.name[0] == "." and ".new-" in path.name}


def killed_in(folder: Path, line: list[str], space: Path, draw: random.Random) -> None:
    """Kill a command at a random moment after it began to write."""
    before = hidden(space)
    with subprocess.Popen(
        [sys.executable, "-m", "myna", "-C", "friends", *line],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None and not hidden(space) - before:
            time.sleep(0.005)
        time.sleep(draw.random() * 0.1)
        process.kill()


def marked(space: Path) -> list[Path]:
    """The files in which the word stands, also in columns of Parquet."""
    import polars as pl

    found = []
    for path in sorted(space.rglob("*")):
        if path.is_file():
            text = path.read_bytes()
            if path.suffix == ".parquet" and text[-4:] == b"PAR1":
                text += str(pl.read_parquet(path).to_dicts()).encode()
            if b"marzipan" in text:
                found.append(path)
    return found
