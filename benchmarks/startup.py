"""The time that `myna --help` and `myna status` take, as whole processes.

python benchmarks/startup.py [WORKSPACE]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 9


def seconds(command: list[str]) -> list[float]:
    """The wall time of each run, without the first one."""
    times = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return times[1:]


def main() -> None:
    """Print the least, the median and the most of each command's runs."""
    myna = str(Path(sys.executable).with_name("myna"))
    with tempfile.TemporaryDirectory() as folder:
        workspace = sys.argv[1] if len(sys.argv) > 1 else f"{folder}/empty"
        if len(sys.argv) == 1:
            subprocess.run([myna, "new", workspace], check=True, stderr=subprocess.DEVNULL)
        for command in (["--help"], ["-C", workspace, "status"]):
            times = seconds([myna, *command])
            least, median, most = min(times), statistics.median(times), max(times)
            print(f"myna {command[-1]}: median {median:.3f} s ({least:.3f} to {most:.3f})")


if __name__ == "__main__":
    main()
