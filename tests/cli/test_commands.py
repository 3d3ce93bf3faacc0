"""Output and error messages of the commands."""

from __future__ import annotations

import json
import re
import shutil
import stat
import sys
from pathlib import Path

import polars as pl
import pytest
from tests.chats import walks
from tests.cli.conftest import Myna, run, start


def export(folder: Path, name: str = "walks.jsonl", messages: int = 30) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(m) + "\n" for m in walks(messages)), "utf-8")
    return path


def test_a_new_workspace_is_private(myna: Myna, tmp_path: Path) -> None:
    assert myna("new", "friends").status == 0
    folder = tmp_path / "friends"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    assert "# Peak learning rate." in (folder / "myna.toml").read_text()
    repeated = myna("new", "friends")
    assert repeated.status == 1
    assert "workspace already" in repeated.err


def test_outside_a_workspace_every_command_says_how_to_make_one(myna: Myna) -> None:
    for command in ("prepare", "status", "inspect", "train", "evaluate", "chat"):
        done = myna(command)
        assert done.status == 1
        assert done.err.count("\n") == 1
        assert "make one with `myna new NAME`" in done.err


def test_without_a_command_five_lines_say_what_to_do(myna: Myna) -> None:
    alone = myna()
    assert (alone.status, alone.err, alone.out.count("\n")) == (0, "", 5)
    assert "myna start" in alone.out
    myna("new", "friends")
    assert "next: myna import PATH" in myna("-C", "friends").out


def test_a_path_that_is_not_there_is_told_before_anything_is_asked(myna: Myna) -> None:
    myna("new", "friends")
    done = myna("-C", "friends", "import", "/nope")
    assert done.status == 1
    assert done.err.splitlines() == [
        "looking for chats",
        "myna: /nope does not exist: check the path",
    ]


def test_import_tells_what_it_read_and_adds_only_what_is_new(myna: Myna, tmp_path: Path) -> None:
    myna("new", "friends")
    export(tmp_path)
    first = myna("-C", "friends", "import", "walks.jsonl", "--consent", "clone", "--json")
    assert first.status == 0
    assert first.json()["messages"] == first.json()["stored"] == 30
    assert sorted(first.json()["people"]) == ["Ana", "Ben", "Cy"]
    reimported = myna("-C", "friends", "import", "walks.jsonl", "--json").json()
    assert (reimported["messages"], reimported["stored"]) == (30, 0)
    export(tmp_path, messages=40)
    longer = myna("-C", "friends", "import", "walks.jsonl", "--json").json()
    assert (longer["messages"], longer["stored"]) == (40, 10)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_whatever_a_workspace_holds_is_for_its_user_alone(friends: Path) -> None:
    modes = {stat.filemode(path.stat().st_mode) for path in [friends, *friends.rglob("*")]}
    assert modes == {"drwx------", "-rw-------"}


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("photo.jpg", b"\xff\xd8\xff\xe0" + bytes(range(256)), "not a chat export that myna knows"),
        ("empty.json", b"", "the file is empty"),
        ("notes.txt", b"milk, eggs and bread\n", "not a chat export that myna knows"),
    ],
)
def test_a_file_that_is_not_a_chat_export_is_one_clear_line(
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
    assert done.json()["no_chats"] == {".png": 1}
    assert "left out 1 file that is no chat export: 1 .png" in done.err


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
    settings.write_text(
        settings.read_text().replace("# learning_rate = 0.001", "learning_rate = -1")
    )
    done = myna("-C", "friends", "status")
    assert done.status == 2
    assert "train.learning_rate = -1" in done.err
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
    rows = re.findall(r"^ *(\d+) +(–|\d+) +('.*')$", shown.out, re.MULTILINE)
    assert any(label == "–" for _, label, _ in rows)
    assert all(label in ("–", token) for token, label, _ in rows)
    assert {"':'", "'\\n'"} <= {text for *_, text in rows}
    [sample] = run(friends, ["inspect", "0", "--json"]).json()
    assert sample["target_spans"][-1]["end"] <= len(sample["ids"]) <= 128
    assert len(rows) == len(sample["ids"])
    missing = run(friends, ["inspect", "99999"])
    assert missing.status == 2
    assert "no sample 99999: train has samples 0 to" in missing.err


def test_inspect_shows_reactions_by_their_kind_and_number(friends: Path, tmp_path: Path) -> None:
    space = shutil.copytree(friends, tmp_path / "friends")
    [sample] = run(space, ["inspect", "0", "--json"]).json()
    path = space / "prepared" / "messages.parquet"
    kept = pl.read_parquet(path)
    liked = pl.Series([[{"name": "🍵", "count": 2}]], dtype=kept.schema["reactions"])
    is_in = (pl.col("conversation") == sample["conversation"]).and_(
        pl.col("conversation").cum_count().over("conversation") == 2
    )
    kept.with_columns(
        reactions=pl.when(is_in).then(pl.lit(liked)).otherwise("reactions")
    ).write_parquet(path)
    shown = run(space, ["inspect", "0"]).out
    assert "🍵 2  on " in shown
    [sample] = run(space, ["inspect", "0", "--json"]).json()
    [row] = sample["reactions"]
    assert row["reactions"] == [{"name": "🍵", "count": 2}]


@pytest.mark.parametrize("left", [b"", b"PAR1", b"PAR1 and then it breaks off"])
def test_a_damaged_table_is_named(friends: Path, tmp_path: Path, left: bytes) -> None:
    space = shutil.copytree(friends, tmp_path / "friends")
    [table] = (space / "messages").glob("*/*.parquet")
    samples = space / "prepared" / "samples.parquet"
    for path, line in ((samples, ["inspect"]), (table, ["people"]), (table, ["channels"])):
        path.write_bytes(left)
        done = run(tmp_path, ["-C", str(space), *line])
        assert done.status == 1
        assert f"{path} is damaged: " in done.err
        assert "Traceback" not in done.err


def test_inspect_audits_searches_and_writes_a_page(friends: Path) -> None:
    audited = run(friends, ["inspect", "--audit", "--json"])
    assert (audited.status, audited.json()["fatal"]) == (0, [])
    assert "no problem found" in run(friends, ["inspect", "--audit"]).out
    [sample] = run(friends, ["inspect", "0", "--json"]).json()
    word = next(s["text"].split()[-1] for s in sample["segments"] if s["kind"] == 1)
    found = run(friends, ["inspect", "--search", word.upper(), "--json"]).json()
    assert found
    assert all(word.lower() in str(sample["segments"]).lower() for sample in found)
    assert "no sample contains '~~~'" in run(friends, ["inspect", "--search", "~~~"]).err
    page = friends / "samples.html"
    assert run(friends, ["inspect", "--html", str(page), "-n", "2"]).status == 0
    assert page.read_text("utf-8").count("<pre") == 2


def test_every_report_is_one_json_document(friends: Path) -> None:
    for line in (["status", "--json"], ["inspect", "--json"], ["prepare", "--json"]):
        done = run(friends, line)
        assert done.status == 0, done.err
        json.loads(done.out)


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    done = start(tmp_path, ["--debug", "status"])
    assert done.status == 1
    assert "Traceback" in done.err
    assert "Traceback" not in start(tmp_path, ["status"]).err


class TestPeople:
    @pytest.fixture
    def friends(self, myna: Myna, tmp_path: Path) -> Path:
        myna("new", "friends")
        export(tmp_path)
        assert myna("-C", "friends", "import", "walks.jsonl", "--consent", "clone").status == 0
        return tmp_path / "friends"

    def test_are_listed_with_what_they_wrote(self, myna: Myna, friends: Path) -> None:
        listed = myna("-C", "friends", "people", "--json").json()
        assert {line["person"] for line in listed["people"]} == {"Ana", "Ben", "Cy"}
        assert sum(line["messages"] for line in listed["people"]) == 30
        shown = myna("-C", "friends", "people")
        assert shown.status == 0
        assert "Ana" in shown.out

    def test_are_changed_one_command_each(self, myna: Myna, friends: Path) -> None:
        for words in (
            ("me", "ana"),
            ("rename", "Ben", "Benno"),
            ("context", "cy", "--pseudonym", "Robin"),
            ("deny", "Benno"),
            ("allow", "Benno", "--asked", "Tom, by phone"),
            ("merge", "Ana", "Benno"),
        ):
            assert myna("-C", "friends", "people", *words).status == 0, words
        lines = myna("-C", "friends", "people", "--json").json()["people"]
        by_name = {line["person"]: line for line in lines}
        assert by_name.keys() == {"Ana", "Cy"}
        assert (by_name["Ana"]["is_me"], by_name["Ana"]["consent"]) == (True, "clone")
        assert (by_name["Cy"]["shown"], by_name["Cy"]["consent"]) == ("Robin", "context")

    def test_are_forgotten_for_good_after_a_yes(self, myna: Myna, friends: Path) -> None:
        asked = myna("-C", "friends", "people", "forget", "ana")
        assert asked.status == 2
        assert "--yes" in asked.err
        assert myna("-C", "friends", "people", "forget", "ana", "--yes").status == 0
        reimported = myna("-C", "friends", "import", "walks.jsonl", "--json").json()
        assert sorted(reimported["people"]) == ["Ben", "Cy"]
        assert "prepare" in myna("-C", "friends", "status").out

    def test_an_unknown_person_is_one_clear_line(self, myna: Myna, friends: Path) -> None:
        done = myna("-C", "friends", "people", "allow", "Zed")
        assert done.status == 1
        assert "unknown person 'Zed'" in done.err

    def test_channels_and_filters(self, myna: Myna, friends: Path) -> None:
        [channel] = myna("-C", "friends", "channels", "--json").json()
        assert (channel["messages"], channel["people"]) == (30, 3)
        assert channel["channel"] in myna("-C", "friends", "channels").out
        done = myna("-C", "friends", "prepare", "--person", "Ana", "--person", "Ben", "--json")
        rows = {row["rule"]: row["messages"] for row in done.json()["rows"]}
        assert rows["filtered"] == channel["messages"] - sum(
            line["messages"]
            for line in myna("-C", "friends", "people", "--json").json()["people"]
            if line["person"] in ("Ana", "Ben")
        )
        assert done.json()["balanced"]
        slip = myna("-C", "friends", "prepare", "--channel", "no such")
        assert slip.status == 2
        assert "matches nothing that was imported: see `myna channels`" in slip.err


def test_what_is_read_is_listed(myna: Myna) -> None:
    listed = myna("import", "--list", "--json").json()
    assert {"discord_chat_exporter", "csv_table"} <= {entry["source"] for entry in listed}
    assert all("text" in entry["reads"] or "entries" in entry["reads"] for entry in listed)
    shown = myna("import", "--list")
    assert shown.status == 0
    assert "DiscordChatExporter JSON" in shown.out
