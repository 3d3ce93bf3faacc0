"""The plan of a training run, fixed before its first step, so that resuming is exact."""

from __future__ import annotations

import math
from dataclasses import dataclass

from myna.artifacts import TrainingPlan
from myna.config import Train
from myna.training.data import BatchSampler

OVERHEAD_SHARE = 0.08
"""Share of a budget kept for checkpoints and previews."""
VALIDATION_SHARE = 0.1
"""Largest share of a run's time for validation runs."""
MIN_VALIDATION_TOKENS, MAX_VALIDATION_TOKENS = 1024, 65_536
"""Bounds of the tokens in a validation run."""


@dataclass(frozen=True)
class TrainingEstimate:
    """The plan, time, memory and hardware use of a run, known before its first step."""

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


def estimate_lines(estimate: TrainingEstimate) -> list[str]:
    """An estimate as lines of text."""
    plan = estimate.plan
    minutes, seconds = divmod(round(estimate.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    time = f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"
    count, size = estimate.micro_batches, estimate.micro_batch_tokens
    accumulation = f", each in {count} micro-batches of {size:,} tokens" if count > 1 else ""
    recomputed = ", with gradient checkpointing" if estimate.checkpointing else ""
    return [
        f"samples    {estimate.samples:,} with {estimate.trained_tokens:,} trained tokens",
        f"steps      {plan.steps:,} ({plan.reason}; {plan.tokens:,} tokens){accumulation}",
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


def make_plan(
    sampler: BatchSampler, settings: Train, speed: float | None, budget: float | None
) -> TrainingPlan:
    """Plan the steps of a run.

    `budget` is in seconds and `speed` in padded tokens per second. A budget only shortens
    the epochs of the settings: more passes over the same few words make a parrot, not a clone.
    """
    wanted = sampler.steps(settings.num_train_epochs)
    steps = wanted
    reason = f"{settings.num_train_epochs:g} epochs"
    if budget is not None and speed is not None:
        reserved = OVERHEAD_SHARE + (VALIDATION_SHARE if settings.validations else 0)
        affordable, steps = budget * (1 - reserved) * speed, 0
        while steps < wanted and affordable >= sampler.padded_tokens(steps):
            affordable -= sampler.padded_tokens(steps)
            steps += 1
        steps = max(1, steps)
        reason = (
            f"as many as fit into {budget:g} s at {speed:.0f} tokens/s"
            if steps < wanted
            else f"{settings.num_train_epochs:g} epochs, which fit into {budget:g} s"
        )
    one_epoch = len(sampler.epoch(0))
    tokens = sum(sampler.tokens(step) for step in range(steps))
    return TrainingPlan(steps, tokens, steps / one_epoch, reason, speed)


def validation_tokens(plan: TrainingPlan, settings: Train) -> int:
    """The tokens of each validation run.

    Forward passes alone take half as long as training steps.
    """
    runs = settings.validations + 1  # one is at the end
    tokens = int(2 * VALIDATION_SHARE * plan.tokens / runs)
    return min(MAX_VALIDATION_TOKENS, max(MIN_VALIDATION_TOKENS, tokens))


def learning_rate(step: int, steps: int, settings: Train) -> float:
    """The learning rate of a step (from 0): linear warmup, then cosine decay to 0."""
    warmup = max(1, round(settings.warmup_ratio * steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    return (
        settings.learning_rate
        * 0.5
        * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
    )
