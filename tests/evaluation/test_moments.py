"""Moments of real chats, and how clones answer and talk there."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from tests.persona.talking import Script, clone_of

from myna.evaluation.moments import (
    Moment,
    draw_moments,
    draw_openings,
    find_moments,
    generate_reply,
    generate_room,
    lines_of_turns,
    real_stretches,
)
from myna.persona.prompt import PromptMessage
from myna.persona.scenes import Scene
from myna.rendering.tokenizer import Tokenizer


def chat(*conversations: str) -> pl.DataFrame:
    """Prepared messages: each letter is a message by the person of that letter."""
    rows = [
        ("", "tea", person, f"{person}{number}{i}", number)
        for number, letters in enumerate(conversations)
        for i, person in enumerate(letters)
    ]
    return pl.DataFrame(rows, ["space", "channel", "person", "text", "conversation"], orient="row")


def moment(person: str = "Ben") -> Moment:
    before = [PromptMessage("Ana", "soup?")]
    return Moment(Scene("", "tea", ["Ana", "Ben", "Cy"], before, [PromptMessage(person, "no")]), 7)


def test_a_moment_is_a_turn_of_a_persona_behind_somebody_elses() -> None:
    found = find_moments(chat("aabba", "b"), ["a", "b"])
    assert [(m.person, m.reply.text) for m in found] == [("b", "b02\nb03"), ("a", "a04")]
    assert [m.text for m in found[1].scene.before] == ["a00\na01", "b02\nb03"]
    assert find_moments(chat("ababab"), ["c"]) == []


def test_a_draw_is_even_over_people_and_always_the_same() -> None:
    moments = find_moments(chat("ab" * 40, "cb" * 3), ["a", "b", "c"])
    drawn = draw_moments(moments, 12)
    assert Counter(m.person for m in drawn) == {"a": 4, "b": 4, "c": 2}  # c has only two
    assert draw_moments(moments, 12) == drawn
    assert [m.conversation for m in drawn] == sorted(m.conversation for m in drawn)


def test_rooms_are_opened_in_different_conversations_and_every_other_one_cold() -> None:
    openings = draw_openings(find_moments(chat(*["abcabc"] * 6), ["a", "b", "c"]), 4)
    assert len({m.conversation for m in openings}) == 4
    assert [len(m.scene.before) == 1 for m in openings][1::2] == [True, True]
    assert len(draw_openings(find_moments(chat("abab"), ["a", "b"]), 9)) == 3


@pytest.mark.model
def test_a_reply_is_kept_as_the_user_sees_it_and_as_it_was_generated(
    tokenizer: Tokenizer,
) -> None:
    script = Script(tokenizer, [" to kettle.fan92@gmail.com", "\nCy:"], [" and so", " on"])
    clone = clone_of(script, "Ben Cy")
    reply = generate_reply(clone, moment(), seed=1)
    assert (reply.person, reply.conversation) == ("Ben", 7)
    assert reply.text == "to [email]"
    assert "kettle.fan92@gmail.com" in reply.raw_text
    assert not reply.is_cut
    script.reason = "length"
    assert generate_reply(clone, moment(), seed=1).is_cut


@pytest.mark.model
def test_a_room_is_the_turns_of_personas_without_its_opening(tokenizer: Tokenizer) -> None:
    script = Script(tokenizer, [" one", "\n", "two", "\nCy:"], [" three", "\nBen:"])
    turns = generate_room(clone_of(script, "Ben Cy"), moment(), 3, seed=1)
    assert len(turns) == 3
    assert {turn.person for turn in turns} == {"Ben", "Cy"}
    assert [turn.person for turn in turns[:-1]] != [turn.person for turn in turns[1:]]
    lines = [text for _, text in lines_of_turns(turns)]
    assert lines == ["one", "two", "three", "fine"]
    assert "soup?" in script.prompts[0]
    assert "three" in script.prompts[-1]


def test_real_stretches_are_as_long_as_rooms_and_spread_over_the_chat() -> None:
    lines = chat("ab" * 10)
    first, second = real_stretches(lines, [3, 2])
    assert [text for _, text in first] == ["a00", "b01", "a02"]
    assert [text for _, text in second] == ["a018", "b019"]
