"""Copies of long texts: their authors, and the similarity of near-duplicates."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import thorough

from myna.cleaning import near_duplicates
from myna.cleaning.near_duplicates import MAX_BLOCK_CHARS, find_copies, long_texts

SONG = (
    "the kettle is on the stove and the cups are on the shelf and nobody has time to pour it today"
)
OTHER = "we walked along the river until it was dark and then took the last train home to the city"


def clusters(texts: pl.Series) -> np.ndarray:
    return near_duplicates.clusters(long_texts(texts, 0))


def named(*said: tuple[str, str]) -> list[str]:
    people, texts = zip(*said, strict=True)
    masks = find_copies(long_texts(pl.Series(texts), 80), pl.Series(people))
    return [
        "copypasta" if pasta else "repeated" if again else "own"
        for pasta, again in zip(masks["copypasta"], masks["repeated"], strict=True)
    ]


def test_the_first_is_its_authors_and_the_second_repeats_it() -> None:
    assert named(("Ana", SONG), ("Ana", OTHER), ("Ben", SONG)) == ["own", "own", "repeated"]


def test_a_text_of_three_people_is_copypasta() -> None:
    said = [("Ana", SONG), ("Ben", SONG), ("Cy", SONG), ("Cy", OTHER)]
    assert named(*said) == ["copypasta"] * 3 + ["own"]


def test_a_text_sent_five_times_is_copypasta() -> None:
    assert named(*[("Ana", SONG)] * 4) == ["own", *["repeated"] * 3]
    assert named(*[("Ana", SONG)] * 5) == ["copypasta"] * 5


def test_links_do_not_count() -> None:
    link = f"https://myna.example/{'tea-' * 20}"
    assert named(("Ana", f"look here: {link}"), ("Ben", f"and there: {link}")) == ["own", "own"]
    assert named(("Ana", f"{SONG} {link}"), ("Ben", SONG)) == ["own", "repeated"]


def test_short_texts_are_no_copies() -> None:
    assert named(*[("Ana", "the kettle is on")] * 9) == ["own"] * 9


def test_case_blanks_and_marks_do_not_matter() -> None:
    assert clusters(
        pl.Series([SONG, SONG.upper() + "!!", f"*{SONG.replace(' ', '  ')}*"])
    ).tolist() == [
        0,
        0,
        0,
    ]


def test_nearly_the_same_is_the_same_and_half_is_not() -> None:
    near = SONG.replace("today", "again")
    half = SONG[: len(SONG) // 2] + OTHER[len(OTHER) // 2 :]
    assert clusters(pl.Series([SONG, near, half, OTHER])).tolist() == [0, 0, 2, 3]


def test_texts_without_letters_are_copies_only_when_they_are_equal() -> None:
    signs = ["=" * 90, "-" * 90, "=" * 90]
    assert clusters(pl.Series(signs)).tolist() == [0, 1, 0]


def test_other_texts_are_no_copies_in_any_number() -> None:
    rng = random.Random(7)
    words = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdfgklmnprst"]
    said = [" ".join(rng.choices(words, k=20)) for _ in range(3_000)]
    assert sum(map(len, said)) > 3 * MAX_BLOCK_CHARS  # in several blocks
    assert clusters(pl.Series([*said, said[5]])).tolist() == [*range(3_000), 5]


def test_nothing_has_no_copies() -> None:
    assert clusters(pl.Series([], dtype=pl.String)).tolist() == []


@thorough
@given(st.lists(st.text() | st.sampled_from([SONG, OTHER, SONG + "x"])))
def test_a_copy_points_to_one_that_is_none(said: list[str]) -> None:
    labels = clusters(pl.Series(said, dtype=pl.String))
    assert all(labels[label] == label <= row for row, label in enumerate(labels))
    assert all(labels[said.index(text)] == labels[row] for row, text in enumerate(said))
