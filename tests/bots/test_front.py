"""Names: clones are marked, humans are nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.bots.front import clone_display_name, name_in_room
from myna.people import sanitize_name


@pytest.mark.parametrize(
    ("person", "name"),
    [
        ("Alice", "Alice (clone)"),
        ("Clyde Barrow", "Cl… Barrow (clone)"),
        ("the DISCORD one", "the DISC… one (clone)"),
        ("x" * 200, "x" * 40 + " (clone)"),
    ],
)
def test_a_clone_is_marked(person: str, name: str) -> None:
    assert clone_display_name(person) == name


@given(st.text())
def test_any_clone_is_marked_with_a_name_that_discord_takes(person: str) -> None:
    name = clone_display_name(person)
    assert name.endswith(" (clone)")
    assert 1 <= len(name) <= 80
    assert "clyde" not in name.casefold()
    assert "discord" not in name.casefold()


def test_a_human_keeps_the_name_that_is_free() -> None:
    assert name_in_room("Eve", ["Bo"], ["Ana"]) == "Eve"


def test_a_human_of_a_persona_s_name_is_marked_as_one() -> None:
    assert name_in_room("ana", [], ["Ana"]) == "ana (human)"
    assert name_in_room("ana", ["Ana (human)"], ["Ana"]) == "ana (human) 2"


def test_two_humans_of_one_name_are_told_apart() -> None:
    assert name_in_room("Eve", ["eve", "Eve 2"], ["Ana"]) == "Eve 3"


@given(st.text(), st.lists(st.text().map(sanitize_name)), st.lists(st.text().map(sanitize_name)))
def test_no_name_makes_a_human_somebody_else(
    name: str, taken: list[str], personas: list[str]
) -> None:
    called = name_in_room(name, taken, personas)
    assert called == sanitize_name(called)
    assert called.casefold() not in {other.casefold() for other in (*taken, *personas)}
