"""Several processes are as one: the same losses, and checkpoints that any number goes on from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.training import worker
from tests.training.cases import losses

from myna.config import Train
from myna.training.distributed import accelerate_config

ROOT = Path(__file__).parents[2]


def alone(folder: Path, name: str, stop_after: int = 0) -> list[float]:
    """The losses of a training by this process, up to where it stopped."""
    worker.train(folder / "base", folder / name, stop_after)
    return losses(folder / name)


def together(folder: Path, *trainings: str) -> None:
    """Trainings by two processes, started once for all of them: that takes longest."""
    config = yaml.safe_load(accelerate_config("fsdp", Train()))["fsdp_config"]
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            "-m", "tests.training.worker", str(folder), *trainings,
        ],
        cwd=ROOT,
        env={
            **os.environ,
            **{name.upper(): str(value) for name, value in config.items()},
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of all trainings."""
    folder = tmp_path_factory.mktemp("processes")
    worker.base_in(folder)
    steps = len(alone(folder, "unbroken"))
    alone(folder, "from-one", stop_after=4)
    together(
        folder, "from-one:plain:0", f"to-one:plain:{steps - 4}", "split:split:4",
        f"split:split:{steps - 4}",
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def unbroken(folder: Path) -> list[float]:
    return losses(folder / "unbroken")


def test_two_processes_go_on_from_the_checkpoint_of_one(
    folder: Path, unbroken: list[float]
) -> None:
    found = losses(folder / "from-one")
    assert found == pytest.approx(unbroken, abs=1e-2)
    assert found == pytest.approx(unbroken, rel=1e-4)  # only the order of sums differs


@pytest.mark.parametrize("name", ["to-one", "split"])
def test_one_process_goes_on_from_the_checkpoint_of_two(
    folder: Path, unbroken: list[float], name: str
) -> None:
    assert losses(folder / name) == pytest.approx(unbroken[:-4], abs=1e-2)
    assert alone(folder, name) == pytest.approx(unbroken, abs=1e-2)
