"""From a yes to a no, as it is typed: a small clone, and everything that would let it speak."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from tests.chats import walks
from tests.training.cases import make_base, workspace_of
from typer.testing import CliRunner

from myna import people, stages
from myna.artifacts import AdapterInfo, export_records
from myna.cli.commands import app
from myna.errors import ConsentError, MynaError, PeopleError, SettingsError
from myna.people import SCOPES, today
from myna.workspace import Workspace

QUICK = ["--set", "train.num_train_epochs=0.2", "--set", "train.validations=0"]
TINY = ["--set", "chat.engine=transformers", "--set", "chat.max_new_tokens=4"]


def myna(space: Workspace, *line: str, typed: str = "") -> Result:
    """The output of a command; its error is raised."""
    return CliRunner().invoke(app, ["-C", str(space.root), *line], typed, catch_exceptions=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("consent")
    said = walks(90, ("Ana", "Ben", "Cy"))
    space = workspace_of(folder / "friends", make_base(folder / "tiny"), said)
    assert myna(space, "train", *QUICK).exit_code == 0
    return space


@pytest.fixture
def space(trained: Workspace, tmp_path: Path) -> Workspace:
    """A copy of its own of the workspace with a clone of Ana, Ben and Cy."""
    shutil.copytree(trained.root, tmp_path / "friends")
    return Workspace(tmp_path / "friends")


SPEAKING = (
    ["chat", *TINY],
    ["chat", "--with", "Ben", *TINY],
    ["serve", "--port", "0", *TINY],
    ["bot", "irc", "--server", "127.0.0.1:1", "--channel", "#tea", *TINY],
    ["export", "merged"],
    ["train", "--continue", *QUICK],
)


def test_after_a_no_nothing_lets_the_clone_speak_until_it_is_trained_again(
    space: Workspace,
) -> None:
    assert "Ana (clone): " in myna(space, "chat", "--with", "Ana", *TINY, typed="hi\n").stdout
    assert myna(space, "export", "sharegpt", "--person", "Ana").exit_code == 0
    told = myna(space, "people", "deny", "Ana").stderr
    assert "adapter 'group' has learned from Ana, who may not be cloned now" in told
    assert 'type `myna train --without "Ana"`' in told
    assert "as last time)" in told
    export = space.root / "exports" / "sharegpt"
    assert f"an export of {today()} holds Ana: {export.resolve()} (sharegpt)" in told
    [state] = [stage for stage in stages.status(space) if stage.name == "train"]
    assert state.state == "stale"
    assert state.command == 'myna train --without "Ana"'
    myna(space, "prepare")
    for line in SPEAKING:
        with pytest.raises(ConsentError, match=r"has learned from Ana.* `myna train --without"):
            myna(space, *line, typed="hi\n")
    again = myna(space, "train", "--without", "Ana", *QUICK)
    assert "training 'group' again without Ana: about 1 min, as last time" in again.stderr
    assert sorted(AdapterInfo.load(space, "group").personas) == ["Ben", "Cy"]
    assert "Ben (clone): " in myna(space, "chat", "--with", "Ben", *TINY, typed="hi\n").stdout


def test_forgetting_names_adapters_and_exports_and_keeps_no_name(space: Workspace) -> None:
    elsewhere = str(space.root.parent / "elsewhere")
    myna(space, "export", "sharegpt", "--person", "Ana", "--to", elsewhere)
    myna(space, "export", "sharegpt", "--person", "Ana")
    told = myna(space, "people", "forget", "Ana", "--yes").stderr
    assert "has learned from Ana" in told
    assert f"deleted the export in {space.root.resolve() / 'exports' / 'sharegpt'}" in told
    assert f"an export of {today()} holds Ana: {elsewhere} (sharegpt)" in told
    assert "Ana" not in space.exports_file.read_text("utf-8")
    with pytest.raises(ConsentError, match="has learned from Ana"):
        myna(space, "chat", *TINY, typed="hi\n")
    assert myna(space, "train", "--without", "Ana", *QUICK).exit_code == 0
    assert myna(space, "chat", *TINY, typed="hi\n").exit_code == 0


def test_with_an_adapter_for_each_the_one_of_who_left_is_removed(space: Workspace) -> None:
    each = [*QUICK, "--set", "train.per_person=true"]
    myna(space, "train", *each)
    assert space.adapter("group.ana").exists()
    myna(space, "people", "deny", "Ana")
    assert "Ben (clone): " in myna(space, "chat", "--with", "Ben", *TINY, typed="hi\n").stdout
    with pytest.raises(ConsentError, match="has learned from Ana"):
        myna(space, "chat", "--with", "Ana", *TINY, typed="hi\n")
    myna(space, "train", "--without", "Ana", *each)
    assert not space.adapter("group.ana").exists()
    assert sorted(AdapterInfo.load(space, "group").personas) == ["Ben", "Cy"]


def test_nobody_is_left_out_who_may_still_be_cloned(space: Workspace) -> None:
    with pytest.raises(PeopleError, match=r"Ana may still be cloned: type `myna people deny"):
        myna(space, "train", "--without", "Ana")


@pytest.fixture
def chats(tmp_path: Path) -> Workspace:
    """A workspace without people, and an export beside it."""
    lines = "".join(json.dumps(message) + "\n" for message in walks(20))
    (tmp_path / "walks.jsonl").write_text(lines, "utf-8")
    space = Workspace(tmp_path / "friends")
    CliRunner().invoke(app, ["new", str(space.root)], catch_exceptions=False)
    return space


def consents(space: Workspace) -> dict[str, str]:
    return {person.name: person.consent for person in people.load(space.people_file).persons}


def test_through_a_pipe_new_people_are_context_and_the_next_step_is_told(chats: Workspace) -> None:
    done = myna(chats, "import", str(chats.root.parent / "walks.jsonl"))
    assert set(consents(chats).values()) == {"context"}
    assert "Who is not you is asked first (`myna people ask NAME` writes a page)" in done.stderr
    assert 'Next: myna people me "YOUR NAME"' in done.stderr
    with pytest.raises(
        PeopleError, match=r"nobody may be cloned yet: .* people allow NAME --asked"
    ):
        myna(chats, "prepare")


def test_consent_for_all_is_warned_about_in_one_line_and_not_kept(chats: Workspace) -> None:
    export = chats.root.parent / "walks.jsonl"
    done = myna(chats, "import", str(export), "--consent", "clone")
    [warning] = [line for line in done.stderr.splitlines() if "--consent clone" in line]
    assert "whose authors have all agreed" in warning
    export.with_name("new.jsonl").write_text('{"author": "Zoe", "text": "hi"}\n', "utf-8")
    myna(chats, "import", str(export.with_name("new.jsonl")))
    assert consents(chats)["Zoe"] == "context"


def test_a_yes_is_noted_with_who_how_when_scope_and_end(chats: Workspace) -> None:
    myna(chats, "import", str(chats.root.parent / "walks.jsonl"))
    with pytest.raises(SettingsError, match=r'note who asked Ana, how and when: add --asked "'):
        myna(chats, "people", "allow", "Ana")
    asked = ["--asked", "Tom, by phone", "--scope", "owner", "--until", "2999-01-31"]
    myna(chats, "people", "allow", "Ana", "Ben", *asked)
    ana, ben = (people.find_person(people.load(chats.people_file), n) for n in ("Ana", "Ben"))
    assert ana.record == ben.record
    assert ana.record is not None
    assert (ana.record.asked, ana.record.asked_on) == ("Tom, by phone", today())
    assert (ana.scope, str(ana.record.until)) == (("owner",), "2999-01-31")
    myna(chats, "people", "me", "Cy")
    assert people.find_person(people.load(chats.people_file), "Cy").scope == SCOPES
    for wrong in (["--scope", "all"], ["--until", "soon"], ["--until", "2001-01-01"]):
        with pytest.raises(MynaError, match=r"--scope all|--until"):
            myna(chats, "people", "allow", "Ana", "--asked", "x", *wrong)


def test_a_request_is_one_page_in_plain_words(chats: Workspace, tmp_path: Path) -> None:
    myna(chats, "import", str(chats.root.parent / "walks.jsonl"))
    page = tmp_path / "page.txt"
    told = myna(chats, "people", "ask", "Ana", "--to", str(page)).stderr
    assert 'Next: myna people allow "Ana" --asked "who asked, how, when"' in told
    text = page.read_text("utf-8")
    assert len(text.splitlines()) < 40
    assert max(map(len, text.splitlines())) < 100
    for word in ("To Ana", "You may say no", "[ ] owner", "of age"):
        assert word in text


def test_exports_are_recorded_once_for_each_place(space: Workspace) -> None:
    for _ in range(2):
        myna(space, "export", "sharegpt", "--person", "Ana")
    assert len(export_records(space)) == 1
    cards = myna(space, "export", "card", "--person", "Ana")
    assert cards.exit_code == 0
    myna(space, "people", "allow", "Ana", "--asked", "Tom")
    myna(space, "prepare")
    with pytest.raises(ConsentError, match=r"Ana has not agreed that their clone may be passed on"):
        myna(space, "export", "card", "--person", "Ana")
