"""Erasing a person: nothing of theirs stays, nothing of others' goes."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from tests.chats import table

from myna import people, workspace
from myna.people import People, Person, accounts, forgetting
from myna.workspace import Workspace

ANA = Person("Ana", ("test:Ana",), "clone")
BEN = Person("Ben", ("test:Ben",), "clone")


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """Two tables, one of which Ana is in; samples and reports were made."""
    space = workspace.create(tmp_path / "friends")
    people.save(space.people_file, People((ANA, BEN), "context", me="Ana"))
    mentions = [
        [],
        [{"author_id": "Ana", "start": 3, "end": 7}, {"author_id": "Ben", "start": 8, "end": 12}],
        [],
    ]
    first = table(
        [
            {"author": a, "text": t}
            for a, t in (("Ana", "hi"), ("Ben", "hi @Ana @Ben!"), ("Ana", "x"))
        ]
    )
    first = first.with_columns(pl.Series("mentions", mentions, first.schema["mentions"]))
    other = table([{"author": "Ben", "text": "alone"}])
    space.messages.mkdir()
    for name, frame in (("one", first), ("two", other)):
        (space.messages / name).mkdir()
        frame.write_parquet(space.messages / name / "0.parquet")
        record = {
            "imported_at": name,
            "counts": {"messages": frame.height, "stored": frame.height},
            "files": [{"file": name, "examples": {"damaged": "Ana said"}}],
        }
        (space.messages / name / "import.json").write_text(json.dumps(record))
    for folder in (space.prepared, space.reports, space.jobs, space.uploads):
        folder.mkdir()
        (folder / "x.json").write_text("Ana")
    space.adapter("group").mkdir(parents=True)
    (space.adapter("group") / "previews.jsonl").write_text("Ana")
    return space


def test_their_messages_go_and_others_stay(space: Workspace) -> None:
    before = (space.messages / "two/0.parquet").read_bytes()
    assert forgetting.forget_person(space, ANA) == 2
    left = pl.read_parquet(space.messages / "one/0.parquet")
    assert left["author"].to_list() == ["Ben"]
    assert (space.messages / "two/0.parquet").read_bytes() == before
    record = json.loads((space.messages / "one/import.json").read_text())
    assert record["counts"]["stored"] == 1
    assert record["files"][0]["examples"] == {}


def test_mentions_lose_the_name_and_others_keep_their_place(space: Workspace) -> None:
    forgetting.forget_person(space, ANA)
    [row] = pl.read_parquet(space.messages / "one/0.parquet").to_dicts()
    assert row["text"] == "hi @someone @Ben!"
    [mention] = row["mentions"]
    assert (mention["author_id"], row["text"][mention["start"] : mention["end"]]) == ("Ben", "@Ben")


def test_what_was_made_of_them_goes_and_their_name_too(space: Workspace) -> None:
    forgetting.forget_person(space, ANA)
    assert not space.prepared.exists()
    assert not space.reports.exists()
    assert not space.jobs.exists()
    assert not space.uploads.exists()
    assert (space.adapter("group") / "previews.jsonl").read_text() == ""
    assert "Ana" not in space.people_file.read_text()
    known = people.load(space.people_file)
    assert known == People((BEN,), "context", forgotten=(accounts.account_hash("test:Ana"),))


def test_stopped_half_way_it_is_finished_by_doing_it_again(
    space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(people, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        forgetting.forget_person(space, ANA)
    monkeypatch.undo()
    assert (
        forgetting.forget_person(space, people.find_person(people.load(space.people_file), "Ana"))
        == 0
    )
    assert [p.name for p in people.load(space.people_file).persons] == ["Ben"]


def test_their_reactions_go_and_those_of_others_stay(space: Workspace) -> None:
    path = space.messages / "two/0.parquet"
    said = pl.read_parquet(path)
    given = [[{"name": "🍵", "count": 2, "by": ["Ana", "Ben"]}]]
    said.with_columns(pl.Series("reactions", given, said.schema["reactions"])).write_parquet(path)
    forgetting.forget_person(space, ANA)
    [left] = pl.read_parquet(path)["reactions"].to_list()
    assert left == [{"name": "🍵", "count": 1, "by": ["Ben"]}]
