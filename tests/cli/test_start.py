"""`myna start`: four answers lead from chats to a conversation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.chats import walks
from tests.cli.conftest import run
from tests.training.cases import make_base

from myna import config, people
from myna.cli import import_, start
from myna.errors import PeopleError, SettingsError, SourceError
from myna.people import People, Person

EVERYONE = People(tuple(Person(name, (), "context") for name in ("Ana Lee", "Ana", "Ben", "Cy")))
GROUPS = [["Ana Lee", "Ana"], ["Ben"], ["Cy"]]


class TestAnswers:
    def test_numbers_and_names_choose_people(self) -> None:
        def chosen(answer: str) -> list[list[str]]:
            return list(start._chosen(answer, GROUPS, EVERYONE))

        assert chosen("1") == [["Ana Lee", "Ana"]]
        assert chosen("2, cy") == [["Ben"], ["Cy"]]
        assert chosen("2+3") == [["Ben", "Cy"]]
        for wrong in ("4", "Zed", " "):
            with pytest.raises(PeopleError):
                chosen(wrong)

    def test_an_agreement_says_how_it_was_asked_for(self) -> None:
        assert start._agreed("nobody", GROUPS, EVERYONE) == ([], "")
        assert start._agreed("2: by me, 3 May", GROUPS, EVERYONE) == ([["Ben"]], "by me, 3 May")
        with pytest.raises(PeopleError, match="add how you asked them: Ben: in the group"):
            start._agreed("Ben", GROUPS, EVERYONE)

    @pytest.mark.parametrize(
        ("answer", "budget"),
        [("20", "20m"), ("5 minutes", "5m"), ("1 h", "1h"), ("1.5 hours", "1.5h"), ("90s", "90s")],
    )
    def test_times_as_people_write_them(self, answer: str, budget: str) -> None:
        assert start._budget(answer) == budget
        assert config.seconds(budget) > 0

    def test_a_path_may_be_quoted_as_terminals_do(self, tmp_path: Path) -> None:
        export = tmp_path / "our chat.jsonl"
        export.write_text("".join(json.dumps(m) + "\n" for m in walks(10)), "utf-8")
        for typed in (str(export), f"'{export}'", str(export).replace(" ", "\\ ")):
            assert start._paths(typed) == [export.resolve()]
        for wrong in ("", str(tmp_path / "nope")):
            with pytest.raises(SourceError):
                start._paths(wrong)

    def test_words_are_quoted_only_where_they_have_to_be(self) -> None:
        assert start._quoted("../a-b_c.zip") == "../a-b_c.zip"
        assert start._quoted("Mira Lee") == '"Mira Lee"'
        assert start._quoted('a "b" $c') == "'a \"b\" $c'"

    def test_a_time_that_is_none_is_asked_again(self) -> None:
        with pytest.raises(SettingsError, match="write it as 4m"):
            start._budget("soon")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A folder in which four answers were piped into it; what it printed and what was said."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "chats").mkdir()
    export = folder / "chats" / "walks.jsonl"
    export.write_text("".join(json.dumps(m) + "\n" for m in walks(90)), "utf-8")
    run(folder, ["new", "clones", "--base", str(make_base(folder / "tiny"))])
    settings = folder / "clones" / "myna.toml"
    text = settings.read_text("utf-8").replace("# max_length = 512", "max_length = 128")
    text = re.sub(r'\nengine = "\w*"', '\nengine = "transformers"', text)
    settings.write_text(re.sub(r"\nmax_new_tokens = \d+", "\nmax_new_tokens = 4", text), "utf-8")
    answers = "/nope\nchats\n4\nAna\n2, Cy\nBen, Cy: by me, in the group\nsoon\n2s\nsoup?\n/quit\n"
    done = run(folder, ["start"], typed=answers)
    assert done.status == 0, done.err
    return folder / "clones", done.err, done.out


def test_four_answers_do_it_and_wrong_ones_are_asked_again(
    started: tuple[Path, str, str],
) -> None:
    folder, told, said = started
    everyone = people.load(folder / "people.toml")
    assert everyone.me == "Ana"
    assert {p.name for p in everyone.persons if p.consent == "clone"} == {"Ana", "Ben", "Cy"}
    for wrong in (
        "/nope does not exist: check the path",
        "there is no number 4: they go to 3",
        "add how you asked them: 2, Cy: in the group, 3 May",
        "'soon' is no duration",
    ):
        assert wrong in told
    assert "Value error" not in told
    assert re.search(r"^(Ben|Cy) \(clone\): ", said, re.MULTILINE)


def test_each_step_is_printed_as_the_command_that_it_is(started: tuple[Path, str, str]) -> None:
    folder, told, _ = started
    commands = re.findall(r"^\$ myna (.*)$", told, re.MULTILINE)
    chats = (folder.parent / "chats").resolve()
    assert commands == [
        f"import {chats}", "people me Ana",
        'people allow Ben Cy --asked "by me, in the group"', "prepare",
        "train --budget 2s", "evaluate --items 40 --rooms 4", "chat",
    ]  # fmt: skip
    assert "✓ new  ✓ import  ✓ people  ✓ prepare  ▸ train  · evaluate  · chat" in told


def test_it_goes_on_from_where_it_stopped(started: tuple[Path, str, str]) -> None:
    folder, _, _ = started
    again = run(folder, ["start"], typed="/quit\n")
    assert again.status == 0, again.err
    assert re.findall(r"^\$ myna (.*)$", again.err, re.MULTILINE) == ["chat"]


def test_answers_that_end_too_soon_are_one_clear_line(tmp_path: Path) -> None:
    done = run(tmp_path, ["start"], typed="")
    assert done.status == 2
    assert "pipe in a line for each question" in done.err
    assert not (tmp_path / "clones").exists()


def test_ctrl_c_stops_all_of_it_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_, "_import", pressed)
    export = tmp_path / "walks.jsonl"
    export.write_text("".join(json.dumps(m) + "\n" for m in walks(10)), "utf-8")
    stopped = run(tmp_path, ["start"], typed="walks.jsonl\n1\n")
    assert stopped.status == 130
    last = f"stopped at `myna import {export.resolve()}`; `myna start` goes on from there"
    assert last in stopped.err.splitlines()
    assert "Who are you" not in stopped.err
