"""Samples of one person, and those that are new."""

from __future__ import annotations

import polars as pl

from myna.training.samples import Samples, fingerprints, of, unseen

TABLE = pl.DataFrame(
    {
        "ids": [[1, 2, 3, 4, 5, 6, 7, 8], [1, 9, 9]],
        "target_spans": [
            [
                {"person": "Ana", "start": 1, "end": 4, "words_start": 2, "words_end": 3},
                {"person": "Ben", "start": 4, "end": 6, "words_start": 4, "words_end": 5},
            ],
            [{"person": "Ana", "start": 1, "end": 3, "words_start": 1, "words_end": 2}],
        ],
    }
)


def masks(person: str | None = None) -> list[list[int]]:
    return [list(map(int, mask)) for mask in of(TABLE, person).loss_masks]


def test_all_of_a_table_is_trained_for_everyone() -> None:
    assert masks() == [[0, 1, 1, 1, 1, 1, 0, 0], [0, 1, 1]]


def test_of_one_person_words_are_trained_with_what_opens_and_ends_them() -> None:
    assert masks("Ana") == [[0, 1, 1, 1, 0, 0, 0, 0], [0, 1, 1]]
    assert of(TABLE, "Ana").ids == [[1, 2, 3, 4, 5, 6, 7, 8], [1, 9, 9]]


def test_samples_in_which_a_person_says_nothing_are_left_out() -> None:
    assert masks("Ben") == [[0, 0, 0, 0, 1, 1, 0, 0]]
    assert of(TABLE, "Cy") == Samples([], [])


def test_targets_are_counted() -> None:
    assert Samples([[1, 2, 3], [4]], [[False, True, True], [False]]).targets() == [2, 0]


def test_new_samples_come_with_as_many_known_ones() -> None:
    mask = [False, True]
    old = Samples([[i, i] for i in range(6)], [mask] * 6)
    grown = Samples([*old.ids, [8, 8], [9, 9]], [*old.loss_masks, mask, mask])
    chosen, new = unseen(grown, set(fingerprints(old)), seed=0)
    assert new == 2
    assert len(chosen.ids) == 4
    assert [8, 8] in chosen.ids
    assert [9, 9] in chosen.ids
    assert unseen(old, set(fingerprints(old)), seed=0) == (Samples([], []), 0)


def test_another_mask_makes_another_sample() -> None:
    ids = [[1, 2]]
    other = fingerprints(Samples(ids, [[False, False]]))
    assert fingerprints(Samples(ids, [[False, True]])) != other
