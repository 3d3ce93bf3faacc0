"""The plan of a run."""

from __future__ import annotations

import math
from typing import Any

import pytest

from myna.config import Train
from myna.training.data import BatchSampler
from myna.training.distributed import make_accelerator
from myna.training.plan import (
    MAX_VALIDATION_TOKENS,
    MIN_VALIDATION_TOKENS,
    TrainingEstimate,
    TrainingPlan,
    carried_out,
    estimate_lines,
    make_plan,
    shortfall,
    validation_tokens,
)
from myna.training.schedule import (
    FINISH_SHARE,
    VALIDATION_SHARE,
    Clock,
    Schedule,
    learning_rate,
)

SAMPLER = BatchSampler([100] * 50, 100, 0)  # 50 steps of 100 tokens in an epoch


def schedule(budget: float | None = None, **settings: Any) -> Schedule:
    """A schedule at second 0 of its budget."""
    clock = Clock(budget, started=0.0, now=lambda: 0.0)
    return Schedule(SAMPLER, Train(**settings), clock, make_accelerator(), None)


def test_without_a_budget_the_epochs_decide() -> None:
    plan = make_plan(schedule(num_train_epochs=2), 0, None)
    assert (plan.steps, plan.tokens, plan.epochs) == (100, 10_000, 2)


def test_a_budget_buys_the_steps_that_fit_at_the_measured_speed() -> None:
    left = 20 * (1 - FINISH_SHARE)
    plan = make_plan(schedule(20, num_train_epochs=2, validations=0), 0, speed=100)
    assert plan.steps == int(left)
    plan = make_plan(schedule(20, num_train_epochs=2, validations=3), 0, speed=100)
    assert plan.steps == int(left * (1 - VALIDATION_SHARE))
    assert "20 s" in plan.reason


def test_a_budget_never_adds_epochs() -> None:
    assert make_plan(schedule(3600, num_train_epochs=2), 0, speed=1e6).steps == 100


def test_the_shortest_budget_still_trains_one_step() -> None:
    assert make_plan(schedule(1), 0, speed=1).steps == 1


def test_the_rate_climbs_stays_and_falls_to_nearly_nothing() -> None:
    settings = Train(learning_rate=1e-3, warmup_ratio=0.1, decay_ratio=0.5)
    rates = [learning_rate((step + 0.5) / 100, settings) for step in range(100)]
    assert rates[0] == pytest.approx(5e-5)
    assert rates[10:50] == [1e-3] * 40
    assert rates[75] == pytest.approx(0.5e-3 * (1 + math.cos(0.51 * math.pi)))
    assert 0 < rates[-1] < 1e-6
    flat = Train(learning_rate=1e-3, warmup_ratio=0, decay_ratio=0)
    assert {learning_rate(share, flat) for share in (0.0, 0.5, 1.0)} == {1e-3}


@pytest.mark.parametrize(
    ("steps", "budget", "seconds", "line"),
    [
        (14, 720, 720, "only 14 steps, too few to sound like anybody: `myna train --force "
         "--budget 86m` would be enough at this speed"),
        (1, 720, 720, "only 1 step, too few to sound like anybody: `myna train --force "
         "--budget 20h` would be enough at this speed"),
        (30, 720, 720, ""),
    ],
)  # fmt: skip
def test_too_few_steps_are_told_with_what_would_be_enough(
    steps: int, budget: float, seconds: float, line: str
) -> None:
    of = schedule(budget, num_train_epochs=4)
    assert shortfall(carried_out(of, steps, "", 100.0, seconds), of) == line


def test_a_chat_of_few_words_is_told_from_a_short_budget() -> None:
    of = schedule(720, num_train_epochs=0.2)
    assert "import more chats" in shortfall(carried_out(of, 10, "", 100.0, 60.0), of)


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
