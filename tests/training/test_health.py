"""Early stopping: divergence, and patience with the validation loss."""

from __future__ import annotations

import math

import pytest

from myna.training.progress import (
    DIVERGED_STEPS,
    START_STEPS,
    LossHistory,
    divergence,
    final_loss,
    is_near_start,
)


def history(validations: list[float]) -> LossHistory:
    return LossHistory([], dict(enumerate(validations)))


def test_a_loss_of_nan_has_diverged_at_once() -> None:
    assert divergence([2.0, math.nan]) == "the loss is NaN or infinite at step 2"
    assert divergence([2.0, math.inf]) is not None


def test_far_above_the_start_for_long_has_diverged() -> None:
    assert divergence([2.0] * START_STEPS + [4.0] * DIVERGED_STEPS) == (
        f"the loss rose from 2.00 to 4.00 and stayed there for {DIVERGED_STEPS} steps"
    )


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [2.0] * START_STEPS + [4.0] * (DIVERGED_STEPS - 1),  # not yet for long
        [2.0] * START_STEPS + [4.0] * (DIVERGED_STEPS - 1) + [2.0],  # it came back
        [2.0] * START_STEPS + [2.9] * DIVERGED_STEPS,  # not far
    ],
)
def test_what_may_be_noise_has_not_diverged(losses: list[float]) -> None:
    assert divergence(losses) is None


def test_only_a_loss_near_its_start_is_worth_a_checkpoint() -> None:
    assert is_near_start([])
    assert is_near_start([2.0] * START_STEPS + [9.0] * (START_STEPS - 1))
    assert not is_near_start([2.0] * START_STEPS + [9.0] * START_STEPS)


def test_the_best_validation_is_the_first_of_the_lowest() -> None:
    assert history([3.0, 2.0, 2.0, 2.5]).best_step() == 1
    assert history([]).best_step() is None


def test_patience_counts_validations_since_the_best() -> None:
    assert not history([3.0, 2.0, 2.1]).is_out_of_patience(2)
    assert history([3.0, 2.0, 2.1, 2.0]).is_out_of_patience(2)
    assert not history([3.0, 2.0, 2.1, 2.0]).is_out_of_patience(0)
    assert not history([]).is_out_of_patience(1)


@pytest.mark.parametrize("steps", [1, 10, 3000])
def test_the_final_loss_is_of_the_last_tenth_however_long_the_training(steps: int) -> None:
    last = max(1, steps // 10)
    assert final_loss([9.0] * (steps - last) + [2.0] * last) == 2.0
