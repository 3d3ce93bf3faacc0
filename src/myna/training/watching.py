"""What is told of a run while it goes on: to the caller, and as curves to trackers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
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
    tune_loss: float | None = None
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
