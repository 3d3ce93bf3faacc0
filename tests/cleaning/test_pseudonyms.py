"""Pseudonyms for names that are hidden."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import table, texts, thorough

from myna.cleaning import pseudonyms
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


def hide(frame: pl.DataFrame, people: People) -> pl.DataFrame:
    return pseudonyms.replace_names(frame, pseudonyms.hidden_names(frame, people))


def shown(text: str, *mentions: tuple[str, int, int], people: People = PEOPLE) -> pl.DataFrame:
    rows = [{"author": p.name, "text": ""} for p in PEOPLE.persons]
    frame = table([{"author": "Ana", "text": text}, *rows])
    spans = [[{"author_id": a, "start": s, "end": e} for a, s, e in mentions]]
    frame = frame.with_columns(
        pl.Series("mentions", spans + [[]] * len(rows), frame.schema["mentions"])
    )
    return hide(frame, people)[:1]


def hidden(text: str, *mentions: tuple[str, int, int], people: People = PEOPLE) -> str:
    found: str = shown(text, *mentions, people=people)["text"][0]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("did Ben Bell say so?", "did Person 1 say so?"),
        ("Ben's cup, and Dora's", "Person 1's cup, and Robin's"),
        ("Benjamin and benefit", "Benjamin and benefit"),
        ("Ana and Beep stay", "Ana and Beep stay"),
        ("Cy is too short to be sure", "Cy is too short to be sure"),
        ("", ""),
    ],
)
def test_names_in_plain_text_match_as_whole_words(text: str, expected: str) -> None:
    assert hidden(text) == expected


def test_mentions_are_replaced_wherever_they_stand() -> None:
    text = "@benny, @Ana and @C go"
    mentions = (("Ben Bell", 0, 6), ("Ana", 8, 12), ("Cy", 17, 19))
    assert hidden(text, *mentions) == "@Person 1, @Ana and @Person 2 go"


def mentioned(frame: pl.DataFrame) -> list[str]:
    return [frame["text"][0][span["start"] : span["end"]] for span in frame["mentions"][0]]


def test_mentions_stand_where_their_stand_ins_do() -> None:
    text = "Ben Bell: @benny, @Ana and @C go"
    mentions = (("Ben Bell", 10, 16), ("Ana", 18, 22), ("Cy", 27, 29))
    found = shown(text, *mentions)
    assert found["text"][0] == "Person 1: @Person 1, @Ana and @Person 2 go"
    assert mentioned(found) == ["@Person 1", "@Ana", "@Person 2"]


def test_a_mention_of_somebody_else_may_hold_a_name_that_is_hidden() -> None:
    found = shown("hi @Ben Bell fans!", ("Ana", 3, 17))
    assert found["text"][0] == "hi @Person 1 fans!"
    assert mentioned(found) == ["@Person 1 fans"]


@thorough
@given(st.lists(st.sampled_from(["Ben Bell", "@Cy", "@Ana", "tea", " ", "Dora"]), max_size=8))
def test_a_mention_is_what_it_was_or_its_stand_in(words: list[str]) -> None:
    people = {"@Cy": "Cy", "@Ana": "Ana"}
    at = [sum(map(len, words[:n])) for n in range(len(words))]
    spans = [
        (people[word], start, start + len(word))
        for word, start in zip(words, at, strict=True)
        if word in people
    ]
    stand_ins = {"Cy": "@Person 2", "Ana": "@Ana"}
    assert mentioned(shown("".join(words), *spans)) == [stand_ins[who] for who, _, _ in spans]


def test_one_who_is_not_hidden_keeps_a_name_that_two_have() -> None:
    people = People((person("Ben", "clone"), *PEOPLE.persons))
    assert hidden("Ben or Ben Bell", people=people) == "Ben or Person 1"


def test_without_hidden_people_nothing_changes() -> None:
    frame = table([{"author": "Ana", "text": "Ana!"}])
    assert hide(frame, People((person("Ana", "clone"),))).equals(frame)


@thorough
@given(texts)
def test_no_hidden_name_is_left_in_any_text(text: str) -> None:
    found = hidden(f"{text} Ben Bell {text}")
    assert "Ben Bell" not in found
    assert "Person 1" in found


def test_other_columns_and_rows_are_as_they_were() -> None:
    rows: list[dict[str, Any]] = [{"author": "Ana", "text": t} for t in ("Dora?", "tea", "Dora")]
    frame = table(rows)
    found = hide(frame, PEOPLE)
    assert found["text"].to_list() == ["Robin?", "tea", "Robin"]
    assert found.drop("text").equals(frame.drop("text"))
