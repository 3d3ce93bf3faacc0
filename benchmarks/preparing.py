"""Speed and memory of `myna prepare`: stored messages cleaned, split, rendered and tokenised.

python benchmarks/preparing.py [--messages 1000000] [--runs 3] [--export FILE…]

Generated messages (benchmarks/exports.py), or those of exports of yours; every rule and
redaction with its default. Median of the runs; the start of worker processes counts.
`peak_mb` is the peak memory of all processes together, shared pages counted once (Linux only).
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
from myna.importing.discover import discover_chats
from myna.importing.import_files import import_files
from myna.models import bases
from myna.preparing.prepare import run
from myna.rendering.tokenizer import Tokenizer
from myna.workspace import create


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--export", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    tokenizer = Tokenizer(bases.find_base(bases.DEFAULT_BASE, weights=False).folder)
    with tempfile.TemporaryDirectory() as folder:
        if not options.export:
            Path(folder, "export").mkdir()
            exports.EXPORTS["discord-small"](Path(folder, "export"), options.messages, 0, 0)
        workspace = create(Path(folder, "w"))
        discovered = discover_chats(options.export or [Path(folder, "export")])
        list(import_files(workspace, discovered.chats, consent="clone"))
        settings = workspace.settings()
        run_seconds = []
        with memory_samples() as samples:
            for _ in range(options.runs):
                start = time.perf_counter()
                result = run(workspace, settings, tokenizer)
                run_seconds.append(time.perf_counter() - start)
        seconds = statistics.median(run_seconds)
        report = {
            "messages": result.ledger.messages,
            "samples": sum(result.info.samples.values()),
            "tokens": result.info.tokens,
            "balanced": result.ledger.balanced,
            "messages_s": round(result.ledger.messages / seconds),
            "tokens_s": round(result.info.tokens / seconds),
            "peak_mb": round(max(samples) / 1e6),
        }
    print(json.dumps(report))


@contextmanager
def memory_samples() -> Iterator[list[int]]:
    """Bytes of memory of this process and its children, sampled five times a second."""
    samples = [0]
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.2):
            samples.append(sum(map(memory, family(os.getpid()))))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def family(process: int) -> list[int]:
    """A process and its descendants."""
    processes = [process]
    for tasks in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in tasks.read_text().split():
                processes += family(int(child))
    return processes


def memory(process: int) -> int:
    """Bytes of a process, with its share of shared pages."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line[:4] == "Pss:")


if __name__ == "__main__":
    main()
