"""The ways of fidelity.py: the training samples and the prompts of each."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import polars as pl

from myna.artifacts import PreparedInfo, PromptFormat
from myna.config import Settings
from myna.evaluation.moments import Moment, find_moments
from myna.evaluation.prompted_base import PersonalPrompts
from myna.models.bases import Base, find_base
from myna.persona.clone import Clone
from myna.persona.prompt import PromptBuilder
from myna.persona.scenes import Scene
from myna.preparing.prepare import read_samples
from myna.rendering.render import encode_segments, render_segments
from myna.rendering.renderings import rendering_spec
from myna.rendering.spec import RenderingSpec
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import Turn, TurnLine, merge_turns, most_active
from myna.training.data import Samples, samples_from_table
from myna.workspace import Workspace

WAYS = ("pairs", "sharegpt", "myna")
"""Those that train."""
SYSTEM = "You are {name}."
TURN_OVERHEAD = 12
"""Tokens that a template and a name put around a turn, about."""


@dataclass(frozen=True)
class Chat:
    """The people and their chat, prepared once for all ways.

    Attributes:
        space: the workspace.
        settings: of it.
        size: the command line.
    """

    space: Workspace
    settings: Settings
    size: argparse.Namespace
    _samples: dict[str, Samples] = field(default_factory=dict)

    @cached_property
    def base(self) -> Base:
        """The base with its weights."""
        return find_base(self.settings.base, weights=True)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        return Tokenizer(self.base.folder)

    @cached_property
    def info(self) -> PreparedInfo:
        """Metadata of myna's samples."""
        return PreparedInfo.load(self.space)

    def split(self, name: str) -> pl.DataFrame:
        """The prepared messages of a split."""
        messages = pl.read_parquet(self.space.prepared / "messages.parquet")
        return messages.filter(pl.col("split") == name)

    def moments(self, split: str) -> list[Moment]:
        """Every moment of a split."""
        return find_moments(self.split(split), self.info.personas)

    @cached_property
    def prompts(self) -> PersonalPrompts:
        """Descriptions and examples, of the train split."""
        return PersonalPrompts(self.split("train"), self.info.personas)

    def format(self, way: str) -> PromptFormat:
        """The prompt format of a way."""
        own = self.info.format
        if way in ("prompt", "myna"):
            return own
        changed = {"rendering": "chat", "system": [SYSTEM]}
        samples = own.samples.model_copy(update=changed)
        spec = rendering_spec("chat", self.tokenizer)
        return replace(own, samples=samples, spec=nameless(spec) if way == "pairs" else spec)

    def builder(self, way: str, clone: Clone, scene: Scene) -> PromptBuilder:
        """The prompt of a way before the turn of `scene.next_person`."""
        if way == "prompt":
            return self.prompts.builder(clone, scene)
        if way == "pairs":
            scene = replace(scene, before=scene.before[-1:])
        return scene.prompt_builder(clone.format, clone.tokenizer, clone.engine.context)

    def samples(self, way: str) -> Samples:
        """The training samples of a way."""
        if way not in self._samples:
            self._samples[way] = self._made(way)
        return self._samples[way]

    def _made(self, way: str) -> Samples:
        if way == "myna":
            return samples_from_table(read_samples(self.space, "train"))
        form = self.format(way)
        found = []
        for _, rows in self.split("train").group_by("conversation", maintain_order=True):
            for persona in self.info.personas:
                turns = turns_of(rows, persona)
                cut = pairs(turns) if way == "pairs" else self._windows(turns)
                space, channel = rows.select("space", "channel").row(0)
                scene = Scene(space, channel, most_active(rows["person"]), [], [])
                found += [self._encoded(form, scene, persona, window) for window in cut]
        trained = [(ids, mask) for ids, mask in found if any(mask)]
        return Samples([ids for ids, _ in trained], [mask for _, mask in trained])

    def _encoded(
        self, form: PromptFormat, scene: Scene, persona: str, turns: Sequence[Turn]
    ) -> tuple[list[int], list[bool]]:
        limit = form.samples.max_length
        head = PromptBuilder(form, self.tokenizer, scene.people, limit, scene.space, scene.channel)
        segments = render_segments(form.spec, head.header(persona), turns, persona=persona)
        return encode_segments(
            segments, self.tokenizer, add_special_tokens=form.spec.add_special_tokens
        )

    def _windows(self, turns: Sequence[Turn]) -> list[list[Turn]]:
        """A conversation cut before others' turns, in pieces of a sample's length."""
        windows: list[list[Turn]] = [[]]
        used = 0
        for turn in turns:
            text = "\n".join(line.text for line in turn.lines)
            tokens = TURN_OVERHEAD + len(self.tokenizer.encode(text).ids)
            is_others = not any(line.trained for line in turn.lines)
            if used + tokens > self.info.format.samples.max_length and is_others:
                windows.append([])
                used = 0
            windows[-1].append(turn)
            used += tokens
        return windows


def nameless(spec: RenderingSpec) -> RenderingSpec:
    """The chat template without the names before others' words."""
    between = {
        step: tuple(delimiter for delimiter in pieces if not delimiter.named)
        for step, pieces in spec.between.items()
    }
    return replace(spec, between=between, other_prefix="", escaped=())


def turns_of(rows: pl.DataFrame, persona: str) -> list[Turn]:
    """The turns of a conversation, the persona's as far as they are trained."""
    lines = rows.select("person", "text", "trained").iter_rows()
    return merge_turns(
        (person, TurnLine(text, trained and person == persona)) for person, text, trained in lines
    )


def pairs(turns: Sequence[Turn]) -> list[Sequence[Turn]]:
    """The turn before, and the trained turn, of each trained turn that is an answer."""
    return [
        turns[i - 1 : i + 1]
        for i in range(1, len(turns))
        if any(line.trained for line in turns[i].lines)
    ]
