"""The base with a description and examples."""

from __future__ import annotations

import pytest

from myna.evaluation.evidence import Evidence
from myna.evaluation.measure import Size
from myna.evaluation.moments import Moment
from myna.evaluation.prompted_base import (
    EXAMPLES,
    Examples,
    Exchange,
    PersonalPrompts,
    describe,
    measure_ways,
)
from myna.persona.prompt import PromptMessage
from myna.persona.scenes import Scene
from myna.workspace import Workspace


def test_examples_are_the_past_exchanges_most_like_the_moment() -> None:
    past = [
        Exchange(("Ben", text), ("Ana", reply))
        for text, reply in [
            ("who makes soup tonight", "me"), ("is the bus late", "always"),
            ("the cat is on the roof again", "leave her"), ("soup again?", "leek soup, yes"),
            ("did you read it", "twice"), ("good night", "night"),
        ]
    ]  # fmt: skip
    found = Examples(past).like("what about soup tonight?")
    assert found[-1].reply[1] == "me"
    assert found[-2].reply[1] == "leek soup, yes"


def test_a_description_has_the_words_that_set_a_person_apart() -> None:
    texts = {"Ana": ["oh leeks again"] * 5, "Ben": ["oh the bus again"] * 5}
    assert "leeks" in describe(texts)["Ana"].split("often says:")[1]
    assert "bus" in describe(texts)["Ben"].split("often says:")[1]
    assert "leeks" not in describe(texts)["Ben"]


def test_the_prompt_of_the_base_has_the_description_and_the_examples(clones: Workspace) -> None:
    evidence = Evidence(clones, "group", Size(items=4), print, lambda *_: None)
    prompts = PersonalPrompts(evidence.split("train"), evidence.personas)
    moment = evidence.moments[0]
    builder = prompts.builder(evidence.scorer, moment.scene)
    evidence.release()
    assert prompts.descriptions[moment.person] in builder.header(moment.person)
    assert len(builder.messages) == 2 * EXAMPLES + len(moment.scene.before)
    assert builder.messages[-1] == moment.scene.before[-1]


def test_bits_per_character_are_of_the_same_replies_and_untrimmed_prompts() -> None:
    def moment(reply: str) -> Moment:
        scene = Scene("", "", ["a"], [PromptMessage("b", "hm")], [PromptMessage("a", reply)])
        return Moment(scene, 0)

    nan = float("nan")
    rows = [[30.0, 20.0, 10.0], [nan, 5.0, 5.0]]
    measure = measure_ways([moment("ten chars."), moment("trimmed")], rows)
    assert measure.clone.value == pytest.approx(1)
    assert measure.floor is not None
    assert measure.floor.value == pytest.approx(3)
    assert measure.references["with description and examples"].value == pytest.approx(2)
