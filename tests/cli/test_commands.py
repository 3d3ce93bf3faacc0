"""What the commands print, and the one clear line where something is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.conftest import Myna, chat, run


def export(folder: Path, name: str = "walks.jsonl", messages: int = 30) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(m) + "\n" for m in chat(messages)), "utf-8")
    return path


def test_a_new_workspace_is_private(myna: Myna, tmp_path: Path) -> None:
    assert myna("new", "friends").status == 0
    folder = tmp_path / "friends"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    assert "# Highest learning rate." in (folder / "myna.toml").read_text()
    again = myna("new", "friends")
    assert again.status == 1
    assert "workspace already" in again.err


def test_outside_a_workspace_every_command_says_how_to_make_one(myna: Myna) -> None:
    for command in ("prepare", "status", "inspect", "train", "evaluate", "chat"):
        done = myna(command)
        assert done.status == 1
        assert done.err.count("\n") == 1
        assert "make one with `myna new NAME`" in done.err


def test_import_tells_what_it_read_and_adds_only_what_is_new(myna: Myna, tmp_path: Path) -> None:
    myna("new", "friends")
    export(tmp_path)
    first = myna("-C", "friends", "import", "walks.jsonl", "--consent", "clone", "--json")
    assert first.status == 0
    assert first.json()["messages"] == first.json()["stored"] == 30
    assert sorted(first.json()["people"]) == ["Ana", "Ben", "Cy"]
    again = myna("-C", "friends", "import", "walks.jsonl", "--json").json()
    assert (again["messages"], again["stored"]) == (30, 0)
    export(tmp_path, messages=40)
    longer = myna("-C", "friends", "import", "walks.jsonl", "--json").json()
    assert (longer["messages"], longer["stored"]) == (40, 10)


def test_consent_is_asked_for_before_anything_is_read(myna: Myna, tmp_path: Path) -> None:
    myna("new", "friends")
    export(tmp_path)
    done = myna("-C", "friends", "import", "walks.jsonl")
    assert done.status == 2
    assert "--consent clone, context or no" in done.err
    assert not list((tmp_path / "friends").glob("messages/*"))


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("photo.jpg", b"\xff\xd8\xff\xe0" + bytes(range(256)), "no chat that myna knows"),
        ("empty.json", b"", "the file is empty"),
        ("notes.txt", b"milk, eggs and bread\n", "no chat that myna knows"),
    ],
)
def test_a_file_that_is_no_chat_is_one_clear_line(
    myna: Myna, tmp_path: Path, name: str, content: bytes, line: str
) -> None:
    myna("new", "friends")
    (tmp_path / name).write_bytes(content)
    done = myna("-C", "friends", "import", name, "--consent", "clone")
    assert done.status == 1
    assert f"myna: {name}: {line}" in done.err


def test_a_folder_gives_its_chats_whatever_else_is_in_it(myna: Myna, tmp_path: Path) -> None:
    myna("new", "friends")
    (tmp_path / "exports").mkdir()
    export(tmp_path / "exports")
    (tmp_path / "exports" / "cat.png").write_bytes(b"\x89PNG\r\n")
    done = myna("-C", "friends", "import", "exports", "--consent", "clone", "--json")
    assert done.status == 0
    assert done.json()["stored"] == 30
    assert "cat.png" in done.err


def test_a_truncated_export_gives_its_complete_messages_and_says_what_is_lost(
    myna: Myna, tmp_path: Path
) -> None:
    myna("new", "friends")
    messages = [
        {"id": str(9000 + i), "type": "Default", "timestamp": f"2024-05-01T18:{i:02}:00+00:00",
         "content": f"line {i}", "author": {"id": "1", "name": "ana", "isBot": False}}
        for i in range(5)
    ]  # fmt: skip
    whole = json.dumps(
        {"guild": {"id": "1", "name": "g"}, "channel": {"id": "2", "name": "c"},
         "messages": messages}, indent=2
    )  # fmt: skip
    cut = whole.encode()[: whole.index('"line 4"')]
    (tmp_path / "cut.json").write_bytes(cut)
    done = myna("-C", "friends", "import", "cut.json", "--consent", "clone", "--json")
    assert done.status == 1
    assert done.json()["stored"] == 4
    assert "could not be read; the 4 complete messages are kept" in done.err


def test_a_wrong_setting_names_its_field(myna: Myna, tmp_path: Path) -> None:
    myna("new", "friends")
    settings = tmp_path / "friends" / "myna.toml"
    settings.write_text(settings.read_text().replace("lr = 0.001", "lr = -1"))
    done = myna("-C", "friends", "status")
    assert done.status == 2
    assert "train.lr = -1" in done.err
    assert myna("-C", "friends", "train", "--set", "train.nonsense=1").status == 2


def test_a_base_that_is_not_there_is_one_clear_line(friends: Path, tmp_path: Path) -> None:
    folder = tmp_path / "friends"
    shutil.copytree(friends, folder)
    done = run(folder, ["prepare", "--set", "base=no-such-model"])
    assert done.status == 1
    assert "no base model called 'no-such-model'" in done.err


@pytest.mark.model
def test_the_ledger_balances_and_inspect_shows_samples(friends: Path) -> None:
    ledger = run(friends, ["prepare", "--json"]).json()
    assert ledger["balanced"]
    assert ledger["messages"] == 160
    assert sum(ledger["totals"].values()) == 160
    shown = run(friends, ["inspect", "0", "--tokens"])
    assert shown.status == 0
    assert "A chat in walks: Ana, Ben, Cy." in shown.out
    [sample] = run(friends, ["inspect", "0", "--json"]).json()
    assert len(sample["ids"]) == len(sample["labels"]) <= 128
    missing = run(friends, ["inspect", "99999"])
    assert missing.status == 2
    assert "train has samples 0 to" in missing.err


def test_every_report_is_one_json_document(friends: Path) -> None:
    for line in (["status", "--json"], ["inspect", "--json"], ["prepare", "--json"]):
        done = run(friends, line)
        assert done.status == 0, done.err
        json.loads(done.out)


def test_debug_shows_where_an_error_came_from(myna: Myna) -> None:
    done = myna("--debug", "status")
    assert done.status == 1
    assert "Traceback" in done.err
    assert "Traceback" not in myna("status").err
