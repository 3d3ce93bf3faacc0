"""The progress of a run: what the caller and trackers hear of it, and when it ends early.

A run ends early where its loss diverges, where the validation loss gets no better, and on Ctrl-C
or SIGTERM.
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
from myna.training.plan import Outlook

CURVES = "tensorboard"
"""The folder of an adapter's curves: `tensorboard --logdir adapters` shows them."""


@dataclass(frozen=True)
class Progress:
    """Where a run is, after a step."""

    step: int
    steps: int
    loss: float
    lr: float
    tokens: int
    tokens_per_second: float
    seconds_left: float
    validation_loss: float | None = None
    peak_share: float | None = None
    """The share of the machine's own matrix-product rate that the run reaches."""


@dataclass(frozen=True)
class Watch:
    """What the caller wants to hear while a run goes on."""

    say: Callable[[str], None] = lambda _: None
    step: Callable[[Progress], None] = lambda _: None
    preview: Callable[[Any, int], None] = lambda _model, _step: None
    """Gets the model as it is, and the step."""
    outlook: Callable[[Outlook], None] = lambda _: None
    """Gets all that is known before the first step."""


class Curves:
    """The trackers of a run: they get numbers, and never a word of a chat.

    Raises:
        TrainingError: Weights & Biases is asked for and cannot be had.
    """

    def __init__(self, settings: Train, work: Path, done: int, say: Callable[[str], None]) -> None:
        """Go on after `done` steps: what a tracker has of later ones is written anew."""
        self._board: Any = None
        self._wandb: Any = None
        if settings.wandb:
            self._wandb = _wandb(settings, work)
        if settings.tensorboard:
            try:
                from tensorboardX import SummaryWriter
            except ModuleNotFoundError:
                say(
                    "no curves for TensorBoard: tensorboardX is not installed "
                    "(pip install tensorboardX); the numbers are in log.jsonl all the same"
                )
            else:
                self._board = SummaryWriter(str(work / CURVES), purge_step=done + 1)

    def add(self, now: Progress) -> None:
        """Add a step's numbers."""
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
        """Write out what is still held."""
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def _wandb(settings: Train, work: Path) -> Any:
    """A run of Weights & Biases that takes nothing but what it is given."""
    if not os.environ.get("WANDB_API_KEY") and os.environ.get("WANDB_MODE") != "offline":
        raise TrainingError(
            f'train.wandb = "{settings.wandb}" needs your key: set WANDB_API_KEY, or leave '
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
class Wish:
    """Whether somebody wants the run to end."""

    stop: bool = False


@contextmanager
def asked_to_stop() -> Iterator[Wish]:
    """Hear a first Ctrl-C (or SIGTERM) without being cut off; a second one cuts.

    Elsewhere than in the main thread no signals can be heard: they do what they did.
    """
    wish = Wish()
    before: dict[int, Any] = {}

    def heard(number: int, _frame: FrameType | None) -> None:
        wish.stop = True
        signal.signal(number, before[number])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, heard)
    except ValueError:
        before = {}
    try:
        yield wish
    except KeyboardInterrupt:
        raise TrainingError("stopped; `myna train` goes on from the last checkpoint") from None
    finally:
        for heard_one, handler in before.items():
            signal.signal(heard_one, handler)


START = 5
"""Steps whose mean loss is where a run began."""
FAR = 1.5
"""A loss of this many times the start's is far above it."""
LONG = 20
"""Steps in a row far above the start that are no chance any more."""


def divergence(losses: Sequence[float]) -> str | None:
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


def is_sound(losses: Sequence[float]) -> bool:
    """Whether the last steps are not far above the start: worth a checkpoint."""
    start = sum(losses[:START]) / max(1, len(losses[:START]))
    return not losses or any(loss <= FAR * start for loss in losses[-START:])


def best_validation(checks: Sequence[float]) -> int | None:
    """Which of the validation losses is the lowest: the first such; None without any."""
    return min(range(len(checks)), key=checks.__getitem__) if checks else None


def patience_is_over(checks: Sequence[float], patience: int) -> bool:
    """Whether the validation loss has not been better for `patience` checks; 0 never minds."""
    lowest = best_validation(checks)
    return bool(patience) and lowest is not None and len(checks) - 1 - lowest >= patience
