"""Lines that repeat one of those just before, or echo them."""

from __future__ import annotations

import random

from myna.conversations.line_repeats import (
    ECHO_WINDOW,
    MANY_LINES,
    has_head,
    is_echo,
    is_repeat,
    is_short,
    may_become_echo,
    may_become_repeat,
    repeated_lines,
    said_again,
    word_pairs,
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


def test_many_lines_of_several_rooms_are_judged_as_few_of_one() -> None:
    rng = random.Random(0)
    words = [
        *["the", "kettle", "is", "on", "and", "we", "are", "go", "for", "tea"],
        "чай",
        "お茶",
        "\ud800",
        "🍵",
    ]
    lines = ["", " ", "Tea?"]
    while len(lines) < 4 * MANY_LINES:
        line = list(
            rng.choice(lines[-14:]) if rng.random() < 0.3 else " ".join(rng.choices(words, k=7))
        )
        if line and rng.random() < 0.7:
            line[rng.randrange(len(line))] = rng.choice("xé茶")
        lines.append("".join(line))
    rooms = [number // 30 for number in range(len(lines))]
    each = [lines[first : first + 30] for first in range(0, len(lines), 30)]
    for judge in (repeated_lines, said_again):
        found = judge(lines, rooms)
        assert found == [flag for room in each for flag in judge(room)]
        assert 20 < sum(found) < len(lines) / 2 + 200


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


SAID = {*word_pairs("We've got a good look at you."), *word_pairs("You look great, Houston.")}


def test_a_line_made_of_what_was_said_is_an_echo() -> None:
    assert is_echo("A good look at you, you look great", SAID)
    assert not is_echo("a good view of the Earth at last", SAID)
    assert not is_echo("Look great", SAID)  # too short to tell from a habit


def test_a_line_that_goes_round_in_itself_is_one() -> None:
    assert is_echo("tomorrow morning, tomorrow morning, tomorrow morning", [])
    assert not is_echo("tomorrow morning, or in the evening", [])


def test_only_the_beginning_of_a_line_decides() -> None:
    news = "in the evening we sail out with nine fresh loaves and some old cheese"
    assert has_head(f"{news} ")
    assert not is_echo(f"{news}, {news}, {news}", SAID)
    assert not has_head("in the evening we sail")


def test_the_beginning_of_an_echo_may_always_become_one() -> None:
    rng = random.Random(0)
    words = ["so", "the", "cat", "sat", "on", "our", "old", "red", "mat", "and", "sang"]
    found = 0
    for _ in range(300):
        said = {pair for _ in range(6) for pair in word_pairs(" ".join(rng.choices(words, k=8)))}
        line = ", ".join(rng.choices(words, k=rng.randint(4, 20)))
        if is_echo(line, said):
            found += 1
            assert all(may_become_echo(line[:i], said) for i in range(len(line) + 1))
        elif has_head(line):
            assert not may_become_echo(line, said)
    assert found > 20


def test_what_says_enough_that_is_new_can_be_no_echo() -> None:
    assert may_become_echo("a good look at leek", SAID)
    assert not may_become_echo("leeks with bread and butter on the side for us all, ", SAID)


def test_lines_say_again_what_one_of_the_lines_before_said() -> None:
    between = [f"number {n} is my number" for n in range(ECHO_WINDOW - 1)]
    asked = "have you seen our cat today"
    assert said_again([asked, *between, f"oh, {asked}"])[-1]
    assert not said_again([asked, "soup", *between, f"oh, {asked}"])[-1]
    assert said_again(["Roger.", "Roger."]) == [False, True]
