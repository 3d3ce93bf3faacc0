"""Verbatim copies: the longest run of words that stands in the training chats."""

from __future__ import annotations

from myna.evaluation.copying import longest_copies, measure_copying
from myna.evaluation.measure import SignedText

TRAINING = [
    "The kettle is on the left shelf, behind the blue tin of biscuits.",
    "We go at nine, not at ten.",
]


def signed(*texts: str) -> list[SignedText]:
    return [SignedText("Ana", text, number) for number, text in enumerate(texts)]


def test_the_longest_run_counts_whatever_its_case_and_punctuation() -> None:
    texts = [
        "look: THE KETTLE is on the left shelf",
        "kettle, blue, nine",
        "nothing of that sort",
        "",
    ]
    assert longest_copies(texts, TRAINING) == [7, 1, 1, 0]


def test_a_run_does_not_reach_over_two_turns_of_either() -> None:
    assert longest_copies(["tin of biscuits we go at nine"], TRAINING) == [4]
    assert longest_copies(["tin of", "biscuits"], TRAINING) == [2, 1]


def test_a_whole_turn_is_found_however_long_it_is() -> None:
    long = " ".join(f"word{number % 50}" for number in range(400))
    assert longest_copies([long], [f"before {long} after"]) == [400]


def test_nothing_to_compare_is_no_copy() -> None:
    assert longest_copies([], TRAINING) == []
    assert longest_copies(["We go at nine"], []) == [0]


def test_a_copier_is_told_from_a_person_and_from_the_base() -> None:
    copied, longest = measure_copying(
        signed(TRAINING[0], "we go at nine, not at ten"),
        signed("good morning"),
        signed("we go at noon", "the tin is on the shelf"),
        TRAINING,
    )
    assert copied.name == "copied_replies"  # the name that the verdict reads
    assert copied.clone.value == 0.5  # seven words are no copy
    assert copied.ceiling is not None
    assert copied.ceiling.value == 0
    assert copied.people["Ana"]["clone"].value == 0.5
    assert longest.clone.value == 13
    assert longest.floor is not None
    assert longest.floor.value == 0
