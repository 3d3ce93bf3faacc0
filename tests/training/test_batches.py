"""The batches of a run: a pure function of (seed, step)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from myna.training.batches import Schedule

lengths = st.lists(st.integers(1, 600), min_size=1, max_size=60)


@given(lengths, st.integers(64, 1024), st.integers(0, 5))
def test_each_epoch_has_every_sample_once(sizes: list[int], most: int, seed: int) -> None:
    schedule = Schedule(sizes, most, seed)
    for number in range(2):
        assert sorted(i for batch in schedule.epoch(number) for i in batch) == [*range(len(sizes))]


@given(lengths, st.integers(64, 1024))
def test_a_batch_keeps_its_bound_unless_one_sample_alone_breaks_it(
    sizes: list[int], most: int
) -> None:
    schedule = Schedule(sizes, most, 0)
    for step in range(schedule.steps(2)):
        assert schedule.padded(step) <= most or len(schedule.batch(step)) == 1


@given(lengths, st.integers(0, 9))
def test_a_step_is_the_same_whenever_it_is_asked_for(sizes: list[int], step: int) -> None:
    walked = Schedule(sizes, 256, 7)
    for earlier in range(step):
        walked.batch(earlier)
    assert walked.batch(step) == Schedule(sizes, 256, 7).batch(step)


def test_another_seed_and_another_epoch_give_another_order() -> None:
    sizes = [10 + i for i in range(40)]
    first = Schedule(sizes, 64, 0)
    assert first.epoch(0) != first.epoch(1)
    assert first.epoch(0) != Schedule(sizes, 64, 1).epoch(0)


def test_samples_of_a_like_length_share_a_batch() -> None:
    schedule = Schedule([10, 200] * 50, 400, 0)
    tokens = sum(schedule.tokens(step) for step in range(schedule.steps(1)))
    padded = sum(schedule.padded(step) for step in range(schedule.steps(1)))
    assert tokens / padded > 0.9


def test_part_of_an_epoch_is_part_of_its_steps() -> None:
    schedule = Schedule([50] * 40, 100, 0)
    assert schedule.steps(1) == 20
    assert schedule.steps(2.5) == 50
    assert schedule.steps(0.001) == 1
