"""A persona's turn, out of an engine's stream."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, cast

import pytest
from tests.metadata import prompt_format

from myna.config import Sampling
from myna.engines.engine import Engine
from myna.persona.prompt import PromptBuilder
from myna.persona.turn import GeneratedTurn
from myna.rendering.tokenizer import Tokenizer

pytestmark = pytest.mark.model


class Says:
    """An engine that says the same whatever it is asked, and how it came to its end."""

    def __init__(self, pieces: Sequence[str], reason: str) -> None:
        self.pieces, self.reason, self.given = pieces, reason, 0

    def stream(self, *_: Any) -> Generator[str, None, str]:
        for piece in self.pieces:
            self.given += 1
            yield piece
        return self.reason


def speak(
    tokenizer: Tokenizer, pieces: Sequence[str], reason: str = "stop", opening: str = ""
) -> tuple[GeneratedTurn, Says]:
    builder = PromptBuilder(prompt_format("{people}."), tokenizer, ["Ana", "Ben"], 400)
    builder.add("Ben", "soup?")
    engine = Says(pieces, reason)
    turn = GeneratedTurn(cast(Engine, engine), builder, "Ana", Sampling(), opening=opening)
    assert "".join(turn).strip() == turn.text
    assert len(builder.messages) == 1, "a turn writes nowhere"
    assert turn.prompt_ids == builder.prompt("Ana", opening)
    return turn, engine


def test_a_turn_ends_with_the_next_name_and_the_stream_with_it(tokenizer: Tokenizer) -> None:
    turn, engine = speak(tokenizer, [" yes", "\nplease", "\nB", "en:", " never", " heard"])
    assert turn.text == "yes\nplease"
    assert turn.next_person == "Ben"
    assert engine.given == 5  # a name and its colon end a turn once a blank follows
    assert (turn.raw_text, turn.finish_reason) == (" yes\nplease\nBen: never", "stop")


def test_the_last_line_of_a_conversation_is_kept(tokenizer: Tokenizer) -> None:
    assert speak(tokenizer, [" yes", "\nBen and I"])[0].text == "yes\nBen and I"


def test_half_a_name_at_the_limit_is_nobodys_words(tokenizer: Tokenizer) -> None:
    assert speak(tokenizer, [" yes", "\nBe"], "length")[0].text == "yes"


def test_a_long_line_cut_by_the_limit_stays(tokenizer: Tokenizer) -> None:
    said = " I would say that the lake is cold, the tent is wet, and the soup is"
    assert speak(tokenizer, [said], "length")[0].text == said.strip()


def test_a_turn_without_words_is_not_said(tokenizer: Tokenizer) -> None:
    turn, _ = speak(tokenizer, ["\nBen:"])
    assert (turn.text, turn.next_person) == ("", "Ben")


def test_an_entry_goes_on_from_what_it_was_asked_with(tokenizer: Tokenizer) -> None:
    turn, _ = speak(tokenizer, ["\nRain", ".\n Note: wet"], opening="[ESSAY] Weather")
    assert turn.text == "Rain.\nNote: wet"


def test_one_that_is_cancelled_stops_and_says_so(tokenizer: Tokenizer) -> None:
    builder = PromptBuilder(prompt_format("{people}."), tokenizer, ["Ana", "Ben"], 400)
    engine = Says([" yes", " and", " no"], "stop")
    turn = GeneratedTurn(cast(Engine, engine), builder, "Ana", Sampling())
    turn.is_cancelled = lambda: engine.given == 2
    assert "".join(turn) == "yes "  # words that were held back never come
    assert (turn.text, turn.finish_reason, engine.given) == ("yes", "cancelled", 2)


def test_one_at_its_limit_says_length(tokenizer: Tokenizer) -> None:
    assert speak(tokenizer, [" yes", " and"], "length")[0].finish_reason == "length"
