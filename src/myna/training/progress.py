"""Progress of a training run: metrics, callbacks, trackers, and early stopping.

A run stops early if its loss diverges, if the validation loss no longer improves, and on
Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from myna.config import Train
from myna.errors import TrainingError
from myna.training.plan import TrainingEstimate

TENSORBOARD_FOLDER = "tensorboard"
"""Folder of TensorBoard logs in an adapter's: `tensorboard --logdir adapters` shows them."""


@dataclass(frozen=True)
class StepMetrics:
    """Metrics after a step; a line of log.jsonl."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    tokens: int
    tokens_per_second: float
    seconds_left: float
    validation_loss: float | None = None
    peak_share: float | None = None
    """Share of the machine's matrix-product rate that the run reaches (its MFU)."""


@dataclass(frozen=True)
class TrainingCallbacks:
    """Functions that a run calls; by default they do nothing."""

    report: Callable[[str], None] = lambda _: None
    """Takes a line of news for the user."""
    on_step: Callable[[StepMetrics], None] = lambda _: None
    on_preview: Callable[[Any, int], Sequence[tuple[str, str, str]]] = lambda _model, _step: ()
    """Takes the model as it is, and the step; returns messages, personas and their answers."""
    on_estimate: Callable[[TrainingEstimate], None] = lambda _: None
    """Called once, after the first steps, whose speed it tells."""


class Trackers:
    """TensorBoard and Weights & Biases: they get numbers, and never a word of a chat.

    Raises:
        TrainingError: Weights & Biases is asked for and not available.
    """

    def __init__(
        self, settings: Train, work: Path, done: int, report: Callable[[str], None]
    ) -> None:
        """Continue after `done` steps: the logs of later ones are overwritten."""
        self._board: Any = None
        self._wandb: Any = None
        if settings.wandb:
            self._wandb = _start_wandb(settings, work)
        if settings.tensorboard:
            try:
                from tensorboardX import SummaryWriter
            except ModuleNotFoundError:
                report(
                    "no TensorBoard logs: tensorboardX is not installed (pip install "
                    "tensorboardX); the metrics are in log.jsonl all the same"
                )
            else:
                self._board = SummaryWriter(str(work / TENSORBOARD_FOLDER), purge_step=done + 1)

    def log(self, now: StepMetrics) -> None:
        """Log the metrics of a step."""
        numbers = {
            key: value
            for key, value in asdict(now).items()
            if key not in ("step", "steps", "seconds_left") and value is not None
        }
        if self._board is not None:
            for key, value in numbers.items():
                self._board.add_scalar(key, value, now.step)
        if self._wandb is not None:
            self._wandb.log(numbers, step=now.step)

    def close(self) -> None:
        """Flush and close the trackers."""
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def _start_wandb(settings: Train, work: Path) -> Any:
    """Start a Weights & Biases run that collects nothing by itself."""
    if not os.environ.get("WANDB_API_KEY") and os.environ.get("WANDB_MODE") != "offline":
        raise TrainingError(
            f'train.wandb = "{settings.wandb}" needs an API key: set WANDB_API_KEY, or leave '
            "train.wandb empty"
        )
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise TrainingError(
            f'train.wandb = "{settings.wandb}" needs wandb, which is not installed: '
            "pip install wandb, or leave train.wandb empty"
        ) from error
    quiet = wandb.Settings(
        console="off", disable_code=True, disable_git=True, save_code=False, silent=True
    )
    try:
        return wandb.init(
            project=settings.wandb,
            dir=str(work),
            config=settings.model_dump(),
            settings=quiet,
            resume="allow",
        )
    except Exception as error:  # of the library and the network, of many kinds
        raise TrainingError(
            f"Weights & Biases cannot be reached: {str(error).splitlines()[0][:160]}; "
            "check the key and the network, or leave train.wandb empty"
        ) from error


@dataclass
class StopRequest:
    """A request to stop the run after the current step."""

    is_set: bool = False


@contextmanager
def catch_stop_signals() -> Iterator[StopRequest]:
    """Turn a first Ctrl-C (or SIGTERM) into a request; a second one interrupts at once.

    Outside the main thread Python allows no signal handlers: nothing is caught there.
    """
    request = StopRequest()
    previous: dict[int, Any] = {}

    def handle(number: int, _frame: FrameType | None) -> None:
        request.is_set = True
        signal.signal(number, previous[number])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, handle)
    except ValueError:
        previous = {}
    try:
        yield request
    except KeyboardInterrupt:
        raise TrainingError("stopped; `myna train` resumes from the last checkpoint") from None
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


START_STEPS = 5
"""First steps, whose mean loss is the start loss."""
DIVERGENCE_FACTOR = 1.5
"""A loss above the start loss times this counts as diverged."""
DIVERGED_STEPS = 20
"""Consecutive diverged steps that stop a run."""


def divergence(losses: Sequence[float]) -> str | None:
    """The reason why the run diverged, as half a sentence; None if it did not."""
    if losses and not math.isfinite(losses[-1]):
        return f"the loss is NaN or infinite at step {len(losses)}"
    if len(losses) < START_STEPS + DIVERGED_STEPS:
        return None
    start = sum(losses[:START_STEPS]) / START_STEPS
    if all(loss > DIVERGENCE_FACTOR * start for loss in losses[-DIVERGED_STEPS:]):
        now = sum(losses[-DIVERGED_STEPS:]) / DIVERGED_STEPS
        rise = f"the loss rose from {start:.2f} to {now:.2f}"
        return f"{rise} and stayed there for {DIVERGED_STEPS} steps"
    return None


def is_near_start(losses: Sequence[float]) -> bool:
    """True unless the last steps all diverged: the state is worth a checkpoint."""
    start = sum(losses[:START_STEPS]) / max(1, len(losses[:START_STEPS]))
    return not losses or any(loss <= DIVERGENCE_FACTOR * start for loss in losses[-START_STEPS:])


@dataclass
class LossHistory:
    """The losses of a run so far, including those before it was resumed."""

    losses: list[float]
    """By step."""
    validations: dict[int, float]
    """Validation loss by the step that it followed."""

    def is_best(self, step: int, validation_loss: float) -> bool:
        """Add a validation loss; True if it is lower than all before."""
        self.validations[step] = validation_loss
        return self.best_step() == step

    def best_step(self) -> int | None:
        """The first step with the lowest validation loss; None without any."""
        return min(self.validations, key=self.validations.__getitem__, default=None)

    def is_out_of_patience(self, patience: int) -> bool:
        """True if the last `patience` validation losses were no better than before; 0: never."""
        best = self.best_step()
        later = 0 if best is None else sum(step > best for step in self.validations)
        return 0 < patience <= later


def final_loss(losses: Sequence[float]) -> float | None:
    """The mean of the last tenth of a training's losses; None without any."""
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last) if last else None
