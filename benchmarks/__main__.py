"""Print the speed of all that is not a model as one table, or run the benchmarks named.

python -m benchmarks [NAME…]

All of them: `python -m benchmarks all`. What takes hours (the fuzzer, fidelity) or makes a
file of the package (train_links) is run by itself.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
APART = ("exports", "fidelity", "fuzz", "train")


def main(wanted: list[str]) -> int:
    """Run them one after the other; the exit status says how many failed."""
    files = sorted(FOLDER.glob("[a-z]*.py"))
    there = {path.stem: path for path in files if not path.stem.startswith(APART)}
    names = list(there) if wanted == ["all"] else wanted or ["speed"]
    unknown = [name for name in names if name not in there]
    if unknown:
        print(f"no benchmark is called {unknown[0]}: there are {', '.join(there)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names:
        print(f"== {name}", flush=True)
        failed += subprocess.run([sys.executable, str(there[name])], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
