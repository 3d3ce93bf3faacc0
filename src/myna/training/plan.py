"""The plan of a training run, as far as it can be told: steps, time, memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from myna.artifacts import TrainingPlan
from myna.config import Train
from myna.training.schedule import VALIDATION_SHARE, Schedule

MIN_VALIDATION_TOKENS, MAX_VALIDATION_TOKENS = 1024, 65_536
"""Bounds of the tokens in a validation run."""


@dataclass(frozen=True)
class TrainingEstimate:
    """The plan, time, memory and hardware use of a run, known after its first steps."""

    plan: TrainingPlan
    samples: int
    trained_tokens: int
    """Training targets in one epoch."""
    seconds: float
    """Time of all steps at the measured speed."""
    device: str
    precision: str
    """Number format, and the reason for it."""
    kernels: list[str]
    """Kernels of the forward and backward pass, with reasons."""
    optimizer: str
    """Its name, and the reason for it."""
    parameters: int
    trained_parameters: int
    need: int
    """Bytes of memory: weights, optimiser states and activations."""
    free: int
    """Bytes of memory free before anything was loaded."""
    micro_batch_tokens: int
    micro_batches: int
    """Gradient accumulation: micro-batches of a full step."""
    checkpointing: bool
    processes: int
    peak_share: float
    """Share of the machine's matrix-product rate that the first steps reach (their MFU)."""
    weights: tuple[float, float] | None = None
    """The least and the largest weight of a sample in the loss; None: all the same."""


def estimate_lines(estimate: TrainingEstimate) -> list[str]:
    """An estimate as lines of text."""
    plan = estimate.plan
    minutes, seconds = divmod(round(estimate.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    time = f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"
    count, size = estimate.micro_batches, estimate.micro_batch_tokens
    accumulation = f", each in {count} micro-batches of {size:,} tokens" if count > 1 else ""
    recomputed = ", with gradient checkpointing" if estimate.checkpointing else ""
    weights = []
    if estimate.weights:
        oldest, newest = estimate.weights
        weights = [f"weights    {oldest:.2g} for the oldest samples, {newest:.2g} for the newest"]
    return [
        f"samples    {estimate.samples:,} with {estimate.trained_tokens:,} trained tokens",
        f"steps      {plan.steps:,} ({plan.reason}; {plan.tokens:,} tokens){accumulation}",
        *weights,
        f"trained    {estimate.trained_parameters:,} of {estimate.parameters:,} parameters",
        f"memory     about {estimate.need / 1e9:.1f} GB of the {estimate.free / 1e9:.1f} GB "
        f"free{recomputed}",
        f"time       {time} at {plan.tokens_per_second or 0:,.0f} tokens/s "
        f"({estimate.peak_share:.0%} of this machine's peak), measured",
        f"machine    {estimate.device}"
        + (f", {estimate.processes} processes" if estimate.processes > 1 else ""),
        f"precision  {estimate.precision}",
        *(f"kernels    {kernel}" for kernel in estimate.kernels),
        f"optimiser  {estimate.optimizer}",
    ]


def make_plan(schedule: Schedule, done: int, speed: float | None) -> TrainingPlan:
    """Plan the steps of a run after `done` of them, as far as can be told by now.

    `speed` is in padded tokens per second. A budget only shortens the epochs of the settings:
    more passes over the same few words make a parrot, not a clone.
    """
    sampler, settings, budget = schedule.sampler, schedule.settings, schedule.clock.budget
    steps, epochs = schedule.most_steps, f"{settings.num_train_epochs:g} epochs"
    reason = epochs
    if budget is not None and speed:
        share = 1 - (VALIDATION_SHARE if settings.validations else 0)
        affordable = share * speed * (schedule.clock.left() - schedule.clock.finish)
        steps = done
        while steps < schedule.most_steps and affordable >= sampler.padded_tokens(steps):
            affordable -= sampler.padded_tokens(steps)
            steps += 1
        steps = max(1, steps)
        fits = steps == schedule.most_steps
        reason = f"{epochs}, which fit into {budget:g} s" if fits else _fitting(budget)
    return carried_out(schedule, steps, reason, speed)


def carried_out(
    schedule: Schedule, steps: int, reason: str, speed: float | None, seconds: float | None = None
) -> TrainingPlan:
    """The plan of so many steps."""
    tokens = sum(schedule.tokens(step) for step in range(steps))
    return TrainingPlan(
        steps, tokens, steps / len(schedule.sampler.epoch(0)), reason, speed, seconds
    )


def _fitting(budget: float) -> str:
    return f"as many as fit into {budget:g} s"


FEW_STEPS = 30
"""An adapter of fewer steps sounds much like its base."""
ENOUGH_STEPS = 100
"""Steps after which most of what small budgets learn is learned."""


def shortfall(plan: TrainingPlan, schedule: Schedule) -> str:
    """The line that says that a run had too few steps, and what would be enough; or empty."""
    if plan.steps >= FEW_STEPS:
        return ""
    few = f"only {plan.steps} step{'s' if plan.steps > 1 else ''}, too few to sound like anybody"
    if plan.steps >= schedule.most_steps:
        return f"{few}: import more chats, or lower train.batch_tokens"
    if schedule.clock.budget is None or not plan.seconds:
        return ""
    wanted = min(ENOUGH_STEPS, schedule.most_steps)
    minutes = math.ceil(plan.seconds * wanted / max(1, plan.steps) / 60)
    enough = f"{minutes}m" if minutes < 120 else f"{math.ceil(minutes / 60)}h"
    return f"{few}: `myna train --force --budget {enough}` would be enough at this speed"


def validation_tokens(plan: TrainingPlan, settings: Train) -> int:
    """The tokens of each validation run.

    Forward passes alone take half as long as training steps.
    """
    runs = settings.validations + 1  # one is at the end
    tokens = int(2 * VALIDATION_SHARE * plan.tokens / runs)
    return min(MAX_VALIDATION_TOKENS, max(MIN_VALIDATION_TOKENS, tokens))
