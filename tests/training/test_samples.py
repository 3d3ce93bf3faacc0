"""Samples of one person, and those that are new."""

from __future__ import annotations

import polars as pl

from myna.training.samples import Samples, fingerprints, of, unseen

TABLE = pl.DataFrame(
    {
        "ids": [[1, 2, 3, 4, 5, 6, 7, 8], [1, 9, 9]],
        "labels": [[0, 1, 2, 2, 1, 2, 0, 0], [0, 1, 2]],
        "replies": [
            [
                {"person": "Ana", "start": 1, "end": 2, "characters": 3},
                {"person": "Ben", "start": 4, "end": 5, "characters": 3},
            ],
            [{"person": "Ana", "start": 1, "end": 2, "characters": 3}],
        ],
    }
)


def test_all_of_a_table_is_trained_for_everyone() -> None:
    assert of(TABLE).labels == [[0, 1, 2, 2, 1, 2, 0, 0], [0, 1, 2]]


def test_of_one_person_replies_and_what_ends_them_are_trained() -> None:
    ana = of(TABLE, "Ana")
    assert ana.labels == [[0, 1, 2, 2, 0, 0, 0, 0], [0, 1, 2]]
    assert ana.ids == [[1, 2, 3, 4, 5, 6, 7, 8], [1, 9, 9]]


def test_samples_in_which_a_person_says_nothing_are_left_out() -> None:
    assert of(TABLE, "Ben").labels == [[0, 0, 0, 0, 1, 2, 0, 0]]
    assert of(TABLE, "Cy") == Samples([], [])


def test_a_first_token_is_no_target_as_nothing_comes_before_it() -> None:
    assert Samples([[1, 2, 3]], [[1, 1, 0]]).targets() == [1]


def test_new_samples_come_with_as_many_known_ones() -> None:
    old = Samples([[i, i] for i in range(6)], [[0, 1]] * 6)
    grown = Samples([*old.ids, [8, 8], [9, 9]], [*old.labels, [0, 1], [0, 1]])
    chosen, new = unseen(grown, set(fingerprints(old)), seed=0)
    assert new == 2
    assert len(chosen.ids) == 4
    assert [8, 8] in chosen.ids
    assert [9, 9] in chosen.ids
    assert unseen(old, set(fingerprints(old)), seed=0) == (Samples([], []), 0)


def test_other_labels_make_another_sample() -> None:
    assert fingerprints(Samples([[1, 2]], [[0, 1]])) != fingerprints(Samples([[1, 2]], [[0, 0]]))
