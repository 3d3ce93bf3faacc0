"""One process of a training on several: run by torchrun, with a folder and where to stop."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.small_model import make
from tests.training.cases import SETTINGS, samples

from myna.errors import TrainingError
from myna.training.loop import train, with_lora
from myna.training.watching import Progress, Watch

CHECKED = SETTINGS.model_copy(update={"checks": 2})


def run(work: Path, stop_after: int) -> None:
    """Train in a folder; after `stop_after` steps the first process is asked to stop."""

    def stop(now: Progress) -> None:
        if now.step == stop_after and os.environ.get("RANK", "0") == "0":
            os.kill(os.getpid(), signal.SIGINT)

    model = with_lora(make(), CHECKED)
    try:
        train(model, samples(), samples(2), CHECKED, work, Watch(step=stop))
    except TrainingError:
        if not stop_after:
            raise


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]))
