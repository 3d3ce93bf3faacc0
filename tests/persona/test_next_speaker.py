"""The next speaker: the model's own probabilities of the names."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple
from typing import cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import names, thorough
from tests.metadata import prompt_format

from myna.artifacts import SpeakerWeights, TurnTaking
from myna.engines.engine import Engine
from myna.persona.next_speaker import (
    ObservedTurn,
    features,
    fit,
    fit_turn_taking,
    observed_scenes,
    probabilities,
    sample,
    softmax,
)
from myna.persona.prompt import PromptBuilder, PromptMessage
from myna.rendering.tokenizer import Tokenizer

pytestmark = pytest.mark.model


class Names:
    """An engine that knows nothing but how likely each name is, token by token."""

    can = frozenset({"next_probs"})

    def __init__(self, builder: PromptBuilder, weights: dict[str, float]) -> None:
        self.before = builder.prompt_before_name()
        self.cues = {tuple(builder.name_ids(name)): weight for name, weight in weights.items()}
        self.asked = 0

    def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
        self.asked += 1
        assert list(prompt[: len(self.before)]) == self.before
        path = tuple(prompt[len(self.before) :])
        below = {cue: w for cue, w in self.cues.items() if cue[: len(path)] == path}
        whole = sum(below.values())
        ahead: dict[int, float] = {}
        for cue, weight in below.items():
            share = weight / whole if whole else 0.0
            ahead[cue[len(path)]] = ahead.get(cue[len(path)], 0.0) + share
        return dict(sorted(ahead.items(), key=lambda entry: -entry[1])[:top])


@pytest.fixture
def builder(tokenizer: Tokenizer) -> PromptBuilder:
    builder = PromptBuilder(prompt_format("A chat."), tokenizer, ["Ana", "Ben"], 1000)
    builder.add("Ana", "tea?")
    return builder


def engine(builder: PromptBuilder, weights: dict[str, float]) -> Names:
    return Names(builder, weights)


def test_names_that_share_their_first_tokens_are_told_apart(builder: PromptBuilder) -> None:
    weights = {
        "Michael Collins": 0.2, "Michael Jones": 0.1, "Michael": 0.05, "Buzz": 0.25, "Neil": 0.4
    }  # fmt: skip
    assert probabilities(engine(builder, weights), builder, list(weights)) == pytest.approx(weights)


def test_they_are_shares_among_those_who_are_asked_for(builder: PromptBuilder) -> None:
    weights = {"Ana": 0.1, "Ben": 0.3, "Cy": 0.6}
    assert probabilities(engine(builder, weights), builder, ["Ana", "Ben"]) == pytest.approx(
        {"Ana": 0.25, "Ben": 0.75}
    )


def test_where_only_one_can_speak_nothing_is_asked(builder: PromptBuilder) -> None:
    asked = engine(builder, {"Ana": 1.0})
    assert probabilities(asked, builder, ["Ana"]) == {"Ana": 1.0}
    assert asked.asked == 0


def test_where_the_model_expects_nobody_of_them_all_are_alike(builder: PromptBuilder) -> None:
    nobody = engine(builder, {"Zed": 1.0})
    assert probabilities(nobody, builder, ["Ana", "Ben"]) == {"Ana": 0.5, "Ben": 0.5}


def test_a_name_that_the_engine_leaves_out_keeps_a_small_chance(builder: PromptBuilder) -> None:
    """Engines give the likeliest tokens only."""
    weights = {"Ana": 0.6, "Ben": 0.399, "Zed": 0.001}

    class Few(Names):
        def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
            return super().next_probs(prompt, 2)

    found = probabilities(Few(builder, weights), builder, list(weights))
    assert 0 < found["Zed"] < 0.001
    assert found["Ana"] == pytest.approx(0.6, abs=0.001)


class TestWeights:
    """Of a conditional logistic regression on real turns."""

    def test_the_features_of_candidates(self) -> None:
        lines = [("Ana", "hi"), ("Ben", "yes"), ("Ben", "and"), ("Ana", "@Cy tea?")]
        messages = [PromptMessage(person, text) for person, text in lines]
        shares = {"Ana": 0.5, "Ben": 0.25}
        found = features(messages, ["Ben", "Cy", "Zoe"], shares, {"Ben": 0.5, "Cy": 0.5, "Zoe": 0})
        half, quarter = math.log(0.5), math.log(0.25)
        assert found["Ben"] == pytest.approx([half, quarter, math.log(2), 0, 1])
        assert found["Cy"] == pytest.approx([half, quarter, math.log(4), 1, 0])
        assert found["Zoe"][0] < -20

    def test_the_fit_finds_the_weights_that_drew_the_turns(self) -> None:
        rng = np.random.default_rng(1)
        true = np.array([0.5, 0.8, -0.5, 2.0, 1.0])
        turns = []
        for _ in range(3000):
            rows = rng.normal(size=(4, 5))
            turns.append(ObservedTurn(rows, int(rng.choice(4, p=softmax(rows @ true)))))
        assert astuple(fit(turns, SpeakerWeights())) == pytest.approx(true, abs=0.15)

    def test_nothing_observed_changes_nothing(self) -> None:
        assert fit([], SpeakerWeights()) == SpeakerWeights()
        same = ObservedTurn(np.ones((3, 5)), 0)
        assert fit([same] * 100, SpeakerWeights()) == SpeakerWeights()

    def test_they_change_who_is_likely(self, builder: PromptBuilder) -> None:
        knows = TurnTaking({"Ben": 0.8, "Cy": 0.2}, SpeakerWeights(0.0, 1.0), None)
        asked = engine(builder, {"Ben": 0.1, "Cy": 0.9})
        found = probabilities(asked, builder, ["Ben", "Cy"], knows)
        assert found == pytest.approx({"Ben": 0.8, "Cy": 0.2})

    def test_an_engine_without_probabilities_has_weights_of_its_own(
        self, builder: PromptBuilder
    ) -> None:
        blind = engine(builder, {})
        blind.can = frozenset()
        knows = TurnTaking({"Ben": 0.8, "Cy": 0.2}, without_model=SpeakerWeights(0.0, 1.0))
        assert probabilities(blind, builder, ["Ben", "Cy"]) == {"Ben": 0.5, "Cy": 0.5}
        found = probabilities(blind, builder, ["Ben", "Cy"], knows)
        assert found == pytest.approx({"Ben": 0.8, "Cy": 0.2})


class Alike:
    """An engine to which every token is alike."""

    can = frozenset({"next_probs"})
    context = 2000

    def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
        return {0: 1e-4}


def chat(split: str, count: int, first: int) -> pl.DataFrame:
    """Turns of Ana, Ben and rarely Cy: Ana speaks every other time."""
    rng = random.Random(3)
    others = ["Cy" if rng.random() < 0.1 else "Ben" for _ in range(count)]
    people = ["Ana" if i % 2 else others[i] for i in range(count)]
    rows = {"person": people, "text": ["so it is"] * count, "split": [split] * count}
    return pl.DataFrame(rows).with_columns(
        conversation=pl.lit(first), space=pl.lit(""), channel=pl.lit("tea")
    )


def test_the_weights_come_from_validation_and_the_shares_from_train(tokenizer: Tokenizer) -> None:
    messages = pl.concat([chat("train", 100, 0), chat("validation", 80, 1), chat("test", 9, 2)])
    asked = cast(Engine, Alike())
    found = fit_turn_taking(asked, prompt_format("A chat."), tokenizer, messages)
    assert found.turns == sum(
        len(scene.after)
        for scene in observed_scenes(messages.filter(pl.col("split") == "validation"))
    )
    assert found.shares["Ana"] == pytest.approx(0.5, abs=0.02)
    assert found.without_model is not None
    builder = PromptBuilder(prompt_format("A chat."), tokenizer, ["Ana", "Ben", "Cy"], 1000)
    for person, text in (("Ana", "a"), ("Ben", "b"), ("Ana", "c")):
        builder.add(person, text)
    likely = probabilities(asked, builder, ["Ben", "Cy"], found)
    assert likely["Ben"] == pytest.approx(0.9, abs=0.07)
    few = messages.filter((pl.col("split") != "validation") | (pl.int_range(pl.len()) < 120))
    assert fit_turn_taking(asked, prompt_format("A chat."), tokenizer, few).turns == 0


@thorough
@given(st.dictionaries(names, st.floats(0.01, 1), min_size=1, max_size=6))
def test_any_names_have_their_probabilities(
    tokenizer: Tokenizer, weights: dict[str, float]
) -> None:
    builder = PromptBuilder(prompt_format("A chat."), tokenizer, list(weights), 1000)
    found = probabilities(engine(builder, weights), builder, list(weights))
    whole = sum(weights.values())
    assert found == pytest.approx({name: weight / whole for name, weight in weights.items()})


def test_a_speaker_is_drawn_by_their_probability() -> None:
    rng = random.Random(1)
    drawn = Counter(sample({"Ana": 0.75, "Ben": 0.25, "Cy": 0.0}, rng) for _ in range(1000))
    assert 700 < drawn["Ana"] < 800
    assert drawn["Cy"] == 0
