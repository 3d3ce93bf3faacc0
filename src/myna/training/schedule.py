"""The schedule of a training run: its clock, its learning rate, and when it ends.

The rate is a function of the progress of the run, from 0 to 1: of the steps, or with a budget
of the clock, whichever is further. So no number of steps is needed in advance, and a machine
that becomes slower or faster changes the number of steps but not the budget.

    schedule.jsonl    a line for each step: its progress, its samples, and the clock

The file is never cut. A resumed run takes from it the steps that it repeats, so that it is the
same as one that was not stopped, and goes on with the clock of the run so far.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from myna.config import Train
from myna.training import distributed
from myna.training.data import BatchSampler

FINISH_SHARE = 0.05
"""Share of a budget kept for what follows the last step: learning who speaks next, saving."""
MAX_FINISH_SECONDS = 45.0
SAVING_SHARE, MIN_SAVING_SECONDS = 0.4, 1.5
"""Share of that time for saving and the end of the program; and the least of it."""
PREVIEW_SHARE = 0.04
"""Largest share of a budget that sample replies may take, the first ones apart."""
VALIDATION_SHARE = 0.1
"""Largest share of a run's time for validation runs."""
LONG_SHARE = 0.05
"""A step that takes a larger share of the budget is long."""
RECENT_STEPS = 3
"""The slowest of so many steps says how long the next one takes."""
FORWARD_SHARE = 0.4
"""Time of a forward pass over that of a training step on the same tokens, at most."""
FIRST_PROGRESS = 0.01
"""Progress that a first step is taken to make, before any has been timed."""


@dataclass
class Clock:
    """The time of a run since it was asked for, with what an earlier process of it took."""

    budget: float | None = None
    """Seconds; None: as long as it takes."""
    started: float = field(default_factory=time.monotonic)
    """By `now`."""
    now: Callable[[], float] = time.monotonic
    carried: float = 0.0
    """Seconds of earlier processes."""

    def elapsed(self) -> float:
        """Seconds since the run was asked for."""
        return self.now() - self.started + self.carried

    def split(self, runs: int) -> Clock:
        """A clock for the first of so many runs that share what is left."""
        budget = None if self.budget is None else self.left() / runs
        return Clock(budget, self.now(), self.now)

    @property
    def finish(self) -> float:
        """Seconds kept for what follows the last step."""
        return min(MAX_FINISH_SECONDS, FINISH_SHARE * (self.budget or 0.0))

    def left(self) -> float:
        """Seconds of the budget that are left."""
        return math.inf if self.budget is None else self.budget - self.elapsed()

    def is_over(self) -> bool:
        """True if the budget leaves time for saving alone."""
        return self.left() < max(MIN_SAVING_SECONDS, SAVING_SHARE * self.finish)


def learning_rate(progress: float, settings: Train) -> float:
    """The learning rate at a progress from 0 to 1: a rise, a plateau, and a cosine down to 0."""
    rise = min(1.0, progress / settings.warmup_ratio) if settings.warmup_ratio else 1.0
    into_decay = progress - (1 - settings.decay_ratio)
    share = min(1.0, max(0.0, into_decay / settings.decay_ratio)) if settings.decay_ratio else 0.0
    return settings.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class ScheduledStep:
    """A step that is to be computed; a line of schedule.jsonl.

    Attributes:
        step: its number, from 0.
        progress: of the run at the middle of the step.
        samples: the first of the step's batch that are taken; fewer only at a budget's end.
        elapsed: seconds of the run before it.
    """

    step: int
    progress: float
    samples: int
    elapsed: float


class Schedule:
    """The steps of a run, one after the other."""

    def __init__(
        self,
        sampler: BatchSampler,
        settings: Train,
        clock: Clock,
        accelerator: Accelerator,
        path: Path | None,
    ) -> None:
        """Go on with the schedule in the file at `path`; None: write none."""
        self.sampler, self.clock, self.settings = sampler, clock, settings
        self.most_steps = sampler.steps(settings.num_train_epochs)
        """Steps of the epochs in the settings, which a budget only shortens."""
        self._accelerator, self._path = accelerator, path
        self._scheduled = _read(path)
        [carried] = distributed.all_reduce_max(
            [_micros(max((s.elapsed for s in self._scheduled.values()), default=0.0))], accelerator
        )
        clock.carried = max(clock.carried, carried / 1e6)
        self._step_seconds: list[tuple[float, int]] = []
        """Seconds and padded tokens of recent steps of this process."""
        self._validated_seconds = 0.0
        """Of all validation runs of this process."""
        self._validation_cost: float | None = None
        """Seconds of a validation run over those of a padded token in a step."""
        self._preview_seconds = [0.0, 0.0]
        """Of all sample replies, and of the last ones."""

    def next(self, step: int, validation_tokens: int = 0) -> ScheduledStep | None:
        """The step with this number, from 0; None if the run ends before it.

        `validation_tokens` are those of the validation run at the end.
        """
        known = self._scheduled.get(step)
        if known is None:
            known = self._decide(step, validation_tokens)
            if known is None:
                return None
            self._scheduled[step] = known
            if self._path is not None and self._accelerator.is_main_process:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(known)) + "\n")
        return known

    def batch(self, scheduled: ScheduledStep) -> list[int]:
        """The samples of a step."""
        return self.sampler.batch(scheduled.step)[: scheduled.samples]

    def tokens(self, step: int) -> int:
        """Number of tokens of a step, without padding."""
        known, batch = self._scheduled.get(step), self.sampler.batch(step)
        return sum(self.sampler.lengths[i] for i in batch[: known.samples if known else None])

    def rate(self, scheduled: ScheduledStep) -> float:
        """The learning rate of a step."""
        return learning_rate(scheduled.progress, self.settings)

    def _decide(self, step: int, validation_tokens: int) -> ScheduledStep | None:
        """The step as the clock allows it now."""
        if step >= self.most_steps:
            return None
        batch, by_steps = self.sampler.batch(step), (step + 0.5) / self.most_steps
        if self.clock.budget is None:
            return ScheduledStep(step, by_steps, len(batch), self._elapsed())
        elapsed, left, rate = self._elapsed(), self._left(validation_tokens), self._token_seconds()
        # A long step near the end is taken in parts: the machine may become slower in it.
        is_long = self._padded(batch) * rate > LONG_SHARE * self.clock.budget
        most = max(left / 2, self._padded(batch[:1]) * rate) if is_long else left
        samples = len(batch)
        while samples and self._padded(batch[:samples]) * rate > min(left, most):
            samples -= 1
        if not samples and step:
            return None
        samples = max(1, samples)
        before = self._scheduled.get(step - 1)
        start = self._scheduled[0].elapsed if 0 in self._scheduled else elapsed
        seconds = self._padded(batch[:samples]) * rate
        whole = max(1e-9, elapsed + left - start)
        by_clock = (elapsed - start + seconds / 2) / whole if rate else FIRST_PROGRESS
        progress = max(by_steps, min(1.0, by_clock), before.progress if before else 0.0)
        return ScheduledStep(step, progress, samples, elapsed)

    def _padded(self, batch: list[int]) -> int:
        return len(batch) * max(self.sampler.lengths[i] for i in batch)

    def _elapsed(self) -> float:
        """Seconds of the run; on all processes the same."""
        [micros] = distributed.all_reduce_max([_micros(self.clock.elapsed())], self._accelerator)
        return micros / 1e6

    def _token_seconds(self, *, mean: bool = False) -> float:
        """Seconds of a padded token in the slowest of the recent steps, or in all; 0 before any."""
        recent = [s / n for s, n in self._step_seconds[-RECENT_STEPS:]] or [0.0]
        seconds = sum(recent) / len(recent) if mean else max(recent)
        [nanos] = distributed.all_reduce_max([round(seconds * 1e9)], self._accelerator)
        return nanos / 1e9

    def _left(self, validation_tokens: int) -> float:
        """Seconds left for steps; on all processes the same."""
        expected = self._validation_seconds(validation_tokens)
        validation = expected if self.affords_validation(validation_tokens, 1) else 0.0
        left = self.clock.left() - self.clock.finish - validation
        [micros] = distributed.all_reduce_max([_micros(left)], self._accelerator)
        return micros / 1e6

    def timed(self, seconds: float, scheduled: ScheduledStep) -> None:
        """Take note of the duration of a step."""
        self._step_seconds.append((seconds, self._padded(self.batch(scheduled))))

    @property
    def timed_steps(self) -> int:
        """The number of steps that this process has computed."""
        return len(self._step_seconds)

    def speed(self) -> float:
        """Padded tokens per second of the steps of this process, if possible without the first."""
        timed = self._step_seconds[1:] or self._step_seconds
        seconds, tokens = sum(s for s, _ in timed), sum(n for _, n in timed)
        speed = tokens / max(seconds, 1e-9)
        [micros] = distributed.all_reduce_max([_micros(speed)], self._accelerator)
        return micros / 1e6

    def timed_validation(self, seconds: float) -> None:
        """Take note of the duration of a validation run."""
        self._validated_seconds += seconds
        rate = self._token_seconds(mean=True)
        self._validation_cost = seconds / rate if rate else None

    def timed_preview(self, seconds: float) -> None:
        """Take note of the duration of sample replies."""
        self._preview_seconds = [self._preview_seconds[0] + seconds, seconds]

    def affords_preview(self) -> bool:
        """True unless the budget is too short for more sample replies."""
        budget = self.clock.budget
        return budget is None or sum(self._preview_seconds) < PREVIEW_SHARE * budget

    def affords_validation(self, tokens: int, runs: int) -> bool:
        """True unless the budget is too short for so many more validation runs."""
        if self.clock.budget is None:
            return True
        expected = self._validated_seconds + runs * self._validation_seconds(tokens)
        is_over = expected > VALIDATION_SHARE * self.clock.budget
        [is_over_anywhere] = distributed.all_reduce_max([is_over], self._accelerator)
        return not is_over_anywhere

    def _validation_seconds(self, tokens: int) -> float:
        """The time that a validation run over so many tokens takes at the speed of now."""
        cost = FORWARD_SHARE * tokens if self._validation_cost is None else self._validation_cost
        return cost * self._token_seconds(mean=True)

    def is_passed(self, scheduled: ScheduledStep, times: int) -> bool:
        """True if one of `times` points, evenly spaced over the run, is passed in this step."""
        before = self._scheduled.get(scheduled.step - 1)
        passed = int(scheduled.progress * (times + 1))
        return passed > (int(before.progress * (times + 1)) if before else 0)

    def left(self, done: int) -> tuple[int, float]:
        """The steps that are left after `done` and their seconds, both as of now."""
        seconds = [s for s, _ in self._step_seconds[-10:]]
        mean = sum(seconds) / len(seconds) if seconds else 0.0
        left = self.most_steps - done
        if self.clock.budget is None:
            return left, left * mean
        affordable = max(0.0, self._left(0))
        count = min(left, int(affordable / mean)) if mean else left
        return count, min(affordable, left * mean) if mean else affordable


def _micros(seconds: float) -> int:
    return round(1e6 * seconds)


def _read(path: Path | None) -> dict[int, ScheduledStep]:
    """The steps of a schedule.jsonl, by number; what a kill left unfinished is left out."""
    found: dict[int, ScheduledStep] = {}
    lines = path.read_text("utf-8").splitlines() if path is not None and path.exists() else []
    for line in lines:
        try:
            plain: dict[str, Any] = json.loads(line)
            scheduled = ScheduledStep(**plain)
        except (ValueError, TypeError):
            break
        if not math.isfinite(scheduled.progress):
            break
        found[scheduled.step] = scheduled
    return found
