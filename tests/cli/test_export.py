"""`myna export` as its users run it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import typer
from tests.cli.conftest import Done, run
from tests.export.prepared import FRIENDS, make
from typer.testing import CliRunner

from myna.cli import app
from myna.cli.export import _push_if_confirmed
from myna.export.dataset_export import DatasetExportReport


@pytest.fixture
def friends(tmp_path: Path) -> Path:
    return make(tmp_path / "friends", FRIENDS).root


def export(folder: Path, *arguments: str, typed: str = "") -> Done:
    return run(folder, ["export", *arguments], typed)


def test_it_says_what_was_written_what_was_left_out_and_what_the_format_lacks(
    friends: Path,
) -> None:
    done = export(friends, "sharegpt")
    assert done.status == 0, done.err
    assert "train.jsonl: 2 rows" in done.out
    assert "held out as test (--with-test writes them)" in done.out
    assert "times, message ids, reply links" in done.out
    assert (friends / "exports" / "sharegpt" / "train.jsonl").is_file()


def test_json_is_one_document(friends: Path) -> None:
    report = export(friends, "parquet", "--person", "ana", "--to", "table", "--json").json()
    assert report["personas"] == ["Ana"]
    assert report["folder"] == str(friends / "table")
    assert report["rows"] == {"train.parquet": 10, "eval.parquet": 2}
    assert report["pushed"] is None


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["vicuna"], "'vicuna' is no format: choose one of sharegpt"),
        (["openai", "--person", "Ana", "--everyone"], "exclude each other"),
        (
            ["openai", "--push", "ana/chats"],
            "an upload has to be confirmed",
        ),
        (["openai", "--system", "{who}"], "are filled in"),
    ],
)
def test_an_error_is_one_line_and_nothing_is_written(
    friends: Path, arguments: list[str], line: str
) -> None:
    done = export(friends, *arguments)
    assert done.status != 0
    assert line in done.err
    assert done.err.count("\n") == 1
    assert not (friends / "exports" / arguments[0]).exists()


class TestPush:
    @pytest.fixture
    def uploaded(self, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        """The files of each upload to a hub that says yes to everything."""
        found: list[list[str]] = []

        class Api:
            def create_repo(self, repo_id: str, **options: object) -> None:
                assert options["private"] is True

            def repo_info(self, repo_id: str, **options: object) -> SimpleNamespace:
                return SimpleNamespace(private=True)

            def upload_folder(self, *, allow_patterns: list[str], **options: object) -> None:
                found.append(allow_patterns)

        monkeypatch.setattr(huggingface_hub, "HfApi", Api)
        return found

    def test_it_uploads_where_that_is_meant(self, friends: Path, uploaded: list[list[str]]) -> None:
        line = ["-C", str(friends), "export", "openai", "--push", "ana/chats", "--yes"]
        done = CliRunner().invoke(app, line)
        assert done.exit_code == 0, done.output
        assert "pushed to https://huggingface.co/datasets/ana/chats" in done.output
        assert uploaded == [["train.jsonl", "eval.jsonl", "README.txt"]]

    @pytest.mark.parametrize("sure", [True, False])
    def test_it_asks_first(
        self,
        friends: Path,
        uploaded: list[list[str]],
        monkeypatch: pytest.MonkeyPatch,
        sure: bool,
    ) -> None:
        asked: list[str] = []
        monkeypatch.setattr(typer, "confirm", lambda text, **_: asked.append(text) or sure)
        done = DatasetExportReport(
            "openai", str(friends), ["Ana"], files=["train.jsonl"], exported=1200
        )
        _push_if_confirmed(done, "ana/chats", sure=False)
        assert asked == [
            "Upload train.jsonl with 1,200 messages to the private dataset ana/chats on "
            "huggingface.co?"
        ]
        assert uploaded == ([["train.jsonl"]] if sure else [])

    def test_without_being_asked_nothing_leaves(
        self, friends: Path, uploaded: list[list[str]]
    ) -> None:
        done = CliRunner().invoke(app, ["-C", str(friends), "export", "openai"])
        assert done.exit_code == 0, done.output
        assert uploaded == []


def test_a_card_is_an_export_like_the_others(friends: Path) -> None:
    report = export(friends, "card", "--json").json()
    assert report["format"] == "card"
    assert "ana.png" in report["files"]
    done = export(friends, "card")
    assert "Checked: each picture was read back" in done.out


@pytest.mark.parametrize(
    "option", [["--sequence-len", "2048"], ["--system", "x"], ["--with-test"], ["--push", "a/b"]]
)
def test_options_of_data_sets_are_refused_elsewhere(friends: Path, option: list[str]) -> None:
    done = export(friends, "gguf", *option)
    assert done.status == 1
    assert f"{option[0]} is for data sets, and gguf is not one: leave it out" in done.err
