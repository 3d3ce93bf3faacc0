"""When a run is over, or astray."""

from __future__ import annotations

import math

import pytest

from myna.training.progress import (
    LONG,
    START,
    best_validation,
    divergence,
    is_sound,
    patience_is_over,
)


def test_a_loss_that_is_no_number_is_astray_at_once() -> None:
    assert divergence([2.0, math.nan]) == "the loss is no number at step 2"
    assert divergence([2.0, math.inf]) is not None


def test_far_above_the_start_for_long_is_astray() -> None:
    assert divergence([2.0] * START + [4.0] * LONG) == (
        f"the loss rose from 2.00 to 4.00 and stayed there for {LONG} steps"
    )


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [2.0] * START + [4.0] * (LONG - 1),  # not yet for long
        [2.0] * START + [4.0] * (LONG - 1) + [2.0],  # it came back
        [2.0] * START + [2.9] * LONG,  # not far
    ],
)
def test_what_may_be_chance_is_not(losses: list[float]) -> None:
    assert divergence(losses) is None


def test_only_a_loss_near_its_start_is_worth_a_checkpoint() -> None:
    assert is_sound([])
    assert is_sound([2.0] * START + [9.0] * (START - 1))
    assert not is_sound([2.0] * START + [9.0] * START)


def test_the_best_check_is_the_first_of_the_lowest() -> None:
    assert best_validation([3.0, 2.0, 2.0, 2.5]) == 1
    assert best_validation([]) is None


def test_patience_counts_checks_since_the_best() -> None:
    assert not patience_is_over([3.0, 2.0, 2.1], patience=2)
    assert patience_is_over([3.0, 2.0, 2.1, 2.0], patience=2)
    assert not patience_is_over([3.0, 2.0, 2.1, 2.0], patience=0)
    assert not patience_is_over([], patience=1)
