"""What a training's log says once it is over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from myna.training.run import final_loss


@pytest.mark.parametrize("steps", [1, 10, 3000])
def test_the_final_loss_is_of_the_last_tenth_however_long_the_training(
    tmp_path: Path, steps: int
) -> None:
    lines = [
        {"step": n, "loss": 2.0 if n > steps - max(1, steps // 10) else 9.0, "tune_loss": None}
        for n in range(1, steps + 1)
    ]
    lines[-1]["tune_loss"] = 2.5  # the first number in this column
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert final_loss(log) == 2.0
