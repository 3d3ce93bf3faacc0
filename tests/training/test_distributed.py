"""Batches split over processes, and into micro-batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from myna.training.distributed import micro_batches, process_share

lengths = st.lists(st.integers(1, 300), min_size=1, max_size=30)


@given(lengths, st.integers(1, 5))
def test_every_sample_of_a_batch_is_in_one_share(sizes: list[int], processes: int) -> None:
    batch = [*range(len(sizes))]
    shares = [process_share(batch, sizes, processes, i) for i in range(processes)]
    assert sorted(i for mine in shares for i in mine) == batch
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(lengths, st.integers(1, 500))
def test_micro_batches_hold_every_sample_once_and_keep_their_bound(
    sizes: list[int], max_tokens: int
) -> None:
    batch = [*range(len(sizes))]
    batches = micro_batches(batch, sizes, max_tokens)
    assert sorted(i for each in batches for i in each) == batch
    for each in batches:
        assert len(each) == 1 or len(each) * max(sizes[i] for i in each) <= max_tokens


def test_without_a_bound_there_is_one_micro_batch() -> None:
    assert micro_batches([2, 0, 1], [5, 6, 4], 0) == [[2, 0, 1]]
    assert micro_batches([], [], 0) == []
