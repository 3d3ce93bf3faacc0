"""Does a budget hold? Trainings beside a second program that comes and goes, some of them killed.

python benchmarks/budget.py [--budget 3m] [--runs 20] [--killed 5] [--base BASE] [--seed 0]

Each run is `myna train --budget …` on the chat of the demo, timed from the start of the process
to its end; a killed one is killed without warning at some point and started again, and only the
time in which it ran counts. The second program computes matrix products on one thread for 5 to
25 seconds, then rests as long. Prints a line for each run, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from myna import apollo11, config, workspace
from myna.artifacts import AdapterInfo
from myna.cli import prepare
from myna.workspace import Workspace

LOAD = """
import time, numpy
x = numpy.random.rand(768, 768).astype("float32")
until = time.monotonic() + {seconds}
while time.monotonic() < until:
    x @ x
"""


def main() -> None:
    """Print each run's error, and the largest ones."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--budget", default="3m")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--killed", type=int, default=5, help="of the runs, those that are killed")
    parser.add_argument("--base", default=config.Settings().base)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    rng = random.Random(wanted.seed)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        workspace.create(Path(folder, "chat"), config.Settings(base=wanted.base))
        space = Workspace(Path(folder, "chat"))
        apollo11.import_transcript(space)
        prepare.prepare_if_stale(space, space.settings())
        stop = threading.Event()
        load = threading.Thread(target=come_and_go, args=(stop, random.Random(wanted.seed)))
        load.start()
        try:
            for number in range(wanted.runs):
                row = timed_run(space, f"run-{number}", wanted, number < wanted.killed, rng)
                print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
                rows.append(row)
        finally:
            stop.set()
            load.join()
    worst = {
        kind: max((abs(r["error"]) for r in rows if r["killed"] == (kind == "killed")), default=0)
        for kind in ("whole", "killed")
    }
    print(json.dumps({"budget": wanted.budget, "runs": rows, "largest_error": worst}))


def come_and_go(stop: threading.Event, rng: random.Random) -> None:
    """Run the second program by turns, until `stop`."""
    while not stop.is_set():
        program = subprocess.Popen([sys.executable, "-c", LOAD.format(seconds=rng.uniform(5, 25))])
        while program.poll() is None:
            if stop.wait(0.2):
                program.kill()
        stop.wait(rng.uniform(5, 25))


def timed_run(
    space: Workspace, name: str, wanted: argparse.Namespace, killed: bool, rng: random.Random
) -> dict[str, Any]:
    """Train an adapter, and compare its time with the budget."""
    budget = config.seconds(wanted.budget)
    command = [
        sys.executable, "-m", "myna", "-C", str(space.root), "train",
        "--adapter", name, "--budget", wanted.budget,
    ]  # fmt: skip
    spent = 0.0
    if killed:
        started = time.monotonic()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.3, 0.7) * budget)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        spent += time.monotonic() - started
    started = time.monotonic()
    subprocess.run(command, stderr=subprocess.DEVNULL, check=True)
    spent += time.monotonic() - started
    training = AdapterInfo.load(space, name).training
    return {
        "seconds": round(spent, 1),
        "error": round(spent / budget - 1, 4),
        "killed": killed,
        "steps": training.plan.steps,
        "tokens": training.plan.tokens,
        "loss": round(training.loss or 0.0, 3),
    }


if __name__ == "__main__":
    main()
