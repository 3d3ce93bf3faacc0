"""What a run will do, fixed before its first step, so that resuming it is exact."""

from __future__ import annotations

import math
from dataclasses import dataclass

from myna.artifacts import Plan
from myna.config import Train
from myna.training.data import Schedule

OVERHEAD = 0.08
"""Share of a budget kept for checkpoints and sample replies."""
CHECKED = 0.1
"""Share of a run's time that goes into measuring the validation loss, at most."""
FEWEST, MOST = 1024, 65_536
"""Tokens of the validation split that a loss is measured on, however short or long the run."""


@dataclass(frozen=True)
class Outlook:
    """All that is known of a run before its first step."""

    plan: Plan
    samples: int
    trained_tokens: int
    """Training targets in one pass over the samples."""
    seconds: float
    """What the steps take at the measured speed."""
    device: str
    precision: str
    """The number format computed in, and why."""
    kernels: list[str]
    """What computes the forward and the backward pass, and why."""
    optimizer: str
    """Which it is, and why."""
    parameters: int
    trained_parameters: int
    need: int
    """Bytes of memory: weights, what is trained, and a step's."""
    free: int
    """Bytes that were free before anything was loaded."""
    part_tokens: int
    parts: int
    """Parts that a full step is computed in."""
    checkpointing: bool
    processes: int
    peak_share: float
    """The share of the machine's own matrix-product rate that the first steps reach."""


def lines(outlook: Outlook) -> list[str]:
    """An outlook for people, a line for each matter."""
    plan = outlook.plan
    minutes, seconds = divmod(round(outlook.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    time = f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"
    parts = (
        f", each in {outlook.parts} parts of {outlook.part_tokens:,} tokens"
        if outlook.parts > 1
        else ""
    )
    recomputed = ", layers recomputed on the way back" if outlook.checkpointing else ""
    return [
        f"samples    {outlook.samples:,} with {outlook.trained_tokens:,} trained tokens",
        f"steps      {plan.steps:,} ({plan.reason}; {plan.tokens:,} tokens){parts}",
        f"trained    {outlook.trained_parameters:,} of {outlook.parameters:,} parameters",
        f"memory     about {outlook.need / 1e9:.1f} GB of the {outlook.free / 1e9:.1f} GB "
        f"free{recomputed}",
        f"time       {time} at {plan.tokens_per_second or 0:,.0f} tokens/s "
        f"({outlook.peak_share:.0%} of this machine's peak), measured",
        f"machine    {outlook.device}"
        + (f", {outlook.processes} processes" if outlook.processes > 1 else ""),
        f"precision  {outlook.precision}",
        *(f"kernels    {kernel}" for kernel in outlook.kernels),
        f"optimiser  {outlook.optimizer}",
    ]


def make(schedule: Schedule, settings: Train, speed: float | None, budget: float | None) -> Plan:
    """The plan of a run.

    `budget` is in seconds and `speed` in padded tokens per second. A budget shortens
    the epochs that were asked for and never lengthens them: more passes over the same
    few words make a parrot, not a clone.
    """
    wanted = schedule.steps(settings.epochs)
    steps = wanted
    reason = f"{settings.epochs:g} epochs"
    if budget is not None and speed is not None:
        kept = OVERHEAD + (CHECKED if settings.checks else 0)
        affordable, steps = budget * (1 - kept) * speed, 0
        while steps < wanted and affordable >= schedule.padded(steps):
            affordable -= schedule.padded(steps)
            steps += 1
        steps = max(1, steps)
        reason = (
            f"what fits into {budget:g} s at {speed:.0f} tokens/s"
            if steps < wanted
            else f"{settings.epochs:g} epochs, which fit into {budget:g} s"
        )
    one_epoch = len(schedule.epoch(0))
    tokens = sum(schedule.tokens(step) for step in range(steps))
    return Plan(steps, tokens, steps / one_epoch, reason, speed)


def validation_tokens(plan: Plan, settings: Train) -> int:
    """The tokens of the validation split that each of a run's checks measures.

    Forwards only, they take half as long as trained ones.
    """
    checks = settings.checks + 1  # one is at the end
    return min(MOST, max(FEWEST, int(2 * CHECKED * plan.tokens / checks)))


def learning_rate(step: int, steps: int, settings: Train) -> float:
    """The rate of a step (from 0): up in a line, then down along a cosine to 0."""
    warmup = max(1, round(settings.warmup * steps))
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
