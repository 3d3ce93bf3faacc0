"""Metadata of stages: read back as written, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.metadata import adapter_info, prepared_info

from myna import stages, workspace
from myna.artifacts import AdapterInfo, Channel, PreparedInfo
from myna.errors import ModelError, WorkspaceError
from myna.workspace import Workspace


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """A workspace with samples and an adapter, but for their contents."""
    space = workspace.create(tmp_path / "friends")
    channels = [Channel("s", "tea", ["Ben", "Ana"], "test", 9)]
    for folder, info in (
        (space.prepared, prepared_info(channels=channels)),
        (space.adapter("group"), adapter_info(channels=channels, adapters={"Ana": "group.ana"})),
    ):
        info.save(folder)
        workspace.write_manifest(folder, inputs={}, settings={})
    return space


def test_all_is_read_back(space: Workspace) -> None:
    channels = [Channel("s", "tea", ["Ben", "Ana"], "test", 9)]
    assert PreparedInfo.load(space) == prepared_info(channels=channels)
    adapters = {"Ana": "group.ana"}
    assert AdapterInfo.load(space, "group") == adapter_info(channels=channels, adapters=adapters)


def without_a_rule(data: dict[str, Any]) -> None:
    del data["format"]["rules"]["at_sign"]


def without_a_default(data: dict[str, Any]) -> None:
    del data["format"]["spec"]["add_special_tokens"]


def with_more(data: dict[str, Any]) -> None:
    data["color"] = "red"


def of_another_type(data: dict[str, Any]) -> None:
    data["personas"] = "Ana"


CHANGES = [without_a_rule, without_a_default, with_more, of_another_type]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_is_given_written_now_is_refused(
    space: Workspace, change: Callable[[dict[str, Any]], None]
) -> None:
    for file in (space.prepared / "prepared.json", space.adapter("group") / "adapter.json"):
        data = json.loads(file.read_text("utf-8"))
        change(data)
        file.write_text(json.dumps(data), "utf-8")
    refused(space)


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"\xff", b"[1]"])
def test_damaged_files_are_refused(space: Workspace, content: bytes) -> None:
    for file in (space.prepared / "prepared.json", space.adapter("group") / "adapter.json"):
        file.write_bytes(content)
    refused(space)


def test_a_workspace_of_an_earlier_version_is_refused(space: Workspace) -> None:
    for file in (space.prepared / "prepared.json", space.adapter("group") / "adapter.json"):
        file.unlink()
        manifest = json.loads((file.parent / "manifest.json").read_text("utf-8"))
        workspace.write_json(file.parent / "manifest.json", {**manifest, "outputs": []})
    refused(space)
    space.messages.mkdir()
    (space.messages / "tea").mkdir()
    (space.messages / "tea/0.parquet").touch()
    workspace.ImportRecord(space.messages / "tea", "2024", [{}], 1, 1).save()
    with pytest.raises(WorkspaceError, match=r"prepared\.json .* run `myna prepare --force`"):
        stages.status(space)


def refused(space: Workspace) -> None:
    line = r"prepared\.json is missing, damaged or of another version of myna: run `myna prepare"
    with pytest.raises(WorkspaceError, match=line):
        PreparedInfo.load(space)
    line = r"adapter\.json is missing, damaged .* train it again with `myna train --force`$"
    with pytest.raises(WorkspaceError, match=line):
        AdapterInfo.load(space, "group")


def test_what_is_not_there_says_how_to_make_it(space: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="there is no adapter 'x': make it with `myna train`"):
        AdapterInfo.load(space, "x")
    (space.prepared / "manifest.json").unlink()
    with pytest.raises(WorkspaceError, match="has no samples: make them with `myna prepare`"):
        PreparedInfo.load(space)


def test_another_base_of_the_same_name(space: Workspace) -> None:
    info = AdapterInfo.load(space, "group")
    info.check_base("group", "b")
    with pytest.raises(ModelError, match="adapter 'group' was trained on another smollm2-135m"):
        info.check_base("group", "c")
