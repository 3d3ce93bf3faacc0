"""The guard against loops: lines that were just said are drawn again."""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from typing import Any, cast

import pytest
from tests.metadata import prompt_format

from myna.artifacts import SpeakingHabits
from myna.config import Sampling
from myna.engines.engine import Engine
from myna.persona.line_guard import LineGuard, line_guard
from myna.persona.prompt import PromptBuilder, PromptMessage
from myna.persona.turn import GeneratedTurn
from myna.rendering.tokenizer import Tokenizer

NEVER = SpeakingHabits(100, max_lines=5)


class Draws:
    """An engine that says one thing after the other, a draw each."""

    def __init__(self, draws: Sequence[str]) -> None:
        self.draws = list(draws)
        self.prompts: list[list[int]] = []
        self.samplings: list[Sampling] = []

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[str, None, str]:
        self.prompts.append([*prompt])
        self.samplings.append(sampling)
        yield from self.draws.pop(0).replace(" ", "\0 ").replace("\n", "\0\n").split("\0")
        return "stop"


def speak(
    tokenizer: Tokenizer,
    draws: Sequence[str],
    before: Sequence[str] = ("soup?",),
    habits: SpeakingHabits = NEVER,
    **sampling: Any,
) -> tuple[GeneratedTurn, Draws, list[str]]:
    builder = PromptBuilder(prompt_format("{people}."), tokenizer, ["Ana", "Ben"], 400)
    for text in before:
        builder.add("Ben", text)
    engine = Draws(draws)
    given = Sampling(seed=1, **sampling)
    guard = line_guard(builder.messages, habits, given)
    turn = GeneratedTurn(cast(Engine, engine), builder, "Ana", given, guard=guard)
    pieces = list(turn)
    assert "".join(pieces).strip() == turn.text
    return turn, engine, pieces


@pytest.mark.model
class TestTurn:
    def test_a_repeat_is_drawn_again_hotter_and_nobody_sees_it(self, tokenizer: Tokenizer) -> None:
        turn, engine, _ = speak(tokenizer, [" soup?", " Soup?", " leeks, I think"])
        assert turn.text == "leeks, I think"
        assert turn.raw_text == " leeks, I think"
        assert turn.guard is not None
        assert turn.guard.redraws == 2
        assert engine.prompts[0] == engine.prompts[2] == turn.prompt_ids
        temperatures = [sampling.temperature for sampling in engine.samplings]
        assert temperatures == sorted(set(temperatures))
        assert len({sampling.seed for sampling in engine.samplings}) == 3

    def test_lines_that_passed_stay_and_are_in_the_next_prompt(self, tokenizer: Tokenizer) -> None:
        turn, engine, _ = speak(tokenizer, [" leeks\nsoup?", "bread as well"])
        assert turn.text == "leeks\nbread as well"
        assert turn.raw_text == " leeks\nbread as well"
        prompt = engine.prompts[1]
        assert tokenizer.decode(prompt[len(turn.prompt_ids) :]) == " leeks\n"

    def test_a_turn_that_goes_round_is_ended(self, tokenizer: Tokenizer) -> None:
        turn, engine, _ = speak(tokenizer, [" leeks\nsoup?", "soup?", "leeks", "soup?"])
        assert (turn.text, turn.finish_reason) == ("leeks", "stop")
        assert not engine.draws

    def test_somebody_who_has_said_nothing_yet_speaks_in_the_end(
        self, tokenizer: Tokenizer
    ) -> None:
        turn, _, _ = speak(tokenizer, [" soup?"] * 4)
        assert turn.text == "soup?"

    def test_a_turn_has_no_more_lines_than_the_persons_turns(self, tokenizer: Tokenizer) -> None:
        turn, _, _ = speak(tokenizer, ["".join(f"\nthing {n * n}" for n in range(1, 9))])
        assert turn.text.count("\n") == 4
        assert turn.finish_reason == "stop"

    def test_text_comes_as_soon_as_it_cannot_be_a_repeat(self, tokenizer: Tokenizer) -> None:
        _, _, pieces = speak(
            tokenizer, [" it is leek soup with bread, and I made it for all of you"], ["it is late"]
        )
        assert next(piece for piece in pieces if piece) != "it"
        assert len([piece for piece in pieces if piece]) > 1

    def test_an_echo_is_drawn_again_as_soon_as_it_is_one(self, tokenizer: Tokenizer) -> None:
        before = ["we are looking at you and you are looking at us from the moon over there"]
        echo = " you are looking at us and we are looking at you from the moon"
        turn, engine, pieces = speak(tokenizer, [f"{echo} and leeks are nice", " leeks"], before)
        assert turn.text == "".join(pieces).strip() == "leeks"
        assert not engine.draws

    def test_a_long_line_comes_piece_by_piece_once_enough_of_it_is_new(
        self, tokenizer: Tokenizer
    ) -> None:
        words = " ".join(f"word{n}" for n in range(30))
        _, _, pieces = speak(tokenizer, [f" {words}"])
        assert len([piece for piece in pieces if piece]) > 20

    def test_personal_data_at_the_end_of_a_line_comes_once(self, tokenizer: Tokenizer) -> None:
        draws = [" write to ana@example.org\nsoup?", "or ring me"]
        turn, _, _ = speak(tokenizer, draws)
        assert turn.text == "write to [email]\nor ring me"

    def test_no_redraws_no_guard(self, tokenizer: Tokenizer) -> None:
        turn, _, _ = speak(tokenizer, [" soup?"], max_redraws=0)
        assert turn.guard is None


class TestRate:
    def passed(self, rate: float, rounds: int = 400) -> float:
        """The share of repeats of a room whose model says the same half of the time."""
        rng = random.Random(3)
        habits = SpeakingHabits(100, short_repeats=rate, long_repeats=rate)
        lines = [f"line{n} of{n * n} with{n * 7} words{n}" for n in range(40)]
        count = 0
        for n in range(rounds):
            guard = LineGuard(lines[-40:], habits, rng)
            line = rng.choice(lines[-3:]) if rng.random() < 0.5 else f"new{n} {n**3} is{n} here"
            if line in lines[-12:]:
                if guard.rejects(line):
                    line = f"other{n} {n**3} is{n} there"
                else:
                    count += 1
            lines.append(line)
        return count / rounds

    def test_nobody_who_never_repeats_repeats(self) -> None:
        assert self.passed(0.0) == 0

    def test_people_who_repeat_themselves_do_so_at_about_their_rate(self) -> None:
        assert self.passed(0.1) == pytest.approx(0.1, abs=0.04)
        assert self.passed(0.3) == pytest.approx(0.3, abs=0.08)

    def test_short_lines_have_a_rate_of_their_own(self) -> None:
        habits = SpeakingHabits(100, short_repeats=1.0, long_repeats=0.0)
        guard = LineGuard(["Roger.", "we are go for landing"], habits, random.Random(0))
        assert not guard.rejects("Roger.")
        assert guard.rejects("we are go for landing")


def test_the_guard_sees_lines_of_everybody() -> None:
    messages = [PromptMessage("Ana", "one line\nand another"), PromptMessage("Ben", "bread")]
    guard = line_guard(messages, NEVER, Sampling(max_redraws=1))
    assert guard is not None
    assert guard.lines == ["one line", "and another", "bread"]
