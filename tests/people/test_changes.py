"""What the commands do to people: each change, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from myna.errors import PeopleError
from myna.people import People, Person, changes

ANA = Person("Ana", ("x:1",), "clone")
BEN = Person("Ben", ("x:2", "y:2"), "context", pseudonym="Robin")
BOT = Person("Beep", ("x:9",), "no", is_bot=True)
ALL = People((ANA, BEN, BOT), "no", me="Ben")


def test_merging_keeps_the_first_with_all_accounts() -> None:
    merged = changes.merge(ALL, "ana", "ben")
    assert merged.persons == (Person("Ana", ("x:1", "x:2", "y:2"), "clone"), BOT)
    assert merged.me == "Ana"


def test_renaming_keeps_who_i_am() -> None:
    renamed = changes.rename(ALL, "Ben", "Benno")
    assert renamed.persons[1] == Person("Benno", ("x:2", "y:2"), "context", pseudonym="Robin")
    assert renamed.me == "Benno"


def test_consent_and_pseudonym() -> None:
    assert changes.consent(ALL, "Ana", "no").persons[0].consent == "no"
    shown = changes.consent(ALL, "Ana", "context", "Kit").persons[0]
    assert (shown.consent, shown.shown) == ("context", "Kit")
    assert changes.consent(ALL, "Ben", "context", "").persons[1].shown == "Ben"
    assert changes.consent(ALL, "Ben", "clone").persons[1].shown == "Robin"


def test_i_am_one_of_them_and_may_be_cloned() -> None:
    assert changes.me(People((BEN,)), "Ben") == People(
        (Person("Ben", ("x:2", "y:2"), "clone", pseudonym="Robin"),), me="Ben"
    )


def test_without_somebody_only_their_marks_remain() -> None:
    rest = changes.without(ALL, BEN, ("abc",))
    assert rest == People((ANA, BOT), "no", forgotten=("abc",))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: changes.merge(ALL, "Ana", "ana"), "are the same person already"),
        (lambda: changes.merge(ALL, "Ana", "Beep"), "is a bot, and bots are nobody"),
        (lambda: changes.merge(ALL, "Ana", "Cy"), "nobody here is called 'Cy'"),
        (lambda: changes.rename(ALL, "Ana", "Ben"), "somebody else is called 'Ben'"),
        (lambda: changes.rename(ALL, "Ana", "Robin"), "somebody else is called 'Robin'"),
        (lambda: changes.rename(ALL, "Ana", "A: b"), "cannot stand before a colon: take 'A b'"),
        (lambda: changes.rename(ALL, "Ana", ""), "cannot stand before a colon"),
        (lambda: changes.consent(ALL, "Ana", "context", "Ben"), "somebody else is called 'Ben'"),
        (lambda: changes.consent(ALL, "Beep", "clone"), "bots are never personas"),
        (lambda: changes.me(ALL, "Beep"), "bots are never personas"),
    ],
)
def test_what_is_refused(change: Callable[[], People], said: str) -> None:
    with pytest.raises(PeopleError, match=re.escape(said)):
        change()
