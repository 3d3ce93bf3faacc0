"""Moments of the test split: what was said, who answered and how; and the clone's own answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import polars as pl

from myna.engines.engine import Engine
from myna.evaluation.attribution import SignedText
from myna.persona.clone import Clone
from myna.persona.prompt import Line
from myna.persona.scenes import Situation
from myna.rendering.render import loudest

CONTEXT_TURNS = 12
"""Turns before a reply that its prompt shows."""


@dataclass(frozen=True)
class Moment:
    """A real turn of a persona, with the turns before it."""

    scene: Situation
    conversation: int

    @property
    def person(self) -> str:
        """The persona whose turn it was."""
        return self.scene.next_person

    @property
    def reply(self) -> SignedText:
        """The real turn."""
        return SignedText(self.person, self.scene.after[0].text, self.conversation)


@dataclass(frozen=True)
class GeneratedReply:
    """A persona's answer to a moment; `is_cut` where the limit of tokens ended it."""

    text: SignedText
    is_cut: bool


def find_moments(messages: pl.DataFrame, personas: Sequence[str]) -> list[Moment]:
    """All turns of personas that somebody else's turn comes before, in order.

    Args:
        messages: prepared messages of one split.
        personas: whose turns count.
    """
    found = []
    for (number,), rows in messages.group_by("conversation", maintain_order=True):
        turns = turns_of(rows)
        space, channel = rows.select("space", "channel").row(0)
        people = loudest(rows["person"])
        for at in range(1, len(turns)):
            if turns[at].person in personas:
                scene = Situation(
                    space,
                    channel,
                    people,
                    turns[max(0, at - CONTEXT_TURNS) : at],
                    turns[at : at + 1],
                )
                found.append(Moment(scene, int(number)))
    return found


def turns_of(rows: pl.DataFrame) -> list[Line]:
    """Messages of a conversation as turns: one line each, their messages joined by newlines."""
    entries = rows.select("person", "text").iter_rows()
    return [
        Line(person, "\n".join(text for _, text in own))
        for person, own in groupby(entries, key=lambda entry: entry[0])
    ]


def draw_moments(moments: Sequence[Moment], items: int, seed: int = 0) -> list[Moment]:
    """A stratified draw: the same number of moments of each persona, as far as there are any.

    Args:
        moments: to draw from.
        items: moments in all.
        seed: the same seed draws the same moments.
    """
    by_person: dict[str, list[Moment]] = {}
    for moment in moments:
        by_person.setdefault(moment.person, []).append(moment)
    rng = random.Random(seed)
    quota = max(1, items // max(len(by_person), 1))
    drawn = [
        moment
        for person in sorted(by_person)
        for moment in rng.sample(by_person[person], min(quota, len(by_person[person])))
    ]
    return sorted(drawn, key=lambda moment: moment.conversation)


def generate_replies(
    clone: Clone, moments: Sequence[Moment], progress: Callable[[int], None]
) -> list[GeneratedReply]:
    """What the clone says at each moment, by the settings that it talks with.

    `progress` is called with the number of moments that are done.
    """
    replies = []
    for done, moment in enumerate(moments, 1):
        prompt = moment.scene.room(
            clone.format, clone.tokenizer, clone.max_prompt_tokens(clone.chat)
        )
        turn = clone.speak(prompt, moment.person)
        for _ in turn:
            pass
        text = SignedText(moment.person, turn.text, moment.conversation)
        replies.append(GeneratedReply(text, turn.finish_reason == "length"))
        progress(done)
    return replies


def generate_rooms(
    clone: Clone, openings: Sequence[Moment], turns: int, progress: Callable[[int], None]
) -> list[list[tuple[str, str]]]:
    """Rooms in which the personas talk among themselves, each opened by a real moment.

    Returns the lines that the clones said, as (person, line); the opening is left out.
    """
    rooms = []
    for done, moment in enumerate(openings, 1):
        prompt = moment.scene.room(
            clone.format, clone.tokenizer, clone.max_prompt_tokens(clone.chat)
        )
        among = [person for person in prompt.members if person in clone.personas]
        room: list[tuple[str, str]] = []
        for _ in range(turns):
            person = clone.next_speaker(prompt, among)
            turn = clone.speak(prompt, person)
            for _ in turn:
                pass
            for line in filter(None, turn.text.split("\n")):
                prompt.say(person, line)
                room.append((person, line))
        rooms.append(room)
        progress(done)
    return rooms


def real_stretches(messages: pl.DataFrame, lines: Sequence[int]) -> list[list[tuple[str, str]]]:
    """Stretches of real messages as long as the given rooms, from the conversations in order."""
    every = list(messages.select("conversation", "person", "text").iter_rows())
    stretches: list[list[tuple[str, str]]] = []
    start = 0
    for length in lines:
        if start + length > len(every):
            break
        stretches.append([(person, text) for _, person, text in every[start : start + length]])
        start += length
    return stretches


def with_engine(clone: Clone, engine: Engine) -> Clone:
    """A clone whose prompts another engine answers."""
    return replace(clone, engine=engine, engines={})


def signed_turns(messages: pl.DataFrame, personas: Sequence[str]) -> list[SignedText]:
    """The real turns of personas, in order."""
    return [
        SignedText(turn.person, turn.text, int(number))
        for (number,), rows in messages.group_by("conversation", maintain_order=True)
        for turn in turns_of(rows)
        if turn.person in personas
    ]


def openings_of(moments: Sequence[Moment], rooms: int, seed: int = 0) -> list[Moment]:
    """Moments that rooms are opened with, of different conversations where there are enough."""
    by_conversation: dict[int, list[Moment]] = {}
    for moment in moments:
        if len(moment.scene.said) >= 2:
            by_conversation.setdefault(moment.conversation, []).append(moment)
    rng = random.Random(seed)
    groups: Iterator[list[Moment]] = iter(
        rng.sample(list(by_conversation.values()), len(by_conversation))
    )
    chosen = [rng.choice(group) for group in groups]
    spare = [m for group in by_conversation.values() for m in group if m not in chosen]
    return (chosen + rng.sample(spare, min(len(spare), max(0, rooms - len(chosen)))))[:rooms]
