"""The progress of `myna train`: a bar, or lines without a terminal; from one process only."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from myna.cli._progress import SECONDS_BETWEEN_LINES, ProgressLines, duration
from myna.cli._terminal import note

if TYPE_CHECKING:
    import rich.progress

    from myna.training.plan import TrainingEstimate
    from myna.training.progress import StepMetrics


class TrainingBar:
    """Shows training progress in a bar, or in lines without a terminal."""

    def __init__(self, progress: rich.progress.Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("getting ready", total=None, figures="")
        self._lines = ProgressLines() if progress.disable and is_main_process() else None
        if self._lines:
            self._lines.update("getting ready to train")
        self._told = 0.0
        self._losses: list[float] = []
        self._validation = ""
        self.estimates: list[TrainingEstimate] = []
        """One for each adapter."""

    @staticmethod
    def columns() -> list[Any]:
        """The columns of the bar: the figures, or the time so far before the first step."""
        from rich.progress import ProgressColumn, Task
        from rich.table import Column
        from rich.text import Text

        class Figures(ProgressColumn):
            """See `step`."""

            def render(self, task: Task) -> Text:
                """See rich."""
                return Text(task.fields["figures"] or duration(task.elapsed or 0))

        return [Figures(Column(no_wrap=True))]

    def close(self) -> None:
        """Tell nothing any more."""
        if self._lines:
            self._lines.close()

    def estimate(self, estimate: TrainingEstimate) -> None:
        """Print the plan and the estimates made in the first steps."""
        from myna.training.plan import estimate_lines

        self.estimates.append(estimate)
        for line in estimate_lines(estimate):
            print_once(f"  {line}")

    def step(self, now: StepMetrics) -> None:
        """Print the progress after a step."""
        self.close()
        self._losses.append(now.loss)
        if now.validation_loss is not None:
            self._validation = f"  validation {now.validation_loss:.3f}"
            print_once(f"step {now.step}: validation loss {now.validation_loss:.3f}")
        step, figures = progress_words(now, self._losses, self._validation)
        self._progress.update(
            self._task,
            description=step,
            total=now.steps,
            completed=now.step,
            figures=figures,
        )
        is_due = time.monotonic() - self._told >= SECONDS_BETWEEN_LINES
        if self._progress.disable and (is_due or now.step == now.steps):
            self._told = time.monotonic()
            print_once(f"{step}  {figures}")


def progress_words(
    now: StepMetrics, losses: Sequence[float], validation: str = ""
) -> tuple[str, str]:
    """The state of a training: the step, and the figures behind it; together under 80 columns.

    Args:
        now: after the last step.
        losses: of the steps so far; the mean of the last ten is shown.
        validation: the part on the validation loss, or "".
    """
    recent = losses[-10:]
    return f"step {now.step:,} of {now.steps:,}", (
        f"loss {sum(recent) / len(recent):.3f}{validation}  {now.tokens_per_second:,.0f} tokens/s  "
        f"{duration(now.seconds_left)} left"
    )


def is_main_process() -> bool:
    """True in the only process of a run, or its first: the one that prints."""
    return os.environ.get("RANK", "0") == "0"


def print_once(line: str) -> None:
    if is_main_process():
        note(line)
