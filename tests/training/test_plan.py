"""The plan of a run."""

from __future__ import annotations

import pytest

from myna.config import Train
from myna.training.batches import Schedule
from myna.training.plan import OVERHEAD, learning_rate, make

SCHEDULE = Schedule([100] * 50, 100, 0)  # 50 steps of 100 tokens in an epoch


def test_without_a_budget_the_epochs_decide() -> None:
    plan = make(SCHEDULE, Train(epochs=2), None, None)
    assert (plan.steps, plan.tokens, plan.epochs) == (100, 10_000, 2)


def test_a_budget_buys_the_steps_that_fit_at_the_measured_speed() -> None:
    plan = make(SCHEDULE, Train(epochs=2), speed=100, budget=20)
    assert plan.steps == int(20 * (1 - OVERHEAD))
    assert "20 s" in plan.reason


def test_a_budget_never_adds_epochs() -> None:
    assert make(SCHEDULE, Train(epochs=2), speed=1e6, budget=3600).steps == 100


def test_the_shortest_budget_still_trains_one_step() -> None:
    assert make(SCHEDULE, Train(), speed=1, budget=1).steps == 1


def test_the_rate_climbs_then_falls_to_nearly_nothing() -> None:
    settings = Train(lr=1e-3, warmup=0.1)
    rates = [learning_rate(step, 100, settings) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[-1] < 1e-6
