"""Assistant leak: phrases are learned from the base's replies, and real speech is none."""

from __future__ import annotations

from myna.evaluation.assistant_leak import learn_phrases, measure_leak, sounds_like_assistant
from myna.evaluation.attribution import SignedText

REAL = [f"we burned the toast again, number {n}" for n in range(60)] + ["that's a great idea"] * 6
BASE = [f"I would be delighted to assist you with item {n}" for n in range(40)]


def signed(texts: list[str]) -> list[SignedText]:
    return [SignedText("Ana", text, n) for n, text in enumerate(texts)]


def test_phrases_of_the_base_are_learned_and_those_of_the_chat_are_not() -> None:
    phrases = learn_phrases(BASE, REAL)
    assert "delighted to assist" in phrases
    assert "great idea" not in phrases  # people here say so
    assert "burned the toast" not in phrases


def test_a_list_of_points_is_an_assistants() -> None:
    assert sounds_like_assistant("Sure:\n- one thing\n- another", set())
    assert not sounds_like_assistant("- said the cat", set())


def test_shares_of_clone_base_and_real_text() -> None:
    clone = signed(["toast?", "happy to help you", "no"])
    measure = measure_leak(clone, signed(BASE), signed(REAL))
    assert measure.clone.value == 1 / 3
    assert measure.floor is not None
    assert measure.floor.value == 1
    assert measure.ceiling is not None
    assert measure.ceiling.value == 0
