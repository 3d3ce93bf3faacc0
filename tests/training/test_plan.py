"""The plan of a run."""

from __future__ import annotations

import pytest

from myna.config import Train
from myna.training.data import BatchSampler
from myna.training.plan import (
    MAX_VALIDATION_TOKENS,
    MIN_VALIDATION_TOKENS,
    OVERHEAD_SHARE,
    VALIDATION_SHARE,
    TrainingEstimate,
    TrainingPlan,
    estimate_lines,
    learning_rate,
    make_plan,
    validation_tokens,
)

SCHEDULE = BatchSampler([100] * 50, 100, 0)  # 50 steps of 100 tokens in an epoch


def test_without_a_budget_the_epochs_decide() -> None:
    plan = make_plan(SCHEDULE, Train(num_train_epochs=2), None, None)
    assert (plan.steps, plan.tokens, plan.epochs) == (100, 10_000, 2)


def test_a_budget_buys_the_steps_that_fit_at_the_measured_speed() -> None:
    plan = make_plan(SCHEDULE, Train(num_train_epochs=2, validations=0), speed=100, budget=20)
    assert plan.steps == int(20 * (1 - OVERHEAD_SHARE))
    plan = make_plan(SCHEDULE, Train(num_train_epochs=2, validations=3), speed=100, budget=20)
    assert plan.steps == int(20 * (1 - OVERHEAD_SHARE - VALIDATION_SHARE))
    assert "20 s" in plan.reason


def test_a_budget_never_adds_epochs() -> None:
    assert make_plan(SCHEDULE, Train(num_train_epochs=2), speed=1e6, budget=3600).steps == 100


def test_the_shortest_budget_still_trains_one_step() -> None:
    assert make_plan(SCHEDULE, Train(), speed=1, budget=1).steps == 1


def test_the_rate_climbs_then_falls_to_nearly_nothing() -> None:
    settings = Train(learning_rate=1e-3, warmup_ratio=0.1)
    rates = [learning_rate(step, 100, settings) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[-1] < 1e-6


def plan(tokens: int) -> TrainingPlan:
    return TrainingPlan(10, tokens, 1.0, "1 epochs", 200.0)


def test_checks_of_the_tune_loss_take_a_tenth_of_the_run() -> None:
    settings = Train(validations=4)
    assert 5 * validation_tokens(plan(1_000_000), settings) / 2 == VALIDATION_SHARE * 1_000_000
    assert validation_tokens(plan(100), settings) == MIN_VALIDATION_TOKENS
    assert validation_tokens(plan(10**9), settings) == MAX_VALIDATION_TOKENS


def test_the_estimate_says_all_there_is_to_know_before_the_first_step() -> None:
    estimate = TrainingEstimate(
        plan=plan(81_920), samples=1200, trained_tokens=40_000, seconds=3725.0,
        device="NVIDIA RTX 3090 (CUDA)", precision="bfloat16: it computes in it",
        kernels=["attention: fast"], parameters=7_000_000_000, trained_parameters=84_000_000,
        need=11_000_000_000, free=23_000_000_000, micro_batch_tokens=2048, micro_batches=4,
        checkpointing=True, processes=2, peak_share=0.41, optimizer="AdamW: 16 bits",
    )  # fmt: skip
    assert estimate_lines(estimate) == [
        "samples    1,200 with 40,000 trained tokens",
        "steps      10 (1 epochs; 81,920 tokens), each in 4 micro-batches of 2,048 tokens",
        "trained    84,000,000 of 7,000,000,000 parameters",
        "memory     about 11.0 GB of the 23.0 GB free, with gradient checkpointing",
        "time       1 h 02 min at 200 tokens/s (41% of this machine's peak), measured",
        "machine    NVIDIA RTX 3090 (CUDA), 2 processes",
        "precision  bfloat16: it computes in it",
        "kernels    attention: fast",
        "optimiser  AdamW: 16 bits",
    ]
