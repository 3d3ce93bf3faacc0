"""Metrics of rooms: loops are seen, lively rooms are left alone."""

from __future__ import annotations

import pytest

from myna.evaluation.measure import SignedText
from myna.evaluation.room_metrics import (
    distinct,
    has_collapsed,
    longest_turn,
    measure_rooms,
    self_bleu,
    speaker_entropy,
    speaking_shares,
)

LIVELY = [
    ("Ana", "who wants soup tonight?"),
    ("Ben", "me, if there is bread"),
    ("Ana", "there is always bread"),
    ("Cy", "I'm on the late bus, save me some"),
    ("Ben", "which one, the forty or the nine"),
    ("Cy", "forty. the driver is singing"),
]
LOOP = [("Ana", "It's Houston, Houston."), ("Ben", "It's Houston, Houston!")] * 10


def test_a_loop_is_a_collapse_and_a_talk_is_not() -> None:
    assert has_collapsed(LOOP)
    assert not has_collapsed(LIVELY)


def test_a_turn_of_thirteen_lines_is_a_collapse() -> None:
    room = [("Ana", f"and then thing {n} of {n * 7} happened") for n in range(13)]
    assert longest_turn(room) == 13
    assert has_collapsed(room)
    assert not has_collapsed(room[:3])


def test_distinct_and_self_bleu_tell_a_loop_from_a_talk() -> None:
    assert distinct(LIVELY, 2) > 0.9 > 0.2 > distinct(LOOP, 2)
    assert self_bleu([LOOP]) == 1.0 > self_bleu([LIVELY])


def test_rooms_of_unlike_length_are_compared_by_as_many_words() -> None:
    twice = [*LIVELY, *LIVELY]
    assert distinct(twice, 2) < distinct(LIVELY, 2)
    words = sum(len(text.split()) for _, text in LIVELY)
    assert distinct(twice, 2, words) == distinct(LIVELY, 2)


def test_the_entropy_of_speakers_is_zero_where_turns_go_round() -> None:
    assert speaker_entropy(LOOP) == 0
    assert speaker_entropy([(person, "hi") for person in "abcacbabcb"]) > 0.5


def test_shares_count_turns_not_lines() -> None:
    room = [("Ana", "one"), ("Ana", "two"), ("Ben", "three"), ("Ana", "four")]
    assert speaking_shares([room]) == {"Ana": pytest.approx(2 / 3), "Ben": pytest.approx(1 / 3)}


def test_all_metrics_of_a_loop_are_worse_than_those_of_a_talk() -> None:
    real = [SignedText(person, text, 0) for person, text in LIVELY]
    measures = {m.name: m for m in measure_rooms([LOOP], [LIVELY], real)}
    assert measures["repeats"].clone.value == pytest.approx(0.9)
    assert measures["repeats"].ceiling is not None
    assert measures["repeats"].ceiling.value == 0
    assert measures["collapsed"].clone.value == 1
    assert measures["speaking_shares"].people["Cy"]["clone"].value == 0


def test_lines_made_of_what_was_just_said_are_counted_among_the_longer_ones() -> None:
    circle = [
        ("Ana", "we have a good look at you now"),
        ("Ben", "Roger."),
        ("Ana", "you have a good look at us now"),
        ("Ben", "we have a good look now, and you look good"),
        ("Ana", "the soup is on the table at last"),
    ]
    real = [
        (person, f"{'abcde'[i]}1 {'abcde'[i]}2 {i} {i}{i} x")
        for i, (person, _) in enumerate(circle)
    ]
    measures = {m.name: m for m in measure_rooms([circle], [real], [SignedText("Ana", "hi", 0)])}
    assert measures["echoes"].clone.value == 0.5
    assert measures["echoes"].ceiling is not None
    assert measures["echoes"].ceiling.value == 0
