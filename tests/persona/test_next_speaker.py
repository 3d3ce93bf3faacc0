"""The next speaker: the model's own probabilities of the names."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import names, thorough
from tests.metadata import prompt_format

from myna.persona.next_speaker import probabilities, sample
from myna.persona.prompt import PromptBuilder
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
