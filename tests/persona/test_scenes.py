"""Moments of real chats."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from tests.metadata import prompt_format

from myna.persona.prompt import Line
from myna.persona.scenes import LONGEST, Situation, situations
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import MAX_PEOPLE_NAMED


def prepared(*lines: tuple[str, str], conversation: int = 0) -> pl.DataFrame:
    return pl.DataFrame(
        [{"person": p, "text": t, "conversation": conversation} for p, t in lines]
    ).with_columns(space=pl.lit("s"), channel=pl.lit("tea"))


CHAT = (
    ("Ana", "tea?"), ("Ben", "yes"), ("Ben", "please"), ("Ana", "green or black?"), ("Cy", "green")
)  # fmt: skip


def found(frame: pl.DataFrame, personas: str = "Ana Ben Cy", **more: Any) -> list[Situation]:
    return situations(frame, personas.split(), **{"turns": 2, **more})


def test_what_was_said_and_what_came_next() -> None:
    [moment] = found(prepared(*CHAT))
    assert moment.said == [Line("Ana", "tea?"), Line("Ben", "yes\nplease")]
    assert moment.after == [Line("Ana", "green or black?")]
    assert moment.next_person == "Ana"
    assert (moment.space, moment.channel) == ("s", "tea")
    assert sorted(moment.people) == ["Ana", "Ben", "Cy"]


def test_only_a_personas_turn_is_one() -> None:
    assert found(prepared(*CHAT), "Ben") == []
    assert found(prepared(*CHAT[:2])) == []


def test_as_many_turns_follow_as_are_asked_for() -> None:
    [moment] = found(prepared(*CHAT), after=2)
    assert [line.person for line in moment.after] == ["Ana", "Cy"]
    assert found(prepared(*CHAT), after=3) == []


def test_conversations_do_not_run_into_each_other() -> None:
    frame = pl.concat([prepared(*CHAT[:2]), prepared(*CHAT[3:], conversation=1)])
    assert found(frame) == []


def test_the_liveliest_come_first_and_long_turns_are_left_out() -> None:
    dull = prepared(("Ana", "a"), ("Ben", "b"), ("Ana", "c"), conversation=1)
    long = prepared(("Ana", "a" * (LONGEST + 1)), ("Ben", "b"), ("Cy", "c"), conversation=2)
    lively = prepared(("Ana", "a b c"), ("Ben", "b"), ("Cy", "c"), conversation=3)
    assert [m.next_person for m in found(pl.concat([dull, long, lively]))] == ["Cy", "Ana"]


def test_those_who_speak_most_are_named_as_in_training() -> None:
    crowd = [(f"p{n}", "hi") for n in range(30)] + [("p29", "again"), ("Ana", "hi"), ("p29", "x")]
    people = found(prepared(*crowd), " ".join(f"p{n}" for n in range(30)))[0].people
    assert len(people) == MAX_PEOPLE_NAMED
    assert people[0] == "p29"


@pytest.mark.model
def test_its_room_is_where_this_has_just_been_said(tokenizer: Tokenizer) -> None:
    [moment] = found(prepared(*CHAT))
    room = moment.room(prompt_format(), tokenizer, 500)
    assert tokenizer.decode(room.prompt(moment.next_person)) == (
        "A chat in tea: Ana, Ben, Cy.\nAna: tea?\nBen: yes\nplease\nAna:"
    )
