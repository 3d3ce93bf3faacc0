"""A full disk, on a small real file system: one line, nothing lost, and it goes on afterwards."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.bots.world import letters
from tests.chats import walks
from tests.cli.conftest import Done, run
from tests.training.cases import make_base, workspace_of

from myna.errors import MynaError
from myna.rooms.store import RoomStore
from myna.workspace import Workspace


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = sys.platform == "linux" and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)],
        capture_output=True, check=False,
    ).returncode == 0  # fmt: skip
    if not mounted:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, left: int = 0) -> Path:
    """Fill a disk but for some bytes; delete the file to free it."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as out:
        try:
            while out.write(b"x" * 4096):
                pass
        except OSError:
            pass
        out.truncate(max(0, out.tell() - left))
    return path


def content(space: Path) -> dict[str, bytes]:
    """Every file of a workspace but for hidden ones and locks of SQLite."""
    files = (path for path in space.rglob("*") if path.is_file())
    return {p.as_posix(): p.read_bytes() for p in files if not p.name.startswith(".")}


def refused(done: Done) -> None:
    assert done.status == 1, done
    [line] = [line for line in done.err.splitlines() if "disk" in line]
    assert "the disk is full" in line
    assert "Traceback" not in done.err


def test_every_stage_says_so_in_one_line_and_goes_on_once_there_is_space(
    disk: Path, tmp_path: Path
) -> None:
    letters(tmp_path / "tiny")
    settings = {"eos_token_id": 256, "max_position_embeddings": 512}
    (tmp_path / "tiny" / "config.json").write_text(json.dumps(settings), "utf-8")
    for name, count in (("a", 300), ("b", 900)):
        lines = "".join(json.dumps(message) + "\n" for message in walks(count))
        (tmp_path / f"{name}.jsonl").write_text(lines, "utf-8")
    space = disk / "friends"
    myna = ["-C", str(space)]
    assert run(tmp_path, ["new", str(space), "--base", str(tmp_path / "tiny")]).status == 0
    done = run(tmp_path, [*myna, "import", "a.jsonl", "--consent", "clone"])
    assert done.status == 0, done.err
    for line, left in (
        (["import", "b.jsonl"], 8192),
        (["prepare"], 16384),
        (["people", "deny", "Ana"], 0),
    ):
        before = content(space)
        filler = fill(disk, left)
        refused(run(tmp_path, [*myna, *line]))
        filler.unlink()
        assert content(space) == before, line
        done = run(tmp_path, [*myna, *line])
        assert done.status == 0, (line, done.err)


def test_a_room_keeps_what_was_said_and_takes_more_later(disk: Path) -> None:
    with closing(RoomStore(Workspace(disk).rooms_file)) as store:
        store.save_settings("tea", {"humans": [], "personas": [], "audience": None})
        store.add("tea", "Ana", "before")
        filler = fill(disk)
        with pytest.raises(MynaError, match="full"):
            any(store.add("tea", "Ana", "x" * 2000) is None for _ in range(200))
        filler.unlink()
        store.add("tea", "Ana", "after")
        texts = [message.text for message in store.messages("tea")]
    assert (texts[0], texts[-1]) == ("before", "after")


QUICK = ["--set", "train.num_train_epochs=0.05", "--set", "train.validations=0"]
QUICK += ["--set", "train.previews=0"]
SMALL = ["--items", "10", "--rooms", "0"]


def test_training_measuring_and_exporting_too(disk: Path, tmp_path: Path) -> None:
    workspace_of(tmp_path / "friends", make_base(tmp_path / "tiny"))
    space = disk / "friends"
    shutil.copytree(tmp_path / "friends", space)
    for line, left in (
        (["train", *QUICK], 8192),
        (["evaluate", *SMALL], 4096),
        (["export", "openai"], 0),
        (["export", "merged"], 100_000),
    ):
        before = content(space)
        filler = fill(disk, left)
        refused(run(tmp_path, ["-C", str(space), *line]))
        filler.unlink()
        after = content(space)
        assert {name: after.get(name) for name in before} == before, line
        done = run(tmp_path, ["-C", str(space), *line])
        assert done.status == 0, (line, done.err)
