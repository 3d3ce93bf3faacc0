"""Several processes are as one: the same losses, and checkpoints that any number goes on from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.training import worker
from tests.training.cases import losses

ROOT = Path(__file__).parents[2]


def alone(work: Path, stop_after: int = 0) -> list[float]:
    """The losses of a training in `work` by this process, up to where it stopped."""
    work.mkdir(exist_ok=True)
    worker.run(work, stop_after)
    return losses(work)


def together(work: Path, stop_after: int = 0) -> list[float]:
    """The losses of a training in `work` by two processes, up to where it stopped."""
    work.mkdir(exist_ok=True)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "tests.training.worker", str(work), str(stop_after)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return losses(work)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    return alone(tmp_path_factory.mktemp("alone"))


def test_two_processes_go_on_from_the_checkpoint_of_one(
    unbroken: list[float], tmp_path: Path
) -> None:
    assert alone(tmp_path, stop_after=4) == pytest.approx(unbroken[:4])
    found = together(tmp_path)
    assert found == pytest.approx(unbroken, abs=1e-2)
    assert found == pytest.approx(unbroken, rel=1e-4)  # only the order of sums differs


def test_one_process_goes_on_from_the_checkpoint_of_two(
    unbroken: list[float], tmp_path: Path
) -> None:
    first = together(tmp_path, stop_after=len(unbroken) - 4)
    assert first == pytest.approx(unbroken[:-4], abs=1e-2)
    assert alone(tmp_path) == pytest.approx(unbroken, abs=1e-2)
