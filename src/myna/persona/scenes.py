"""Scenes: moments of real chats, to compare clones with and to begin rooms with."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from myna import people as people_
from myna.artifacts import PromptFormat
from myna.messages import CHANNEL_KEY
from myna.persona.memory import Audience, readers
from myna.persona.memory_index import MESSAGE_TIME
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


SHOWN_TURNS = 3
"""Turns of a moment that a room begins with."""
LIVELIEST = 30
"""One of so many moments is drawn."""

_WORD = re.compile(r"\w{3,}")


@dataclass(frozen=True)
class Beginnings:
    """Moments of the validation split that rooms can begin with.

    Attributes:
        chats: the prepared messages, a file that may be missing.
        people: called each time for names, accounts and consent.
    """

    chats: Path
    people: Callable[[], people_.People]

    def draw(
        self,
        personas: Sequence[str],
        audience: Audience | None,
        rng: random.Random,
        topic: str = "",
    ) -> Scene | None:
        """A moment after which one of the personas spoke; None if there is none.

        It comes from a channel in which all who can read the room were before and after it,
        the rule of memory. With a topic it is the moment with most of its words, the rare
        ones counting more; without one it is drawn from the liveliest, at first from those
        in which only personas speak.
        """
        if not self.chats.exists() or not personas:
            return None
        people = self.people()
        present = readers(people, audience)
        if present is not None and not present:
            return None
        refused = {p.display_name for p in people.persons if p.consent == "no"}
        scenes = [
            scene
            for scene in find_scenes(self._messages_for(present), list(personas), turns=SHOWN_TURNS)
            if not refused.intersection(message.person for message in scene.before)
        ]
        if topic:
            return _about(topic, scenes)
        own = [s for s in scenes if {message.person for message in s.before} <= {*personas}]
        choice = (own or scenes)[:LIVELIEST]
        return rng.choice(choice) if choice else None

    @cached_property
    def _messages(self) -> pl.DataFrame:
        """All messages, each with its time `at` (`MESSAGE_TIME`)."""
        rows = pl.read_parquet(self.chats).with_row_index("row")
        return rows.with_columns(MESSAGE_TIME.alias("at"))

    def _messages_for(self, present: Collection[str] | None) -> pl.DataFrame:
        """The validation split where all of these people were; None for anybody."""
        rows, split = self._messages, pl.col("split") == "validation"
        if present is None:
            return rows.filter(split)
        members = (
            rows.filter(pl.col("person").is_in([*present]))
            .group_by(*CHANNEL_KEY, "person")
            .agg(first=pl.col("at").min(), last=pl.col("at").max())
            .group_by(CHANNEL_KEY)
            .agg(pl.len(), pl.col("first").max(), pl.col("last").min())
            .filter(pl.col("len") == len(present))
        )
        shared = rows.filter(split).join(
            members, on=CHANNEL_KEY, nulls_equal=True, maintain_order="left"
        )
        return shared.filter(pl.col("at").is_between("first", "last"))


def _about(topic: str, scenes: Sequence[Scene]) -> Scene | None:
    """The scene with most words of a topic, rare words counting more; None if none has any."""
    words = [_words(" ".join(message.text for message in scene.before)) for scene in scenes]
    uses = Counter(word for own in words for word in own)
    wanted = _words(topic)
    scores = [sum(1 / uses[word] for word in wanted & own) for own in words]
    best = max(scores, default=0)
    return scenes[scores.index(best)] if best else None


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}
