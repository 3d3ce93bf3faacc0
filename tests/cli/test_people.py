"""`myna people` with many people, and whoever has several names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import run


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """A workspace of 60 people on two platforms, 12 of them on both."""
    names = [f"Person{chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(48)]
    said = [(name, n) for name in names for n in range(1 + (name == names[3]) * 4)]
    rows = [
        {"author": name, "text": f"line {n}", "timestamp": f"2024-05-01T10:{n:02}:00Z"}
        for name, n in said
    ]
    chat = [f"01/05/2024, 10:{n:02} - {name}: line {n}" for name, n in said if name in names[:12]]
    (tmp_path / "one.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "WhatsApp Chat with us.txt").write_text("\n".join(chat) + "\n")
    run(tmp_path, ["new", "crowd"])
    folder = tmp_path / "crowd"
    for export in ("one.jsonl", "WhatsApp Chat with us.txt"):
        assert run(folder, ["import", f"../{export}"]).status == 0
    return folder


def test_personas_come_first_and_the_rest_is_counted(crowd: Path) -> None:
    run(crowd, ["people", "allow", "PersonBV", "--asked", "by me"])
    shown = run(crowd, ["people"])
    rows = [line.split()[0] for line in shown.out.splitlines() if line.startswith(" Person")]
    assert rows[0] == "PersonBV"
    assert len(rows) == 20
    assert "others wrote" in shown.err
    assert "`myna people --all` lists them" in shown.err
    assert run(crowd, ["people", "--all"]).out.count(" Person") == 60


def test_the_ten_best_suggestions_say_what_they_rest_on(crowd: Path) -> None:
    shown = run(crowd, ["people"]).err.splitlines()
    start = shown.index(
        "12 pairs may be one person each; `myna people merge` asks about all of them:"
    )
    best, *others = shown[start + 1 : start + 12]
    assert best == "  PersonAD (5 messages) and PersonAD 2 (5): the same name"
    assert len(others) == 10
    assert others[-1] == "  and 2 more"


def test_one_command_goes_through_all_suggestions(crowd: Path) -> None:
    done = run(crowd, ["people", "merge"], typed="y\nno\nJa\nq\n")
    assert done.status == 0
    assert '  myna people merge "PersonAD" "PersonAD 2"' in done.err.splitlines()
    assert "2 merged, 9 left. Next: myna people me" in done.err
    assert run(crowd, ["people", "--all"]).out.count(" Person") == 58
    assert "0 merged" in run(crowd, ["people", "merge"]).err  # nobody answers
    alone = run(crowd, ["people", "merge", "PersonAD"])
    assert alone.status == 2
    assert 'Type `myna people merge "PersonAD" "OTHER NAME"`' in alone.err


DIARY = "## 1 May 2024\n\nRain all day. Stayed in.\n\n## 2 May 2024\n\nSoup with Ana.\n"


class TestJournal:
    """A journal names no author: it is somebody's, and that is asked."""

    @pytest.fixture
    def space(self, tmp_path: Path) -> Path:
        (tmp_path / "diary.md").write_text(DIARY, "utf-8")
        chat = [
            {"id": n, "type": "message", "date": f"2024-05-01T10:0{n}:00",
             "date_unixtime": str(1714557600 + 60 * n), "from": name, "from_id": user, "text": "hi"}
            for n, (name, user) in enumerate([("Mira Lee", "user1"), ("Jonas", "user2")], 1)
        ]  # fmt: skip
        telegram = {"name": "Jonas", "type": "personal_chat", "id": 2, "messages": chat}
        (tmp_path / "result.json").write_text(json.dumps(telegram), "utf-8")
        run(tmp_path, ["new", "mine"])
        return tmp_path / "mine"

    def test_alone_is_of_me_and_my_name_is_asked_for(self, space: Path) -> None:
        done = run(space, ["import", "../diary.md"])
        assert (
            'nothing says who wrote diary.md: if it is you, type `myna people rename Me "YOUR '
            'NAME"`, then `myna people me "YOUR NAME"`'
        ) in done.err
        assert run(space, ["status", "--json"]).json()["next"] == 'myna people me "Me"'

    def test_of_the_owner_is_merged_by_the_command_that_is_told(self, space: Path) -> None:
        run(space, ["import", "../result.json"])
        done = run(space, ["import", "../diary.md"])
        assert (
            'nothing says who wrote diary.md: if it is you, type `myna people merge "Mira Lee" '
            '"Me"`'
        ) in done.err
        assert run(space, ["people", "merge", "Mira Lee", "Me"]).status == 0
        names = {p["person"] for p in run(space, ["people", "--json"]).json()["people"]}
        assert names == {"Mira Lee", "Jonas"}

    def test_before_a_chat_leaves_the_owner_to_the_one_with_a_name(self, space: Path) -> None:
        run(space, ["import", "../diary.md"])
        done = run(space, ["import", "../result.json"])
        assert 'type `myna people merge "Mira Lee" "Me"`' in done.err
