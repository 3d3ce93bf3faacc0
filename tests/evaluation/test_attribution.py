"""Attribution: people with voices of their own are told apart, and a bland clone is not."""

from __future__ import annotations

import random

import pytest

from myna.evaluation.attribution import MIN_TRAINING_TURNS, SignedText, measure_attribution

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

WORDS = {
    "Ana": ["honestly", "darling", "kettle", "biscuits", "lovely", "rather", "splendid", "teapot"],
    "Ben": ["yo", "bro", "lmao", "gonna", "sick", "dude", "nah", "fr"],
    "Cy": ["Roger", "copy", "negative", "standby", "affirmative", "burn", "attitude", "telemetry"],
}


def turns(person: str, count: int, seed: int, words: list[str] | None = None) -> list[SignedText]:
    rng = random.Random(f"{person} {seed}")
    chosen = words or WORDS[person]
    return [
        SignedText(person, " ".join(rng.choices(chosen, k=rng.randint(3, 9))), n // 4)
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def train() -> list[SignedText]:
    return [turn for person in WORDS for turn in turns(person, MIN_TRAINING_TURNS + 20, 1)]


@pytest.fixture(scope="module")
def real() -> list[SignedText]:
    return [turn for person in WORDS for turn in turns(person, 40, 2)]


def test_a_clone_with_the_voices_is_near_the_ceiling_and_one_without_near_chance(
    train: list[SignedText], real: list[SignedText]
) -> None:
    good = [turn for person in WORDS for turn in turns(person, 40, 3)]
    bland = [turn for person in WORDS for turn in turns(person, 40, 4, ["okay", "sure", "the"])]
    for measure in measure_attribution(train, real, good, bland):
        assert measure.clone.value > 0.9, measure.name
        assert measure.floor is not None
        assert measure.floor.value < 0.3, measure.name
        assert measure.ceiling is not None


def test_swapped_names_are_worse_than_chance(
    train: list[SignedText], real: list[SignedText]
) -> None:
    other = dict(zip(WORDS, [*list(WORDS)[1:], "Ana"], strict=True))
    swapped = [turn for p in WORDS for turn in turns(p, 40, 5, WORDS[other[p]])]
    for measure in measure_attribution(train, real, swapped, []):
        assert measure.clone.value < 0


def test_people_who_write_alike_give_no_figure(train: list[SignedText]) -> None:
    words = ["okay", "sure", "fine", "well", "so"]
    alike = [turn for p in WORDS for turn in turns(p, MIN_TRAINING_TURNS, 6, words)]
    real = [turn for p in WORDS for turn in turns(p, 20, 7, words)]
    for measure in measure_attribution(alike, real, real, []):
        assert "cannot be told apart" in " ".join(measure.notes)


def test_people_with_too_little_to_learn_from_are_left_out(real: list[SignedText]) -> None:
    few = [turn for person in WORDS for turn in turns(person, 10, 1)]
    assert measure_attribution(few, real, real, []) == []
