"""Moments of real chats, to see what the clones make of them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from myna.artifacts import PromptFormat
from myna.persona.prompt import Line, Room
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import TurnLine, merge_turns, most_active

LONGEST = 400
"""Characters of the longest turn in a situation: one can be read at a glance."""


@dataclass(frozen=True)
class Situation:
    """What was said, and what really came next."""

    space: str
    channel: str
    people: list[str]
    said: list[Line]
    after: list[Line]

    @property
    def next_person(self) -> str:
        """Who really spoke next."""
        return self.after[0].person

    def room(self, prompt_format: PromptFormat, tokenizer: Tokenizer, most_tokens: int) -> Room:
        """A room in which this has just been said, for prompts of at most so many tokens."""
        return Room(
            prompt_format,
            tokenizer,
            self.people,
            most_tokens,
            self.space,
            self.channel,
            lines=[*self.said],
            name="" if prompt_format.spec.per_persona else self.next_person,
        )


def situations(
    messages: pl.DataFrame, personas: list[str], *, turns: int, after: int = 1
) -> list[Situation]:
    """The moments in prepared messages after which a persona speaks, the liveliest first.

    `turns` turns were said before, and `after` turns follow. Lively is what has many
    speakers, then many words.
    """
    found: list[tuple[int, int, Situation]] = []
    for _, rows in messages.group_by("conversation", maintain_order=True):
        lines = _turns(rows)
        space, channel = rows.select("space", "channel").row(0)
        people = most_active(rows["person"])
        for at in range(turns, len(lines) - after + 1, turns):
            said, next_ = lines[at - turns : at], lines[at : at + after]
            around = [*said, *next_]
            if next_[0].person in personas and all(len(x.text) <= LONGEST for x in around):
                speakers = len({x.person for x in around})
                words = sum(len(x.text.split()) for x in around)
                found.append((speakers, words, Situation(space, channel, people, said, next_)))
    found.sort(key=lambda entry: entry[:2], reverse=True)
    return [entry[2] for entry in found]


def _turns(rows: pl.DataFrame) -> list[Line]:
    said = ((person, TurnLine(text)) for person, text in rows.select("person", "text").iter_rows())
    return [Line(turn.person, "\n".join(p.text for p in turn.lines)) for turn in merge_turns(said)]
