"""Scenes of real chats."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.metadata import prompt_format
from tests.persona.test_memory import Chats, people

from myna.persona.memory import OWNER
from myna.persona.prompt import PromptMessage
from myna.persona.scenes import MAX_TURN_CHARS, Beginnings, Scene, find_scenes
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import MAX_PEOPLE_NAMED


def prepared(*lines: tuple[str, str], conversation: int = 0) -> pl.DataFrame:
    return pl.DataFrame(
        [{"person": p, "text": t, "conversation": conversation} for p, t in lines]
    ).with_columns(space=pl.lit("s"), channel=pl.lit("tea"))


CHAT = (
    ("Ana", "tea?"), ("Ben", "yes"), ("Ben", "please"), ("Ana", "green or black?"), ("Cy", "green")
)  # fmt: skip


def scenes(frame: pl.DataFrame, personas: str = "Ana Ben Cy", **more: Any) -> list[Scene]:
    return find_scenes(frame, personas.split(), **{"turns": 2, **more})


def test_a_scene_has_the_turns_before_and_after() -> None:
    [scene] = scenes(prepared(*CHAT))
    assert scene.before == [PromptMessage("Ana", "tea?"), PromptMessage("Ben", "yes\nplease")]
    assert scene.after == [PromptMessage("Ana", "green or black?")]
    assert scene.next_person == "Ana"
    assert (scene.space, scene.channel) == ("s", "tea")
    assert sorted(scene.people) == ["Ana", "Ben", "Cy"]


def test_only_a_personas_turn_is_one() -> None:
    assert scenes(prepared(*CHAT), "Ben") == []
    assert scenes(prepared(*CHAT[:2])) == []


def test_as_many_turns_follow_as_are_asked_for() -> None:
    [scene] = scenes(prepared(*CHAT), after=2)
    assert [line.person for line in scene.after] == ["Ana", "Cy"]
    assert scenes(prepared(*CHAT), after=3) == []


def test_conversations_do_not_run_into_each_other() -> None:
    frame = pl.concat([prepared(*CHAT[:2]), prepared(*CHAT[3:], conversation=1)])
    assert scenes(frame) == []


def test_the_liveliest_come_first_and_long_turns_are_left_out() -> None:
    dull = prepared(("Ana", "a"), ("Ben", "b"), ("Ana", "c"), conversation=1)
    long = prepared(("Ana", "a" * (MAX_TURN_CHARS + 1)), ("Ben", "b"), ("Cy", "c"), conversation=2)
    lively = prepared(("Ana", "a b c"), ("Ben", "b"), ("Cy", "c"), conversation=3)
    assert [s.next_person for s in scenes(pl.concat([dull, long, lively]))] == ["Cy", "Ana"]


def test_those_who_speak_most_are_named_as_in_training() -> None:
    crowd = [(f"p{n}", "hi") for n in range(30)] + [("p29", "again"), ("Ana", "hi"), ("p29", "x")]
    people = scenes(prepared(*crowd), " ".join(f"p{n}" for n in range(30)))[0].people
    assert len(people) == MAX_PEOPLE_NAMED
    assert people[0] == "p29"


SOUP = ("Ana: the soup is cold", "Ben: warm it up", "Ana: how?", "Ben: on the stove")
BOAT = ("Ana: my boat leaks", "Cy: again?", "Ana: yes, again", "Ben: tar it")


def beginning(
    tmp_path: Path, chats: Chats, audience: Any = OWNER, topic: str = "", **consent: Any
) -> list[str]:
    """The lines that a room of Ana, Ben and Cy begins with."""
    path = tmp_path / "messages.parquet"
    chats.frame(space=pl.lit("s"), channel=pl.lit("tea")).write_parquet(path)
    beginnings = Beginnings(path, lambda: people(**consent))
    scene = beginnings.draw(["Ana", "Ben", "Cy"], audience, random.Random(0), topic)
    return [message.text for message in scene.before] if scene else []


def test_a_room_begins_with_validation_and_never_with_test_or_train(tmp_path: Path) -> None:
    chats = Chats().add(*SOUP, split="train").add(*SOUP, split="test")
    assert beginning(tmp_path, chats) == []
    chats.add(*BOAT, split="validation")
    assert beginning(tmp_path, chats) == ["my boat leaks", "again?", "yes, again"]


def test_a_topic_finds_the_moment_with_its_rarest_words(tmp_path: Path) -> None:
    chats = Chats().add(*SOUP, split="validation").add(*BOAT, split="validation")
    assert beginning(tmp_path, chats, topic="the Soup again")[0] == "the soup is cold"
    assert beginning(tmp_path, chats, topic="a boat, again")[0] == "my boat leaks"
    assert beginning(tmp_path, chats, topic="taxes") == []


def test_it_comes_from_where_everybody_who_reads_the_room_was(tmp_path: Path) -> None:
    chats = Chats().add(*SOUP, split="validation", place="a").add("Dee: hi", place="b")
    assert beginning(tmp_path, chats, ["Ana", "Dee"]) == []
    assert beginning(tmp_path, chats, ["Ana", "discord:ben"]) == []
    chats.add("Ben: bye", "Ana: bye", place="a")
    assert beginning(tmp_path, chats, ["Ana", "discord:ben"]) == []  # Ben came after its start
    chats = Chats().add("Ben: hi", place="a").add(*SOUP, split="validation", place="a")
    chats.add("Ben: bye", "Ana: bye", place="a")
    assert beginning(tmp_path, chats, ["discord:ben"])[0] == "the soup is cold"
    for unknown in (None, [], ["somebody"], ["Ben", "somebody"]):
        assert beginning(tmp_path, chats, unknown) == []


def test_nobody_who_said_no_is_in_it(tmp_path: Path) -> None:
    chats = Chats().add(*SOUP, split="validation")
    assert beginning(tmp_path, chats, Ana="no") == []


@pytest.mark.model
def test_its_prompt_ends_with_the_turns_before(tokenizer: Tokenizer) -> None:
    [scene] = scenes(prepared(*CHAT))
    builder = scene.prompt_builder(prompt_format(), tokenizer, 500)
    assert tokenizer.decode(builder.prompt(scene.next_person)) == (
        "A chat in tea: Ana, Ben, Cy.\nAna: tea?\nBen: yes\nplease\nAna:"
    )
