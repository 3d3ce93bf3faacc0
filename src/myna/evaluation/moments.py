"""Moments of the test split: who answered what, and how clones answer and talk there."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import polars as pl

from myna.evaluation.measure import SignedText
from myna.persona.clone import Clone
from myna.persona.prompt import PromptBuilder, PromptMessage
from myna.persona.scenes import Scene
from myna.rendering.turns import most_active

CONTEXT_TURNS = 6
"""The most turns before a reply that its prompt shows."""

Room = Sequence[tuple[str, str]]
"""Lines that people say in a room, as (person, line); a turn of several messages is several."""


@dataclass(frozen=True)
class Moment:
    """A real turn of a persona, with the turns before it."""

    scene: Scene
    conversation: int

    @property
    def person(self) -> str:
        """The persona whose turn it was."""
        return self.scene.next_person

    @property
    def reply(self) -> SignedText:
        """The real turn."""
        return SignedText(self.person, self.scene.after[0].text, self.conversation)

    def opening(self) -> Moment:
        """The same moment with only the turn directly before: a cold opening."""
        return replace(self, scene=replace(self.scene, before=self.scene.before[-1:]))


@dataclass(frozen=True)
class GeneratedReply:
    """A persona's answer to a moment, or a turn in a room.

    Attributes:
        person: the persona.
        text: of the turn, as the user sees it.
        conversation: of the moment.
        is_cut: the limit of tokens ended it.
        raw_text: generated text before the output filter, with what ended it.
        redraws: lines that were drawn again.
    """

    person: str
    text: str
    conversation: int
    is_cut: bool = False
    raw_text: str = ""
    redraws: int = 0


def find_moments(messages: pl.DataFrame, personas: Sequence[str]) -> list[Moment]:
    """All turns of personas that somebody else's turn comes before, in order.

    Args:
        messages: prepared messages of one split.
        personas: people whose turns count.
    """
    found = []
    for (number,), rows in messages.group_by("conversation", maintain_order=True):
        turns = turns_of(rows)
        space, channel = rows.select("space", "channel").row(0)
        people = most_active(rows["person"])
        for i in range(1, len(turns)):
            if turns[i].person in personas:
                before = turns[max(0, i - CONTEXT_TURNS) : i]
                scene = Scene(space, channel, people, before, turns[i : i + 1])
                found.append(Moment(scene, int(number)))
    return found


def turns_of(rows: pl.DataFrame) -> list[PromptMessage]:
    """Messages of a conversation as turns: one each, their messages joined by newlines."""
    entries = rows.select("person", "text").iter_rows()
    return [
        PromptMessage(person, "\n".join(text for _, text in own))
        for person, own in groupby(entries, key=lambda entry: entry[0])
    ]


def signed_turns(messages: pl.DataFrame, personas: Sequence[str]) -> list[SignedText]:
    """The real turns of personas, in order."""
    return [
        SignedText(turn.person, turn.text, int(number))
        for (number,), rows in messages.group_by("conversation", maintain_order=True)
        for turn in turns_of(rows)
        if turn.person in personas
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


def draw_openings(moments: Sequence[Moment], rooms: int, seed: int = 0) -> list[Moment]:
    """Moments that rooms are opened with, of different conversations where there are enough.

    Every other one is a cold opening: one turn, and nothing before it.
    """
    by_conversation: dict[int, list[Moment]] = {}
    for moment in moments:
        by_conversation.setdefault(moment.conversation, []).append(moment)
    rng = random.Random(seed)
    groups: Iterator[list[Moment]] = iter(
        rng.sample(list(by_conversation.values()), len(by_conversation))
    )
    chosen = [rng.choice(group) for group in groups]
    spare = [m for group in by_conversation.values() for m in group if m not in chosen]
    chosen += rng.sample(spare, min(len(spare), max(0, rooms - len(chosen))))
    return [m.opening() if i % 2 else m for i, m in enumerate(chosen[:rooms])]


def generate_reply(clone: Clone, moment: Moment, seed: int) -> GeneratedReply:
    """The clone's answer to a moment, by the settings that it talks with."""
    prompt = moment.scene.prompt_builder(
        clone.format, clone.tokenizer, clone.prompt_budget(clone.chat)
    )
    speaker = replace(clone, rng=random.Random(seed))
    return speak_turn(speaker, prompt, moment.person, moment.conversation)


def speak_turn(
    speaker: Clone, prompt: PromptBuilder, person: str, conversation: int
) -> GeneratedReply:
    """A persona's turn after a prompt."""
    turn = speaker.speak(prompt, person)
    for _ in turn:
        pass
    is_cut = turn.finish_reason == "length"
    redraws = turn.guard.redraws if turn.guard else 0
    return GeneratedReply(person, turn.text, conversation, is_cut, turn.raw_text, redraws)


def generate_room(clone: Clone, opening: Moment, turns: int, seed: int) -> list[GeneratedReply]:
    """The turns of a room in which the personas talk among themselves, without its opening."""
    prompt = opening.scene.prompt_builder(
        clone.format, clone.tokenizer, clone.prompt_budget(clone.chat)
    )
    speaker = replace(clone, rng=random.Random(seed))
    among = [person for person in prompt.members if person in clone.personas]
    room: list[GeneratedReply] = []
    for _ in range(turns):
        person = speaker.next_speaker(prompt, among)
        room.append(speak_turn(speaker, prompt, person, opening.conversation))
        for _, line in lines_of_turns(room[-1:]):
            prompt.add(person, line)
    return room


def lines_of_turns(turns: Sequence[GeneratedReply]) -> list[tuple[str, str]]:
    """The lines of a room's turns, without empty ones."""
    return [(turn.person, line) for turn in turns for line in turn.text.split("\n") if line]


def real_stretches(messages: pl.DataFrame, lengths: Sequence[int]) -> list[list[tuple[str, str]]]:
    """Stretches of real lines as long as the given rooms, spread evenly over the messages."""
    lines = [
        (person, line)
        for person, text in messages.select("person", "text").iter_rows()
        for line in text.split("\n")
        if line
    ]
    stretches = []
    for i, length in enumerate(lengths):
        start = max(len(lines) - length, 0) * i // max(len(lengths) - 1, 1)
        stretches.append(lines[start : start + length])
    return stretches
