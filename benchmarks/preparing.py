"""How fast stored messages become stored samples: cleaned, split, rendered and tokenised.

python benchmarks/preparing.py [--messages 1000000] [--runs 3] [--export FILE…]

Generated messages (benchmarks/exports.py), or those of exports of yours; every rule and
redaction as they are by default. Median of the runs; the start of other processes counts.
`peak_mb` is the memory of all processes together at its highest, pages that they share
counted once (Linux only).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import exports
from myna import workspace
from myna.importing.discover import discover_chats
from myna.importing.import_files import import_files
from myna.models import bases
from myna.preparing.prepare import run
from myna.rendering.tokenizer import Tokenizer


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--export", type=Path, nargs="*", default=[])
    wanted = parser.parse_args()
    tokenizer = Tokenizer(bases.find(bases.DEFAULT, weights=False).folder)
    with tempfile.TemporaryDirectory() as folder:
        if not wanted.export:
            Path(folder, "export").mkdir()
            exports.EXPORTS["discord-small"](Path(folder, "export"), wanted.messages, 0, 0)
        space = workspace.create(Path(folder, "w"))
        found = discover_chats(wanted.export or [Path(folder, "export")])
        list(import_files(space, found.chats, consent="clone"))
        settings = space.settings()
        taken = []
        with peak() as memory:
            for _ in range(wanted.runs):
                begun = time.perf_counter()
                done = run(space, settings, tokenizer)
                taken.append(time.perf_counter() - begun)
        seconds = statistics.median(taken)
        result = {
            "messages": done.ledger.messages,
            "samples": sum(done.info.samples.values()),
            "tokens": done.info.tokens,
            "balanced": done.ledger.balanced,
            "messages_s": round(done.ledger.messages / seconds),
            "tokens_s": round(done.info.tokens / seconds),
            "peak_mb": round(max(memory) / 1e6),
        }
    print(json.dumps(result))


@contextmanager
def peak() -> Iterator[list[int]]:
    """Bytes of memory of this process and its children, looked at five times a second."""
    seen = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            seen.append(sum(map(memory, family(os.getpid()))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def family(process: int) -> list[int]:
    """A process and all that it has begun."""
    found = [process]
    for tasks in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in tasks.read_text().split():
                found += family(int(child))
    return found


def memory(process: int) -> int:
    """Bytes of a process, its part of what it shares with others."""
    try:
        told = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in told.splitlines() if line[:4] == "Pss:")


if __name__ == "__main__":
    main()
