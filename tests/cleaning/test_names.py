"""Names that must not be read, and what stands in for them."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from tests.chats import table, texts, thorough

from myna.cleaning import names
from myna.people import Consent, People, Person


def person(name: str, consent: Consent, pseudonym: str = "") -> Person:
    return Person(name, (f"test:{name}",), consent, pseudonym=pseudonym)


PEOPLE = People(
    (
        person("Ana", "clone"),
        person("Ben Bell", "no"),
        person("Cy", "no"),
        person("Dora", "context", "Robin"),
        Person("Beep", ("test:Beep",), "no", is_bot=True),
    )
)


def hidden(text: str, *mentions: tuple[str, int, int], people: People = PEOPLE) -> str:
    rows = [{"author": p.name, "text": ""} for p in PEOPLE.persons]
    frame = table([{"author": "Ana", "text": text}, *rows])
    spans = [[{"author_id": a, "start": s, "end": e} for a, s, e in mentions]]
    frame = frame.with_columns(
        pl.Series("mentions", spans + [[]] * len(rows), frame.schema["mentions"])
    )
    shown: str = names.hide(frame, people)["text"][0]
    return shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("did Ben Bell say so?", "did Person 1 say so?"),
        ("Ben's cup, and Dora's", "Person 1's cup, and Robin's"),
        ("Benjamin and benefit", "Benjamin and benefit"),
        ("Ana and Beep stay", "Ana and Beep stay"),
        ("Cy is too short to be sure", "Cy is too short to be sure"),
        ("", ""),
    ],
)
def test_names_in_the_open_are_found_as_whole_words(text: str, shown: str) -> None:
    assert hidden(text) == shown


def test_mentions_are_replaced_wherever_they_stand() -> None:
    text = "@benny, @Ana and @C go"
    mentions = (("Ben Bell", 0, 6), ("Ana", 8, 12), ("Cy", 17, 19))
    assert hidden(text, *mentions) == "@Person 1, @Ana and @Person 2 go"


def test_one_who_is_not_hidden_keeps_a_name_that_two_have() -> None:
    people = People((person("Ben", "clone"), *PEOPLE.persons))
    assert hidden("Ben or Ben Bell", people=people) == "Ben or Person 1"


def test_where_nobody_is_hidden_nothing_changes() -> None:
    frame = table([{"author": "Ana", "text": "Ana!"}])
    assert names.hide(frame, People((person("Ana", "clone"),))).equals(frame)


@thorough
@given(texts)
def test_whatever_is_written_no_hidden_name_is_left(text: str) -> None:
    shown = hidden(f"{text} Ben Bell {text}")
    assert "Ben Bell" not in shown
    assert "Person 1" in shown


def test_other_columns_and_rows_are_as_they_were() -> None:
    rows: list[dict[str, Any]] = [{"author": "Ana", "text": t} for t in ("Dora?", "tea", "Dora")]
    frame = table(rows)
    shown = names.hide(frame, PEOPLE)
    assert shown["text"].to_list() == ["Robin?", "tea", "Robin"]
    assert shown.drop("text").equals(frame.drop("text"))
