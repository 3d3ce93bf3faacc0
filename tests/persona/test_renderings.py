"""Rooms in renderings in which a control token ends a turn, and in which nobody is named."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.bases import KINDS, make
from tests.metadata import prompt_format

from myna import config
from myna.config import Sampling
from myna.engines.engine import Engine
from myna.persona.next_speaker import probabilities, probabilities_by_silence
from myna.persona.prompt import PromptBuilder, TokenEndedReader
from myna.persona.turn import GeneratedTurn
from myna.rendering import renderings


@pytest.fixture
def builder(tmp_path: Path) -> PromptBuilder:
    tokenizer = make(tmp_path, KINDS["default-system"])
    shape = prompt_format("{name}.", spec=renderings.rendering_spec("chat", tokenizer))
    return PromptBuilder(shape, tokenizer, ["Ana", "Ben", "Cy"], 999)


class TestTokenEndedReader:
    def test_any_line_is_the_personas_own(self) -> None:
        reader = TokenEndedReader()
        assert reader.feed("hi\nBen: no\nCy:") + reader.finish() == "hi\nBen: no\nCy:"
        assert reader.next_person is None

    def test_blanks_wait_for_what_follows_them(self) -> None:
        reader = TokenEndedReader()
        assert [reader.feed(piece) for piece in (" ", "a \n", "\n b ", "\n")] == [
            "",
            "a",
            " \n\n b",
            "",
        ]
        assert reader.finish() == ""

    def test_words_that_the_limit_cuts_stay(self) -> None:
        reader = TokenEndedReader()
        assert reader.feed("I and th") + reader.finish(cut=True) == "I and th"


class Says:
    """An engine that says the same whatever it is asked."""

    can = frozenset({"stream"})

    def stream(self, prompt: Any, *_: Any) -> Generator[str, None, str]:
        self.prompt = list(prompt)
        yield "two\nBen: lines"
        return "stop"


def test_a_turn_of_several_lines_stays_one(builder: PromptBuilder) -> None:
    builder.add("Ben", "Cy: hm\nCy: hm")
    engine = Says()
    turn = GeneratedTurn(cast(Engine, engine), builder, "Ana", Sampling())
    assert "".join(turn) == "two\nBen: lines"
    assert builder.tokenizer.decode(engine.prompt) == (
        "<|im_start|>system\nAna.<|im_end|>\n<|im_start|>user\nBen: Cy: hm\n Cy: hm<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    builder.add("Ana", turn.text)
    builder.add("Cy", "ok")
    assert builder.tokenizer.decode(builder.prompt("Ben")).endswith(
        "user\nAna: two\n Ben: lines\nCy: ok<|im_end|>\n<|im_start|>assistant\n"
    )


def test_an_entry_is_asked_for_within_the_personas_turn(builder: PromptBuilder) -> None:
    asked = builder.tokenizer.decode(builder.prompt("Ana", "[ESSAY] Tea"))
    assert asked.endswith("<|im_start|>assistant\n[ESSAY] Tea")


class TestWhoSpeaksNext:
    def test_by_how_long_they_are_silent(self, builder: PromptBuilder) -> None:
        for person in ("Ana", "Ben", "Ben"):
            builder.add(person, "hm")
        assert probabilities_by_silence(builder, ["Ana", "Ben", "Cy"]) == {
            "Ana": 3 / 8,
            "Ben": 1 / 8,
            "Cy": 4 / 8,
        }

    def test_or_who_is_called_by_name(self, builder: PromptBuilder) -> None:
        builder.add("Ben", "Ana, tea?")
        assert probabilities_by_silence(builder, ["Ana", "Cy"]) == {"Ana": 1, "Cy": 0}

    def test_before_anything_is_said_all_are_alike(self, builder: PromptBuilder) -> None:
        assert probabilities_by_silence(builder, ["Ana", "Ben"]) == {"Ana": 0.5, "Ben": 0.5}

    def test_the_model_is_not_asked_for_names_that_it_never_learned(
        self, builder: PromptBuilder
    ) -> None:
        builder.add("Ben", "hm")
        assert probabilities(cast(Engine, None), builder, ["Ana", "Cy"]) == {"Ana": 0.5, "Cy": 0.5}

    def test_names_name_who_is_next(self, builder: PromptBuilder) -> None:
        builder.format = prompt_format(
            "{name}.", spec=renderings.rendering_spec("names", builder.tokenizer)
        )
        builder.add("Ben", "hm")
        assert builder.tokenizer.decode(builder.name_ids("Ana")) == "<|im_start|>Ana\n"
        assert builder.prompt_before_name() + builder.name_ids("Ana") == builder.prompt("Ana")


def test_a_chat_takes_the_first_of_several_system_lines() -> None:
    assert config.Samples(system=["a", "b"]).system_lines == ["a", "b"]
    assert config.Samples(rendering="chat").system_lines[0].startswith("You are {name}")
    assert config.Samples().system_lines == ["A chat in {channel}: {people}."]


@pytest.mark.parametrize("wrong", [[], ["{name}", "{nobody}"], "{people.x}", "{"])
def test_a_system_line_that_cannot_be_filled_in(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"filled in|one system line"):
        config.Samples(system=wrong)
