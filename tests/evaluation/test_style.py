"""Style: features of turns, distances between people, and the gaps of a clone."""

from __future__ import annotations

import random

import pytest

from myna.evaluation.measure import Measure, SignedText
from myna.evaluation.style import largest_gaps, measure_style
from myna.evaluation.style_features import Spelling, features, jensen_shannon, wasserstein

TRAINING = ["the kettle is on again", "because we said so"] * 40 + ["the kettel is on"]
SPELLING = Spelling(TRAINING, lambda word: word in {"kettles"})
FEATURES = {feature.name: feature for feature in features(SPELLING)}
WORDS = ["kettle", "again", "because", "we", "said", "so", "the", "is", "on"]


def shouting(person: str, count: int, seed: int) -> list[SignedText]:
    """Turns in capitals, of many short messages."""
    rng = random.Random(f"{person} {seed}")
    return [
        SignedText(
            person,
            "\n".join(" ".join(rng.choices(WORDS, k=2)).upper() + "!!" for _ in range(3)),
            n // 4,
        )
        for n in range(count)
    ]


def calm(person: str, count: int, seed: int) -> list[SignedText]:
    """Turns of one long message in lower case."""
    rng = random.Random(f"{person} {seed}")
    return [
        SignedText(person, " ".join(rng.choices(WORDS, k=rng.randint(8, 16))), n // 4)
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("name", "turn", "values"),
    [
        ("message_length", "hi\nthere", [2, 5]),
        ("messages_per_turn", "hi\nthere", [2]),
        ("emoji", "ok 👍👍\nfine :) :kettle:\nat 10:30", [2, 2, 0]),
        ("capitals", "OK then\n123", [2 / 6]),
        ("punctuation", "a, b.", [2 / 5]),
        ("laughter", "haha no\nmöp\nlol\nwww.example.org\n555 metres", [1, 0, 1, 0, 0]),
        ("greetings", "Hello there", [1]),
        ("greetings", "history is long", [0]),
        ("greetings", "おはようございます", [1]),
        ("typos", "the kettel is\nthe kettle", [1 / 3, 0]),
    ],
)
def test_a_feature_is_read_from_a_turn(name: str, turn: str, values: list[float]) -> None:
    assert FEATURES[name].figures(turn) == pytest.approx(values)


@pytest.mark.parametrize("word", ["kettel", "kettlle", "becuase", "agian"])
def test_a_rare_word_one_edit_from_a_common_one_is_a_likely_typo(word: str) -> None:
    assert SPELLING.is_typo(word)


@pytest.mark.parametrize("word", ["kettle", "flurb", "kettles", "ths", "on2n"])
def test_common_unheard_of_known_and_short_words_are_none(word: str) -> None:
    assert not SPELLING.is_typo(word)


def test_the_distance_is_in_standard_deviations_and_zero_of_equals() -> None:
    assert wasserstein([1, 2, 3], [3, 1, 2]) == 0
    assert wasserstein([5, 5], [5]) == 0
    assert wasserstein([0], [1]) == pytest.approx(2)  # deviation 0.5
    assert wasserstein([0, 0, 1, 1], [2, 2, 3, 3]) == pytest.approx(
        wasserstein([0, 0, 10, 10], [20, 20, 30, 30])
    )


def test_the_distance_of_vocabularies_is_between_zero_and_one() -> None:
    assert jensen_shannon(["a", "b"], ["b", "a"]) == 0
    assert jensen_shannon(["a", "b"], ["c", "d"]) == pytest.approx(1)
    assert 0 < jensen_shannon(["a", "b"], ["a", "c"]) < 1
    assert jensen_shannon(["a", "b", "x", "y"], ["a", "b"]) == 0  # equally many words


def by_name(clone: list[SignedText]) -> dict[str, Measure]:
    real = shouting("Ana", 36, 1) + calm("Ben", 36, 1)
    return {m.name: m for m in measure_style(real, clone, calm("Ana", 8, 3), SPELLING)}


def test_a_good_clone_is_as_near_as_people_are_to_themselves() -> None:
    measures = by_name(shouting("Ana", 16, 2) + calm("Ben", 16, 2))
    overall = measures["style_distance"]
    assert overall.ceiling is not None
    assert overall.clone.value == pytest.approx(overall.ceiling.value, abs=0.1)
    length = measures["message_length"]
    assert length.people["Ana"]["clone"].low < length.people["Ana"]["ceiling"].value
    assert largest_gaps([*measures.values()]) == {"Ana": [], "Ben": []}


def test_a_clone_in_another_style_is_far_and_its_gaps_say_what_to_change() -> None:
    measures = by_name(calm("Ana", 16, 2) + calm("Ben", 16, 2))
    capitals = measures["capitals_distance"].people
    assert capitals["Ana"]["clone"].low > 1 > capitals["Ben"]["clone"].high
    gaps = largest_gaps([*measures.values()])
    assert gaps["Ben"] == []
    assert len(gaps["Ana"]) == 3
    assert gaps["Ana"][0].distance >= gaps["Ana"][-1].distance > gaps["Ana"][-1].own
    remedies = " ".join(gap.remedy for gap in gaps["Ana"])
    assert "Ana" in remedies
    assert "system line" in remedies


def test_too_few_real_turns_give_no_distance_and_few_replies_a_note() -> None:
    clone = shouting("Ana", 6, 2)
    measures = {m.name: m for m in measure_style(shouting("Ana", 6, 1), clone, [], SPELLING)}
    assert measures["capitals_distance"].clone.value != measures["capitals_distance"].clone.value
    assert "fewer than 30 replies of Ana" in measures["style_distance"].notes[0]
    assert largest_gaps([*measures.values()]) == {"Ana": []}


def test_nobody_in_both_is_no_measure() -> None:
    assert measure_style(calm("Ben", 9, 1), calm("Ana", 9, 1), [], SPELLING) == []
