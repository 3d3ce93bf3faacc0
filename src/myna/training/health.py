"""Whether a run is still worth going on with: pure functions of the losses so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

START = 5
"""Steps whose mean loss is where a run began."""
FAR = 1.5
"""A loss of this many times the start's is far above it."""
LONG = 20
"""Steps in a row far above the start that are no chance any more."""


def diverged(losses: Sequence[float]) -> str | None:
    """Why the run went astray, as half a sentence; None while it did not."""
    if losses and not math.isfinite(losses[-1]):
        return f"the loss is no number at step {len(losses)}"
    if len(losses) < START + LONG:
        return None
    start = sum(losses[:START]) / START
    if all(loss > FAR * start for loss in losses[-LONG:]):
        now = sum(losses[-LONG:]) / LONG
        return f"the loss rose from {start:.2f} to {now:.2f} and stayed there for {LONG} steps"
    return None


def sound(losses: Sequence[float]) -> bool:
    """Whether the last steps are not far above the start: worth a checkpoint."""
    start = sum(losses[:START]) / max(1, len(losses[:START]))
    return not losses or any(loss <= FAR * start for loss in losses[-START:])


def best(checks: Sequence[float]) -> int | None:
    """Which of the tune losses is the lowest: the first such; None without any."""
    return min(range(len(checks)), key=checks.__getitem__) if checks else None


def over(checks: Sequence[float], patience: int) -> bool:
    """Whether the tune loss has not been better for `patience` checks; 0 never minds."""
    lowest = best(checks)
    return bool(patience) and lowest is not None and len(checks) - 1 - lowest >= patience
