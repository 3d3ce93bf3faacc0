"""Trainings on several processes, one after another: run by torchrun, told by its arguments.

FOLDER WORK:HOW:STOP …    HOW is plain or split; after STOP steps it is asked to stop
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from accelerate.state import AcceleratorState
from tests.small_model import make
from tests.training.cases import SETTINGS, samples

from myna.errors import TrainingError
from myna.models.bases import Base
from myna.training import distributed, methods
from myna.training.loop import TrainingJob, run
from myna.training.methods import add_lora
from myna.training.progress import StepMetrics, TrainingCallbacks

CHECKED = SETTINGS.model_copy(update={"validations": 2})


def train(base: Path, work: Path, stop_after: int) -> Any:
    """A model as trained in a folder; after `stop_after` steps process 0 is asked to stop."""

    def stop(now: StepMetrics) -> None:
        if now.step == stop_after and os.environ.get("RANK", "0") == "0":
            os.kill(os.getpid(), signal.SIGINT)

    work.mkdir(exist_ok=True)
    process = distributed.make_accelerator()
    found = Base(str(base), base, None, 128, weights=True, origin="")
    model, _ = methods.load_for_training(
        found, CHECKED, process.device, split=distributed.is_sharded(process)
    )
    model = add_lora(model.float(), CHECKED)
    try:
        run(
            TrainingJob(
                model,
                samples(),
                samples(2),
                CHECKED,
                work,
                process,
                TrainingCallbacks(on_step=stop),
            )
        )
    except TrainingError:
        if not stop_after:
            raise
    return model


def base_in(folder: Path) -> Path:
    """The small model, saved in a folder."""
    make().save_pretrained(folder / "base")
    return folder / "base"


if __name__ == "__main__":
    given = Path(sys.argv[1])
    for told in sys.argv[2:]:
        name, mode, step = told.split(":")
        # As `accelerate launch` tells of a config, the one way that it has.
        os.environ["ACCELERATE_USE_FSDP"] = "true" if mode == "split" else "false"
        AcceleratorState._reset_state(reset_partial_state=True)
        model = train(given / "base", given / name, int(step))
        assert all(hasattr(p, "full_tensor") == (mode == "split") for p in model.parameters())
