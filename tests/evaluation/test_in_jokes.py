"""In-jokes: the words of a group are found, and their use is compared."""

from __future__ import annotations

import pytest

from myna.evaluation.in_jokes import find_terms, measure_terms, term_prior
from myna.evaluation.measure import SignedText
from myna.rendering.tokenizer import Tokenizer

EVERYDAY = ["are you coming to the station with us tonight", "we should take the train"] * 300
GROUP = ["the flurbkettle is at it again"] * 6 + ["Zed said hello to us"] * 6


def prior(word: str) -> float:
    """A language in which the word of the group is unheard of."""
    return 1e-12 if word == "flurbkettle" else 0.01


def signed(*texts: str) -> list[SignedText]:
    return [SignedText("Ana", text, number) for number, text in enumerate(texts)]


def test_rare_words_of_the_group_are_found_and_others_are_not() -> None:
    assert find_terms(EVERYDAY + GROUP, prior) == ["flurbkettle"]


def test_names_and_everyday_words_are_no_in_jokes() -> None:
    assert find_terms(EVERYDAY + GROUP, lambda _: 1e-12, names={"zed", "flurbkettle"}) == [
        "is", "at", "it", "again", "said", "hello",
    ]  # fmt: skip
    assert find_terms(["flurbkettle"] * 100, prior) == []  # every second word of theirs


def test_uses_are_counted_by_thousand_words_without_copies() -> None:
    copied = "the flurbkettle stands where it has always stood since monday"
    measure = measure_terms(
        ["flurbkettle"],
        signed("oh no the flurbkettle", copied),
        signed("I would be delighted"),
        signed("flurbkettle", "a b c"),
        [copied],
    )
    assert measure.clone.value == 1000 / 4
    assert measure.floor is not None
    assert measure.floor.value == 0
    assert measure.ceiling is not None
    assert measure.ceiling.value == 1000 / 4


@pytest.mark.model
def test_the_tokenizer_tells_common_words_from_rare_ones(tokenizer: Tokenizer) -> None:
    probability = term_prior(tokenizer)
    assert probability("the") > probability("kettle") > probability("flurbkettle")
    assert probability("houston") == probability("Houston")
