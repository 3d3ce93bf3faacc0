"""Samples of one person, and those that are new."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.training.data import (
    NEWEST_WEIGHT,
    OLDEST_WEIGHT,
    BatchSampler,
    Samples,
    sample_hashes,
    samples_from_table,
    select_unseen,
    with_weights,
)

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
    return [list(map(int, mask)) for mask in samples_from_table(TABLE, person).loss_masks]


def test_all_of_a_table_is_trained_for_everyone() -> None:
    assert masks() == [[0, 1, 1, 1, 1, 1, 0, 0], [0, 1, 1]]


def test_of_one_person_words_are_trained_with_what_opens_and_ends_them() -> None:
    assert masks("Ana") == [[0, 1, 1, 1, 0, 0, 0, 0], [0, 1, 1]]
    assert samples_from_table(TABLE, "Ana").ids == [[1, 2, 3, 4, 5, 6, 7, 8], [1, 9, 9]]


def test_samples_in_which_a_person_says_nothing_are_left_out() -> None:
    assert masks("Ben") == [[0, 0, 0, 0, 1, 1, 0, 0]]
    assert samples_from_table(TABLE, "Cy") == Samples([], [])


def test_targets_are_counted() -> None:
    assert Samples([[1, 2, 3], [4]], [[False, True, True], [False]]).target_counts() == [2, 0]


def test_new_samples_come_with_as_many_known_ones() -> None:
    mask = [False, True]
    old = Samples([[i, i] for i in range(6)], [mask] * 6)
    grown = Samples([*old.ids, [8, 8], [9, 9]], [*old.loss_masks, mask, mask])
    chosen, new = select_unseen(grown, set(sample_hashes(old)), seed=0)
    assert new == 2
    assert len(chosen.ids) == 4
    assert [8, 8] in chosen.ids
    assert [9, 9] in chosen.ids
    assert select_unseen(old, set(sample_hashes(old)), seed=0) == (Samples([], []), 0)


def test_another_mask_makes_another_sample() -> None:
    ids = [[1, 2]]
    other = sample_hashes(Samples(ids, [[False, False]]))
    assert sample_hashes(Samples(ids, [[False, True]])) != other


lengths = st.lists(st.integers(1, 600), min_size=1, max_size=60)


@given(lengths, st.integers(64, 1024), st.integers(0, 5))
def test_each_epoch_has_every_sample_once(sizes: list[int], most: int, seed: int) -> None:
    sampler = BatchSampler(sizes, most, seed)
    for number in range(2):
        assert sorted(i for batch in sampler.epoch(number) for i in batch) == [*range(len(sizes))]


@given(lengths, st.integers(64, 1024))
def test_a_batch_keeps_its_bound_unless_one_sample_alone_breaks_it(
    sizes: list[int], most: int
) -> None:
    sampler = BatchSampler(sizes, most, 0)
    for step in range(sampler.steps(2)):
        assert sampler.padded_tokens(step) <= most or len(sampler.batch(step)) == 1


@given(lengths, st.integers(0, 9))
def test_a_step_is_the_same_whenever_it_is_asked_for(sizes: list[int], step: int) -> None:
    walked = BatchSampler(sizes, 256, 7)
    for earlier in range(step):
        walked.batch(earlier)
    assert walked.batch(step) == BatchSampler(sizes, 256, 7).batch(step)


def test_another_seed_and_another_epoch_give_another_order() -> None:
    sizes = [10 + i for i in range(40)]
    first = BatchSampler(sizes, 64, 0)
    assert first.epoch(0) != first.epoch(1)
    assert first.epoch(0) != BatchSampler(sizes, 64, 1).epoch(0)


def test_samples_of_a_like_length_share_a_batch() -> None:
    sampler = BatchSampler([10, 200] * 50, 400, 0)
    tokens = sum(sampler.lengths)
    padded_tokens = sum(sampler.padded_tokens(step) for step in range(sampler.steps(1)))
    assert tokens / padded_tokens > 0.9


def test_part_of_an_epoch_is_part_of_its_steps() -> None:
    sampler = BatchSampler([50] * 40, 100, 0)
    assert sampler.steps(1) == 20
    assert sampler.steps(2.5) == 50
    assert sampler.steps(0.001) == 1


def test_weights_grow_with_the_time_within_their_bounds() -> None:
    spans = [{"person": "Ana", "start": 1, "end": 3}]
    table = pl.DataFrame({"conversation": [7, 3, 5, 9], "ids": [[1, 2, 3]] * 4,
                          "target_spans": [spans] * 4})  # fmt: skip
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 20)]
    messages = pl.DataFrame({"conversation": [7, 3, 5], "sent_at": days})
    samples = samples_from_table(with_weights(table, messages))
    assert samples.weights == pytest.approx([OLDEST_WEIGHT, 1.0, NEWEST_WEIGHT, 1.0])
    assert select_unseen(samples, set(), seed=0)[0].weights == samples.weights
    assert not samples_from_table(table).weights
