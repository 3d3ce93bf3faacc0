"""What a run will do, fixed before its first step, so that resuming it is exact."""

from __future__ import annotations

import math
from dataclasses import dataclass

from myna.config import Train
from myna.training.batches import Schedule

OVERHEAD = 0.08
"""Share of a budget kept for checkpoints, the tune loss and sample replies."""


@dataclass(frozen=True)
class Plan:
    """The steps of a run, and why there are as many."""

    steps: int
    tokens: int
    epochs: float
    reason: str
    tokens_per_second: float | None
    """As measured before the first step; None where no budget asked for it."""


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
        affordable, steps = budget * (1 - OVERHEAD) * speed, 0
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


def learning_rate(step: int, steps: int, settings: Train) -> float:
    """The rate of a step (from 0): up in a line, then down along a cosine to 0."""
    warmup = max(1, round(settings.warmup * steps))
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
