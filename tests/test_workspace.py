"""A project folder: whatever is written appears whole or not at all."""

from __future__ import annotations

import errno
import json
import stat
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from myna import config, workspace
from myna.errors import WorkspaceError
from myna.workspace import Workspace


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return workspace.create(tmp_path / "friends")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is flushed to the disk does not fit there."""

    def no_room(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(workspace.os, "fsync", no_room)


def content(folder: Path) -> dict[str, str]:
    return {str(f.relative_to(folder)): f.read_text() for f in folder.rglob("*") if f.is_file()}


class TestCreate:
    def test_a_workspace_is_private_and_kept_out_of_repositories(self, space: Workspace) -> None:
        assert stat.S_IMODE(space.root.stat().st_mode) == 0o700
        assert (space.root / ".gitignore").read_text() == "*\n"
        assert space.settings() == config.Settings()

    def test_it_is_not_made_twice(self, space: Workspace) -> None:
        space.settings_file.write_text("base = 'mine'")
        with pytest.raises(WorkspaceError, match="is a myna workspace already"):
            workspace.create(space.root)
        assert space.settings().base == "mine"

    def test_nor_in_a_repository(self, tmp_path: Path) -> None:
        (tmp_path / ".gitignore").write_text("build/\n")
        with pytest.raises(WorkspaceError, match=r"has a \.gitignore of its own"):
            workspace.create(tmp_path)
        assert content(tmp_path) == {".gitignore": "build/\n"}

    def test_where_a_file_is_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "friends").write_text("")
        with pytest.raises(WorkspaceError, match=r"cannot write .*friends"):
            workspace.create(tmp_path / "friends")

    @pytest.mark.usefixtures("full_disk")
    def test_on_a_full_disk_there_is_no_half_a_workspace(self, tmp_path: Path) -> None:
        with pytest.raises(WorkspaceError, match="the disk is full"):
            workspace.create(tmp_path / "friends")
        with pytest.raises(WorkspaceError, match="not in a myna workspace"):
            workspace.find(tmp_path / "friends")


class TestFind:
    def test_from_any_folder_within(self, space: Workspace) -> None:
        (space.root / "a" / "b").mkdir(parents=True)
        assert workspace.find(space.root / "a" / "b") == space

    def test_outside_it_says_how_to_make_one(self, tmp_path: Path) -> None:
        with pytest.raises(WorkspaceError, match="make one with `myna new NAME`"):
            workspace.find(tmp_path)

    def test_it_brings_back_what_a_kill_left_between_two_renames(self, space: Workspace) -> None:
        for stage in (space.prepared, space.adapter("group")):
            old = stage.with_name(f".{stage.name}.old")
            old.mkdir(parents=True)
            (old / "x").write_text("old")
        workspace.find(space.root)
        assert content(space.prepared) == content(space.adapter("group")) == {"x": "old"}


@pytest.mark.parametrize("name", [
    "", ".", "..", "../x", "a/b", ".hidden", "/x", "a\nb", "a\x1b[2J", "a ", "a\u202eb", "x" * 101,
])  # fmt: skip
def test_an_adapters_name_is_plain_and_leads_nowhere_else(space: Workspace, name: str) -> None:
    with pytest.raises(WorkspaceError, match="is not a name for an adapter"):
        space.adapter(name)


class TestWriting:
    def test_a_file_is_replaced_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "x.json"
        workspace.write_json(path, {"é": 1})
        assert workspace.read_json(path) == {"é": 1}
        assert "é" in path.read_text("utf-8")

    @pytest.mark.usefixtures("full_disk")
    def test_a_failure_leaves_the_old_file_and_no_other(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_text("old")
        with pytest.raises(OSError, match="No space"):
            workspace.write_text(tmp_path / "x", "new")
        assert content(tmp_path) == {"x": "old"}

    def test_damaged_json_says_which_file_and_what_to_do(self, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text('{"a": ')
        with pytest.raises(WorkspaceError, match=r"x.json is damaged .*: delete it and run"):
            workspace.read_json(tmp_path / "x.json")
        assert workspace.read_json(tmp_path / "absent.json") is None


class TestFolder:
    @pytest.fixture
    def target(self, tmp_path: Path) -> Path:
        with workspace.atomic_folder(tmp_path / "stages" / "prepared") as new:
            (new / "x").write_text("old")
        return tmp_path / "stages" / "prepared"

    def test_the_new_one_takes_the_place_of_the_old(self, target: Path) -> None:
        with workspace.atomic_folder(target) as new:
            (new / "y").write_text("new")
            assert content(target) == {"x": "old"}
        assert content(target.parent) == {"prepared/y": "new"}

    def test_a_failure_while_it_is_filled_leaves_the_old(self, target: Path) -> None:
        with pytest.raises(ZeroDivisionError), workspace.atomic_folder(target) as new:
            (new / "x").write_text(f"half: {1 / 0}")
        assert content(target.parent) == {"prepared/x": "old"}

    @pytest.mark.parametrize("failing", [1, 2])
    def test_a_failure_of_either_rename_leaves_the_old(
        self, target: Path, monkeypatch: pytest.MonkeyPatch, failing: int
    ) -> None:
        rename, calls = Path.rename, []

        def fail(self: Path, to: Path) -> Any:
            calls.append(self)
            if len(calls) == failing:
                raise OSError(errno.EACCES, "Permission denied")
            return rename(self, to)

        monkeypatch.setattr(Path, "rename", fail)
        with (
            pytest.raises(OSError, match="Permission denied"),
            workspace.atomic_folder(target) as new,
        ):
            (new / "x").write_text("new")
        assert content(target.parent) == {"prepared/x": "old"}

    @pytest.mark.parametrize("killed_at", [1, 2])
    def test_after_a_kill_at_either_rename_the_old_one_comes_back(
        self, target: Path, killed_at: int
    ) -> None:
        """As a kill leaves it: nothing is cleaned up."""
        new = target.parent / ".prepared.new-abcdefgh"
        new.mkdir()
        (new / "x").write_text("new")
        if killed_at == 2:
            target.rename(target.parent / ".prepared.old")
        workspace.recover(target)
        assert content(target) == {"x": "old"}

    def test_what_kills_left_over_is_used_or_swept_away(self, target: Path) -> None:
        (target.parent / ".prepared.new-abcdefgh").mkdir()
        target.rename(target.parent / ".prepared.old")
        with pytest.raises(ValueError, match="bad"), workspace.atomic_folder(target):
            raise ValueError("bad")
        assert content(target.parent) == {"prepared/x": "old"}
        assert [f.name for f in target.parent.iterdir()] == ["prepared"]


class TestDiskErrors:
    def said(self, error: Exception) -> str:
        with pytest.raises(WorkspaceError) as raised, workspace.explain_disk_errors(Path("here")):
            raise error
        return str(raised.value)

    def test_a_full_disk_is_one_line_with_what_to_do(self) -> None:
        line = "the disk is full at here: free some space and run the command again; "
        assert self.said(OSError(errno.ENOSPC, "x")).startswith(line)
        assert self.said(OSError(errno.EDQUOT, "x")).startswith(line)

    def test_other_errors_name_the_file(self) -> None:
        line = "cannot write there: Permission denied"
        assert self.said(OSError(errno.EACCES, "no", "there")) == line
        assert self.said(OSError("odd")) == "cannot write here: odd"

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
    def test_polars_tells_of_a_full_disk_in_words(self) -> None:
        with (
            pytest.raises(WorkspaceError, match="the disk is full"),
            workspace.explain_disk_errors(Path("here")),
        ):
            pl.DataFrame({"a": range(9999)}).write_parquet("/dev/full")

    def test_what_is_no_disk_error_goes_through(self) -> None:
        with pytest.raises(ValueError, match="odd"), workspace.explain_disk_errors(Path("here")):
            raise ValueError("odd")


INPUTS = {"messages/a": "1", "people.toml": "2"}
SETTINGS = {"base": "b", "split": {"validation": 0.05}}


class TestManifest:
    @pytest.fixture
    def manifest(self, tmp_path: Path) -> dict[str, Any]:
        workspace.write_manifest(tmp_path, inputs=INPUTS, settings=SETTINGS)
        found = workspace.read_manifest(tmp_path)
        assert found is not None
        return found

    def test_what_it_was_made_from_still_holds(self, manifest: dict[str, Any]) -> None:
        assert workspace.stale_reasons(manifest, INPUTS, SETTINGS) == []

    def test_reasons_say_what_has_changed(self, manifest: dict[str, Any]) -> None:
        inputs = {"people.toml": "3", "messages/b": "4"}
        settings = {"base": "c", "split": {"validation": 0.1}}
        assert workspace.stale_reasons(manifest, inputs, settings) == [
            "messages/a is gone",
            "messages/b is new",
            "people.toml has changed",
            "base is now 'c', was 'b'",
            "split.validation is now 0.1, was 0.05",
        ]

    def test_tuples_and_lists_are_the_same_settings(self, manifest: dict[str, Any]) -> None:
        manifest = json.loads(json.dumps({**manifest, "settings": {"x": (1, 2)}}))
        assert workspace.stale_reasons(manifest, INPUTS, {"x": (1, 2)}) == []

    def test_a_stage_that_was_never_run_has_none(self, tmp_path: Path) -> None:
        assert workspace.read_manifest(tmp_path) is None


def test_fingerprints_are_of_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    assert workspace.fingerprint(tmp_path / "a") == workspace.fingerprint(tmp_path / "b") != ""
    assert workspace.fingerprint(tmp_path / "c") == ""


def test_message_tables_are_in_the_order_of_their_import(space: Workspace) -> None:
    for name, time in (("a", "2024-02-01"), ("b", "2024-01-01"), (".unfinished.new", "2024")):
        (space.messages / name).mkdir(parents=True)
        for number in (1, 0):
            (space.messages / name / f"{number}.parquet").write_text("")
        workspace.ImportRecord(space.messages / name, time, [], 1, 1).save()
    (space.messages / "nothing-new").mkdir()
    workspace.ImportRecord(space.messages / "nothing-new", "2024-03-01", [], 1, 0).save()
    tables = [str(table.relative_to(space.messages)) for table in space.message_files()]
    assert tables == ["b/0.parquet", "b/1.parquet", "a/0.parquet", "a/1.parquet"]


def test_a_stage_that_lost_a_file_counts_as_not_run(tmp_path: Path) -> None:
    (tmp_path / "samples.parquet").write_bytes(b"x")
    workspace.write_manifest(tmp_path, inputs={}, settings={})
    assert workspace.read_manifest(tmp_path)
    (tmp_path / "samples.parquet").unlink()
    assert workspace.read_manifest(tmp_path) is None
