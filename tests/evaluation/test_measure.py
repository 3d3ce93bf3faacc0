"""Estimates and their intervals."""

from __future__ import annotations

import math

import pytest

from myna.evaluation.measure import bootstrap, few_items_note, mean


def test_the_interval_holds_the_estimate_and_shrinks_with_more_conversations() -> None:
    few = bootstrap([0.0, 1.0] * 10, list(range(20)), mean)
    many = bootstrap([0.0, 1.0] * 200, list(range(400)), mean)
    for estimate in (few, many):
        assert estimate.value == 0.5
        assert estimate.low < 0.5 < estimate.high
    assert many.high - many.low < few.high - few.low


def test_items_of_one_conversation_are_drawn_together() -> None:
    """Twenty replies of two conversations are two draws, not twenty."""
    together = bootstrap([0.0] * 10 + [1.0] * 10, [0] * 10 + [1] * 10, mean)
    assert (together.low, together.high) == (0, 1)


def test_the_same_items_give_the_same_interval() -> None:
    items = [float(n % 3) for n in range(30)]
    assert bootstrap(items, range(30), mean) == bootstrap(items, range(30), mean)


def test_one_conversation_has_no_interval_and_nothing_has_no_figure() -> None:
    assert math.isnan(bootstrap([1.0, 0.0], [7, 7], mean).low)
    assert math.isnan(bootstrap([], [], mean).value)


@pytest.mark.parametrize(("items", "notes"), [(29, 1), (30, 0)])
def test_few_items_are_said(items: int, notes: int) -> None:
    assert len(few_items_note("replies", items)) == notes
