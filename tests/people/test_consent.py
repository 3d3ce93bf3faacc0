"""Changes to people by the commands, and the refused ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from myna.errors import PeopleError, WorkspaceError
from myna.people import SCOPES, People, Person, consent
from myna.people.consent import OptOut, add_opt_outs, load_opt_outs

ANA = Person("Ana", ("x:1",), "clone")
BEN = Person("Ben", ("x:2", "y:2"), "context", pseudonym="Robin")
BOT = Person("Beep", ("x:9",), "no", is_bot=True)
ALL = People((ANA, BEN, BOT), "no", me="Ben")


def test_merging_keeps_the_first_with_all_accounts() -> None:
    merged = consent.merge_persons(ALL, "ana", "ben")
    assert merged.persons == (Person("Ana", ("x:1", "x:2", "y:2"), "clone"), BOT)
    assert merged.me == "Ana"


def test_renaming_keeps_who_i_am() -> None:
    renamed = consent.rename_person(ALL, "Ben", "Benno")
    assert renamed.persons[1] == Person("Benno", ("x:2", "y:2"), "context", pseudonym="Robin")
    assert renamed.me == "Benno"


def test_consent_and_pseudonym() -> None:
    assert consent.set_consent(ALL, "Ana", "no").persons[0].consent == "no"
    shown = consent.set_consent(ALL, "Ana", "context", "Kit").persons[0]
    assert (shown.consent, shown.display_name) == ("context", "Kit")
    assert consent.set_consent(ALL, "Ben", "context", "").persons[1].display_name == "Ben"
    assert consent.set_consent(ALL, "Ben", "clone").persons[1].display_name == "Robin"


def test_i_am_one_of_them_and_may_be_cloned() -> None:
    mine = consent.set_me(People((BEN,)), "Ben")
    assert (mine.me, mine.persons[0].consent, mine.persons[0].scope) == ("Ben", "clone", SCOPES)


def test_without_somebody_only_their_marks_remain() -> None:
    rest = consent.remove_person(ALL, BEN, ("abc",))
    assert rest == People((ANA, BOT), "no", forgotten=("abc",))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: consent.merge_persons(ALL, "Ana", "ana"), "are the same person already"),
        (lambda: consent.merge_persons(ALL, "Ana", "Beep"), "is a bot: merge only humans"),
        (lambda: consent.merge_persons(ALL, "Ana", "Cy"), "unknown person 'Cy'"),
        (lambda: consent.rename_person(ALL, "Ana", "Ben"), "'Ben' is another person"),
        (lambda: consent.rename_person(ALL, "Ana", "Robin"), "'Robin' is another person"),
        (
            lambda: consent.rename_person(ALL, "Ana", "A: b"),
            "cannot stand before a colon: take 'A b'",
        ),
        (lambda: consent.rename_person(ALL, "Ana", ""), "cannot stand before a colon"),
        (lambda: consent.set_consent(ALL, "Ana", "context", "Ben"), "'Ben' is another person"),
        (lambda: consent.set_consent(ALL, "Beep", "clone"), "bots are never personas"),
        (lambda: consent.set_me(ALL, "Beep"), "bots are never personas"),
    ],
)
def test_what_is_refused(change: Callable[[], People], said: str) -> None:
    with pytest.raises(PeopleError, match=re.escape(said)):
        change()


ANA_OPT_OUT = OptOut("discord:1", "ana", "Ana", "2024-05-01T00:00:00+00:00")
EVE = OptOut("discord:2", "eve", "", "2024-05-02T00:00:00+00:00")


def test_opt_outs_are_stored_once_in_order(tmp_path: Path) -> None:
    file = tmp_path / "opt-outs.json"
    assert load_opt_outs(file) == []
    add_opt_outs(file, [ANA_OPT_OUT])
    add_opt_outs(file, [EVE, ANA_OPT_OUT])
    assert load_opt_outs(file) == [ANA_OPT_OUT, EVE]


@pytest.mark.parametrize("text", ["{", '[{"account": "x"}]', '[{"who": "x"}]'])
def test_a_damaged_file_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "opt-outs.json"
    file.write_text(text, "utf-8")
    with pytest.raises(WorkspaceError, match=r"opt-outs\.json is damaged"):
        load_opt_outs(file)
