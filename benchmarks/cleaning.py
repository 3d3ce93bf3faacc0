"""Speed of cleaning, on one core.

python benchmarks/cleaning.py [FILE] [--messages 200000] [--mix]

FILE is JSON lines with author and text; by default the demo's transcript of Apollo 11. It is
repeated, with other ids, up to the number of messages. --mix shuffles the words of each
repetition, so that no long text is a copy of another.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import polars as pl

from myna import apollo11, messages
from myna.cleaning import rules
from myna.cleaning.ledger import Ledger
from myna.config import Rules
from myna.config.rules import resolve_preset

START = datetime(2024, 5, 1, tzinfo=UTC)


def table(lines: str, count: int, *, mix: bool) -> pl.DataFrame:
    """Repeat the messages of a chat in a table."""
    chat = [json.loads(line) for line in lines.splitlines()]
    rng = random.Random(0)
    rows = []
    for number in range(count):
        row = chat[number % len(chat)]
        text = row["text"]
        if mix and number >= len(chat):
            words = text.split()
            rng.shuffle(words)
            text = " ".join(words)
        rows.append((str(number), row["author"], text))
    ids, authors, texts = zip(*rows, strict=True)
    frame = messages.table(
        {
            "source": ["test"] * count,
            "channel": ["air-to-ground"] * count,
            "id": ids,
            "author_id": authors,
            "author": authors,
            "sent_at": [START + timedelta(seconds=10 * n) for n in range(count)],
            "text": texts,
        }
    )
    return frame.with_columns(
        person="author", consent=pl.lit("clone"), excluded=pl.lit(False), thread=pl.lit(0)
    )


def clean(frame: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """Apply the rules as prepare does, without its tables on disk."""
    settings = resolve_preset(Rules())
    messages, (features, long) = rules.extract_features(frame, settings)
    known = messages.select("thread", "person", "is_bot", "sent_at")
    decided = rules.deciding_rules(features.hstack(known), long, settings)
    ledger.characters += int(messages["characters"].sum())
    judged = messages.with_columns(rule=decided)
    return rules.apply_actions(judged, ledger, rules.MESSAGE_RULES, settings)


def main() -> None:
    """Measure, and print the ledger."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--mix", action="store_true")
    options = parser.parse_args()
    lines = options.file.read_text("utf-8") if options.file else apollo11.load_transcript()
    frame = table(lines, options.messages, mix=options.mix)
    best = float("inf")
    for _ in range(3):
        ledger = Ledger()
        start = time.process_time()
        kept = clean(frame, ledger)
        best = min(best, time.process_time() - start)
    rate = frame.height / best
    characters = ledger.characters / frame.height
    print(f"{rate:,.0f} messages/s of {characters:.0f} characters ({best:.3f} s of one core)")
    counts = kept.group_by("rule").len().sort("rule", nulls_last=True)
    for name, count in counts.iter_rows():
        print(f"{name or 'kept':16} {count:9,}")


if __name__ == "__main__":
    main()
