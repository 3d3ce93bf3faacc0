"""Exporting as a whole: whose, where to, what is held back, and every message accounted for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import polars as pl
import pytest
from tests.export.prepared import FRIENDS, make, messages

from myna.errors import ExportError, PeopleError, SettingsError, WorkspaceError
from myna.export import dataset_export as export
from myna.export.dataset_export import DatasetExportReport, DatasetOptions, check_repository, push
from myna.export.formats import FORMATS, find
from myna.workspace import Workspace


@pytest.fixture
def friends(tmp_path: Path) -> Workspace:
    return make(tmp_path / "friends", FRIENDS)


def exported(space: Workspace, name: str = "sharegpt", **options: Any) -> DatasetExportReport:
    wanted = DatasetOptions(find(name), options.pop("personas", ("Ana",)), **options)
    return export.run(space, wanted, export.export_folder(space, name, None))


def lines(space: Workspace, name: str, file: str) -> list[Any]:
    path = space.root / "exports" / name / file
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_train_and_tune_are_files_of_their_own_and_test_stays(friends: Workspace) -> None:
    done = exported(friends)
    assert done.rows == {"train.jsonl": 2, "eval.jsonl": 1}
    [row] = lines(friends, "sharegpt", "eval.jsonl")
    assert row["conversations"][1:] == [
        {"from": "human", "value": "Ben: soup?"}, {"from": "gpt", "value": "soup"},
    ]  # fmt: skip
    folder = friends.root / "exports" / "sharegpt"
    assert not any("only reported on" in file.read_text("utf-8") for file in folder.glob("*.json*"))
    assert {file.name for file in folder.iterdir()} == {*done.files, "manifest.json"}


def test_test_is_written_where_it_is_asked_for(friends: Workspace) -> None:
    done = exported(friends, with_test=True)
    assert done.rows == {"train.jsonl": 2, "eval.jsonl": 1, "test.jsonl": 1}
    assert "myna_test" not in json.dumps(done.files)
    assert (
        lines(friends, "sharegpt", "test.jsonl")[0]["conversations"][-1]["value"]
        == "only reported on"
    )


def test_every_message_is_accounted_for(friends: Workspace) -> None:
    done = exported(friends)
    assert done.messages == done.exported + sum(done.left_out.values()) == FRIENDS.height
    assert done.answers == 5
    assert done.left_out == {
        export.CONTEXT_ONLY: 1,
        export.NO_ANSWER: 2,
        export.NO_SPACE: 1,
        export.HELD_BACK: 2,
    }


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_accounts_for_every_message(friends: Workspace, name: str) -> None:
    done = exported(friends, name)
    assert done.messages == done.exported + sum(done.left_out.values()) == FRIENDS.height
    assert done.answers == 5


def test_what_is_context_only_is_left_out_where_it_would_be_trained(friends: Workspace) -> None:
    exported(friends, "openai")
    exported(friends, "input-output")
    assert "lol" not in json.dumps(lines(friends, "openai", "train.jsonl"))
    segments = [s for row in lines(friends, "input-output", "train.jsonl") for s in row["segments"]]
    assert [s["label"] for s in segments if "lol" in s["text"]] == [False]


def test_parquet_holds_the_messages_themselves(friends: Workspace) -> None:
    exported(friends, "parquet")
    table = pl.read_parquet(friends.root / "exports" / "parquet" / "train.parquet")
    whole = FRIENDS.filter(pl.col("split") == "train", pl.col("conversation") < 2)
    columns = ["conversation", "id", "sent_at", "person", "text", "trained"]
    assert table.select(columns).equals(whole.select(columns))
    assert table["role"].to_list() == [
        "assistant" if person == "Ana" else "user" for person in whole["person"]
    ]


def test_the_segments_are_one_json_array(friends: Workspace) -> None:
    exported(friends, "segments")
    rows = json.loads((friends.root / "exports" / "segments" / "train.json").read_text("utf-8"))
    assert [list(row) for row in rows] == [["segments"]] * len(rows)


def test_a_group_is_each_persona_in_turn(tmp_path: Path) -> None:
    rows = messages(("Ben", "tea?"), ("Ana", "ok"), ("Ben", "good"), personas=["Ana", "Ben"])
    space = make(tmp_path / "g", rows, personas=["Ana", "Ben"])
    assert export.choose_personas(space, None) == ("Ana", "Ben")
    done = exported(space, personas=("Ana", "Ben"))
    ana, ben = lines(space, "sharegpt", "train.jsonl")
    assert [m["value"] for m in ana["conversations"][1:]] == ["tea?", "ok"]
    assert [m["value"] for m in ben["conversations"][1:]] == ["[start]", "tea?", "ok", "good"]
    assert ben["conversations"][0]["value"] == "You are Ben, in tea with Ana."
    assert done.opened == 1
    assert done.left_out == {}


def test_what_is_context_only_stays_in_the_dialogues_of_others(tmp_path: Path) -> None:
    rows = messages(
        ("Ben", "lol", {"trained": False}), ("Ana", "ok"), ("Ben", "good"), personas=["Ana", "Ben"]
    )
    space = make(tmp_path / "g", rows, personas=["Ana", "Ben"])
    done = exported(space, personas=("Ana", "Ben"))
    ana, ben = lines(space, "sharegpt", "train.jsonl")
    assert [m["value"] for m in ana["conversations"][1:]] == ["lol", "ok"]
    assert [m["value"] for m in ben["conversations"][1:]] == ["ok", "good"]
    assert done.left_out == {}


class TestWhose:
    def two(self, folder: Path, me: str = "") -> Workspace:
        rows = messages(("Ben", "tea?"), ("Ana Lee", "ok"), personas=["Ana Lee", "Ben"])
        return make(folder / "two", rows, personas=["Ana Lee", "Ben"], me=me)

    def test_me_comes_first(self, tmp_path: Path) -> None:
        space = self.two(tmp_path, me="Ben")
        assert export.choose_personas(space, None) == ("Ben",)
        assert export.choose_personas(space, "lee") == ("Ana Lee",)
        assert export.choose_personas(space, None, everyone=True) == ("Ana Lee", "Ben")

    def test_else_the_only_persona(self, friends: Workspace) -> None:
        assert export.choose_personas(friends, None) == ("Ana",)

    def test_who_may_not_be_cloned_cannot_be_exported(self, friends: Workspace) -> None:
        with pytest.raises(PeopleError, match="unknown person 'Ben'"):
            export.choose_personas(friends, "Ben")

    def test_without_prepared_messages(self, tmp_path: Path) -> None:
        (tmp_path / "new").mkdir()
        with pytest.raises(WorkspaceError, match="make them with `myna prepare`"):
            export.choose_personas(Workspace(tmp_path / "new"), None)

    def test_after_a_change_of_consent_prepare_runs_first(self, friends: Workspace) -> None:
        text = friends.people_file.read_text("utf-8")
        friends.people_file.write_text(text.replace('"clone"', '"no"'), "utf-8")
        with pytest.raises(WorkspaceError, match=r"people.toml has changed: run `myna prepare`"):
            export.choose_personas(friends, None)


class TestWhere:
    def test_the_folder_is_private(self, friends: Workspace) -> None:
        exported(friends)
        for folder in ("exports", "exports/sharegpt"):
            assert (friends.root / folder).stat().st_mode & 0o777 == 0o700

    def test_an_export_is_replaced(self, friends: Workspace) -> None:
        exported(friends, with_test=True)
        done = exported(friends)
        folder = friends.root / "exports" / "sharegpt"
        assert {file.name for file in folder.iterdir()} == {*done.files, "manifest.json"}

    def test_what_no_export_wrote_is_never_replaced(self, friends: Workspace) -> None:
        exported(friends)
        (friends.root / "exports" / "sharegpt" / "qlora-out").mkdir()
        with pytest.raises(ExportError, match="holds qlora-out, which no export wrote"):
            exported(friends)

    @pytest.mark.parametrize("place", ["prepared", ".", "myna.toml"])
    def test_nothing_else_of_the_workspace_is_replaced(
        self, friends: Workspace, place: str
    ) -> None:
        with pytest.raises(ExportError, match="choose another folder with --to"):
            export.export_folder(friends, "openai", friends.root / place)

    def test_an_empty_folder_will_do(self, friends: Workspace, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        assert export.export_folder(friends, "openai", tmp_path / "out") == tmp_path / "out"

    def test_a_failure_leaves_the_export_of_before(self, friends: Workspace) -> None:
        exported(friends)
        before = (friends.root / "exports" / "sharegpt" / "train.jsonl").read_bytes()
        with pytest.raises(ExportError, match="nothing of Cy is trained"):
            exported(friends, personas=("Cy",))
        assert (friends.root / "exports" / "sharegpt" / "train.jsonl").read_bytes() == before
        assert [path.name for path in (friends.root / "exports").iterdir()] == ["sharegpt"]


def test_the_sequence_length_is_the_trainers(friends: Workspace) -> None:
    exported(friends, sequence_len=2048)
    config = (friends.root / "exports" / "sharegpt" / "axolotl.yml").read_text("utf-8")
    assert "sequence_len: 2048\n" in config
    with pytest.raises(SettingsError, match="--sequence-len 100 is too short"):
        exported(friends, sequence_len=100)


def test_the_system_line_is_a_template(friends: Workspace) -> None:
    exported(friends, "openai", system="{name} at {channel}")
    assert lines(friends, "openai", "train.jsonl")[0]["messages"][0]["content"] == "Ana at tea"


def test_the_readme_says_what_is_there_and_what_is_not(friends: Workspace) -> None:
    exported(friends)
    text = (friends.root / "exports" / "sharegpt" / "README.txt").read_text("utf-8")
    assert "5 messages of Ana to learn from" in text
    assert all(what in text for what in FORMATS["sharegpt"].lacks)
    assert "axolotl train axolotl.yml" in text


Hub = Callable[..., list[tuple[str, dict[str, Any]]]]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub that notes what it is told, in place of the real one."""

    def build(*, private: bool = True, refuses: str = "") -> list[tuple[str, dict[str, Any]]]:
        told: list[tuple[str, dict[str, Any]]] = []

        class Api:
            def create_repo(self, repo_id: str, **options: Any) -> None:
                told.append(("create_repo", {"repo_id": repo_id, **options}))
                if refuses:
                    raise RuntimeError(refuses)

            def repo_info(self, repo_id: str, **options: Any) -> SimpleNamespace:
                return SimpleNamespace(private=private)

            def upload_folder(self, **options: Any) -> None:
                told.append(("upload_folder", options))

        monkeypatch.setattr(huggingface_hub, "HfApi", Api)
        return told

    return build


def test_a_private_dataset_gets_the_files_of_the_export_and_no_others(
    hub: Hub, tmp_path: Path
) -> None:
    told = hub()
    address = push(tmp_path, ["train.jsonl", "README.txt"], "ana/chats")
    assert address == "https://huggingface.co/datasets/ana/chats"
    (made, created), (sent, uploaded) = told
    assert (made, sent) == ("create_repo", "upload_folder")
    assert created == {
        "repo_id": "ana/chats", "repo_type": "dataset", "private": True, "exist_ok": True,
    }  # fmt: skip
    assert uploaded["allow_patterns"] == ["train.jsonl", "README.txt"]
    assert (uploaded["repo_id"], uploaded["repo_type"]) == ("ana/chats", "dataset")
    assert uploaded["folder_path"] == str(tmp_path)
    assert "token" not in created.keys() | uploaded.keys()


def test_nothing_is_uploaded_where_others_can_read_it(hub: Hub, tmp_path: Path) -> None:
    told = hub(private=False)
    with pytest.raises(ExportError, match="others can read it"):
        push(tmp_path, ["train.jsonl"], "ana/chats")
    assert [what for what, _ in told] == ["create_repo"]


def test_what_the_hub_says_is_one_line(hub: Hub, tmp_path: Path) -> None:
    hub(refuses="401 Unauthorized\nRequest ID: 1")
    with pytest.raises(ExportError, match="401 Unauthorized; check its name") as error:
        push(tmp_path, ["train.jsonl"], "ana/chats")
    assert "Request ID" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["chats", "a/b/c", "/chats", "ana/", "ana/../x", "-ana/x", "a b/c"]
)
def test_a_name_that_is_none_is_told_before_anything_is_written(name: str) -> None:
    with pytest.raises(ExportError, match="write it as OWNER/NAME"):
        check_repository(name)


def test_without_huggingface_hub_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ExportError, match=r"pip install 'myna\[train\]'"):
        check_repository("ana/chats")
