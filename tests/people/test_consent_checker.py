"""Consent at the time of speaking: by accounts, as people.toml is now."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from tests.consents import agreed, friend, trained_on

from myna import people
from myna.errors import ConsentError, PeopleError
from myna.people import ConsentRecord, People, Person, consent
from myna.people.consent import OptOut
from myna.people.consent_checker import ConsentChecker, TrainedPerson
from myna.workspace import Workspace


def now(folder: Path, *persons: Person) -> None:
    people.save(Workspace(folder).people_file, People(persons))


def test_all_who_agreed_may_speak(tmp_path: Path) -> None:
    consents = agreed(tmp_path, ["Ana", "Ben"])
    assert consents.speakers() == ["Ana", "Ben"]
    consents.check_anybody()


@pytest.mark.parametrize("value", ["no", "context"])
def test_an_adapter_that_learned_from_somebody_who_withdrew_speaks_as_nobody(
    tmp_path: Path, value: people.Consent
) -> None:
    consents = agreed(tmp_path, ["Ana", "Ben"])
    assert consents.speakers()
    now(tmp_path, friend("Ana", value), friend("Ben"))
    assert consents.speakers() == []
    for name in ("Ana", "Ben"):
        assert "learned from Ana, who may not be cloned now" in consents.refusal(name)
        assert 'type `myna train --without "Ana"`' in consents.refusal(name)
    with pytest.raises(ConsentError, match="learned from Ana"):
        consents.check_anybody()
    now(tmp_path, friend("Ana"), friend("Ben"))
    assert consents.speakers() == ["Ana", "Ben"]


def test_with_adapters_of_their_own_the_others_go_on(tmp_path: Path) -> None:
    consents = agreed(tmp_path, ["Ana", "Ben"], own_adapters=True)
    now(tmp_path, friend("Ana", "no"), friend("Ben"))
    assert (consents.speakers(), consents.allowed()) == (["Ben"], ["Ben"])


def test_another_person_of_the_same_name_does_not_lend_it(tmp_path: Path) -> None:
    consents = agreed(tmp_path, ["Ana"])
    now(tmp_path, Person("Ana", ("test:another",), "clone"))
    assert consents.speakers() == []


def test_a_new_name_changes_nothing(tmp_path: Path) -> None:
    consents = agreed(tmp_path, ["Ana"])
    now(tmp_path, replace(friend("Ana"), name="Anna", pseudonym="Kit"))
    assert consents.speakers() == ["Ana"]


def test_one_of_several_accounts_is_enough_to_withdraw(tmp_path: Path) -> None:
    both = Person("Ana", ("test:Ana", "irc:ana"), "clone")
    now(tmp_path, both)
    trained = replace(trained_on(["Ana"]), people={"Ana": TrainedPerson.of(both)})
    consents = ConsentChecker(Workspace(tmp_path), trained, "owner")
    assert consents.speakers() == ["Ana"]
    now(tmp_path, friend("Ana"), Person("Other", ("irc:ana",), "no"))
    assert consents.speakers() == []


def test_a_consent_ends_on_its_last_day(tmp_path: Path) -> None:
    consents = agreed(tmp_path, ["Ana"])
    today = people.today()
    for last, may in ((today, True), (today - timedelta(days=1), False)):
        record = ConsentRecord("by Tom", date(2024, 5, 1), until=last)
        now(tmp_path, replace(friend("Ana"), record=record))
        assert bool(consents.speakers()) is may
        everyone, ended = consent.end_consents(people.load(Workspace(tmp_path).people_file))
        assert [p.name for p in ended] == ([] if may else ["Ana"])
        assert everyone.persons[0].consent == ("clone" if may else "context")


def test_nobody_speaks_beyond_what_they_agreed_to(tmp_path: Path) -> None:
    consents = agreed(tmp_path, ["Ana"], scope="group")
    record = ConsentRecord("by Tom", people.today(), ("owner",))
    now(tmp_path, replace(friend("Ana"), record=record))
    assert consents.refusal("Ana") == (
        "Ana has not agreed that their clone may talk to others than you: ask them, then type "
        '`myna people allow "Ana" --scope group --asked "…"`'
    )


@pytest.mark.parametrize("person", ["Ana", ""])
def test_who_opted_out_is_silent_everywhere_and_the_others_are_not(
    tmp_path: Path, person: str
) -> None:
    consents = agreed(tmp_path, ["Ana", "Ben"])
    entry = OptOut("test:Ana", "ana", person, "2024-05-01T10:00:00")
    consent.add_opt_outs(Workspace(tmp_path).opt_outs_file, [entry])
    assert consents.speakers() == ["Ben"]
    assert consents.refusal("Ana") == ('Ana opted out on 2024-05-01: type `myna people deny "Ana"`')


def test_while_people_toml_cannot_be_read_its_last_content_counts(tmp_path: Path) -> None:
    consents = agreed(tmp_path, ["Ana"])
    now(tmp_path, friend("Ana", "no"))
    assert consents.speakers() == []
    Workspace(tmp_path).people_file.write_text("[people", "utf-8")
    assert consents.speakers() == []


def test_records_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "people.toml"
    record = ConsentRecord(
        "Tom, by phone", date(2024, 5, 1), ("owner", "publish"), date(2030, 1, 1)
    )
    people.save(path, People((replace(friend("Ana"), record=record), friend("Ben"))))
    assert people.load(path).persons == (replace(friend("Ana"), record=record), friend("Ben"))
    assert "until = 2030-01-01" in path.read_text("utf-8")
    people.save(path, consent.set_consent(people.load(path), "Ana", "no"))
    assert people.load(path).persons[0] == friend("Ana", "no")
    assert "asked" not in path.read_text("utf-8").partition("[people")[2]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("asked_on = 2024-05-01", "write who asked, and how"),
        ('asked = "Tom"', "write asked_on as a day, without quotes"),
        ('asked = "Tom"\nasked_on = "2024-05-01"', "write asked_on as a day"),
        ('asked = "Tom"\nasked_on = 2024-05-01\nuntil = "soon"', "write until as a day"),
        ('asked = "Tom"\nasked_on = 2024-05-01\nscope = ["all"]', "scope is a list of owner"),
    ],
)
def test_a_record_that_is_wrong_is_told(tmp_path: Path, lines: str, why: str) -> None:
    path = tmp_path / "people.toml"
    path.write_text(f'[people.Ana]\naccounts = ["x:1"]\nconsent = "clone"\n{lines}\n', "utf-8")
    with pytest.raises(PeopleError, match=why):
        people.load(path)
