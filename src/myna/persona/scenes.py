"""Scenes: moments of real chats, to compare what clones say next with what was really said."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from myna.artifacts import PromptFormat
from myna.persona.prompt import PromptBuilder, PromptMessage
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import TurnLine, merge_turns, most_active

MAX_TURN_CHARS = 400
"""The longest turn in a scene, in characters: one can be read at a glance."""


@dataclass(frozen=True)
class Scene:
    """Turns of a conversation, and the turns that really followed."""

    space: str
    channel: str
    people: list[str]
    before: list[PromptMessage]
    after: list[PromptMessage]

    @property
    def next_person(self) -> str:
        """The person who really spoke next."""
        return self.after[0].person

    def prompt_builder(
        self, prompt_format: PromptFormat, tokenizer: Tokenizer, prompt_budget: int
    ) -> PromptBuilder:
        """A chat with `before` as its history, for prompts of at most `prompt_budget` tokens."""
        return PromptBuilder(
            prompt_format,
            tokenizer,
            self.people,
            prompt_budget,
            self.space,
            self.channel,
            messages=[*self.before],
            name="" if prompt_format.spec.per_persona else self.next_person,
        )


def find_scenes(
    messages: pl.DataFrame, personas: list[str], *, turns: int, after: int = 1
) -> list[Scene]:
    """The scenes in prepared messages in which a persona speaks next, the liveliest first.

    Each has `turns` turns before and `after` turns behind that moment. Lively is what has
    many speakers, then many words.
    """
    scenes: list[tuple[int, int, Scene]] = []
    for _, rows in messages.group_by("conversation", maintain_order=True):
        all_turns = conversation_turns(rows)
        space, channel = rows.select("space", "channel").row(0)
        people = most_active(rows["person"])
        for i in range(turns, len(all_turns) - after + 1, turns):
            before, behind = all_turns[i - turns : i], all_turns[i : i + after]
            both = [*before, *behind]
            if behind[0].person in personas and all(len(x.text) <= MAX_TURN_CHARS for x in both):
                speakers = len({x.person for x in both})
                words = sum(len(x.text.split()) for x in both)
                scenes.append((speakers, words, Scene(space, channel, people, before, behind)))
    scenes.sort(key=lambda entry: entry[:2], reverse=True)
    return [scene for _, _, scene in scenes]


def conversation_turns(rows: pl.DataFrame) -> list[PromptMessage]:
    """Each turn of a conversation as one message, with its lines below each other."""
    rows = rows.select("person", "text")
    turns = merge_turns((person, TurnLine(text)) for person, text in rows.iter_rows())
    return [PromptMessage(t.person, "\n".join(line.text for line in t.lines)) for t in turns]
