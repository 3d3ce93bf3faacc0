"""Foretelling the next speaker: the baselines, and the log-loss."""

from __future__ import annotations

import pytest

from myna.evaluation.moments import Moment
from myna.evaluation.speaker_order import by_frequency, by_silence, candidates, measure_order
from myna.persona.prompt import PromptMessage
from myna.persona.scenes import Scene


def moment(speakers: str, following: str, people: str = "abc") -> Moment:
    before = [PromptMessage(person, "hm") for person in speakers]
    return Moment(Scene("", "", [*people], before, [PromptMessage(following, "so")]), 0)


def test_the_last_speaker_is_no_candidate_and_the_real_one_always_is() -> None:
    assert candidates(moment("ab", "c")) == ["a", "c"]
    assert candidates(moment("ab", "z")) == ["a", "c", "z"]


def test_frequency_leaves_out_the_last_speaker() -> None:
    counts = {"a": 89, "b": 500, "c": 9}
    assert by_frequency(moment("b", "a"), counts) == pytest.approx(0.9)
    assert by_frequency(moment("b", "c"), counts) == pytest.approx(0.1)


def test_round_robin_expects_whoever_was_silent_the_longest() -> None:
    assert by_silence(moment("abc", "a")) > by_silence(moment("abc", "b"))
    assert by_silence(moment("ab", "a", people="ab")) == 1


def test_the_log_loss_is_in_bits_and_never_infinite() -> None:
    moments = [moment("ab", "a"), moment("ab", "c")]
    even, wrong = [0.5, 0.5], [0.5, 0.0]
    ways = ("model alone", "frequency", "round-robin")
    given = {"clone": even, "base model": wrong, **dict.fromkeys(ways, even)}
    measure = measure_order(moments, given)
    assert measure.clone.value == pytest.approx(1)
    assert 1 < measure.references["base model"].value < 10
