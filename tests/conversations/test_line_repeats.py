"""Lines that repeat one of those just before."""

from __future__ import annotations

import random

from myna.conversations.line_repeats import (
    is_repeat,
    is_short,
    may_become_repeat,
    repeated_lines,
)


def test_a_line_repeats_one_of_the_twelve_before() -> None:
    room = ["tea?", *[f"number {n} is my number" for n in "abcdefghijk"]]
    assert repeated_lines([*room, "Tea?"])[-1]
    assert not repeated_lines([*room, "so much for that", "Tea?"])[-1]


def test_nearly_the_same_line_is_a_repeat() -> None:
    room = ["we are go for landing, over", "We are  go for landing, over."]
    assert repeated_lines(room) == [False, True]
    assert is_repeat(room[1], room[:1])
    assert not is_repeat("we are not go", room[:1])


def test_short_lines_are_those_of_up_to_three_words() -> None:
    assert is_short("see you later")
    assert not is_short("see you later, Ana")


def test_the_beginning_of_a_repeat_may_always_become_one() -> None:
    rng = random.Random(0)
    words = ["so", "the", "cat", "sat", "on", "our", "old", "red", "mat", "and", "sang"]
    for _ in range(300):
        before = [" ".join(rng.choices(words, k=rng.randint(1, 8))) for _ in range(5)]
        line = rng.choice(before)
        if rng.random() < 0.5:  # nearly
            i = rng.randrange(len(line))
            line = line[:i] + rng.choice("xyz ") + line[i + 1 :]
        if is_repeat(line, before):
            assert all(may_become_repeat(line[:i], before) for i in range(len(line) + 1))


def test_what_has_gone_another_way_is_given_out_soon() -> None:
    assert may_become_repeat("we are", ["we are go for landing"])
    assert not may_become_repeat("we are having soup to", ["we are go for landing"])
    assert not may_become_repeat("", [])
