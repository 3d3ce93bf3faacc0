"""How fast messages are cleaned, on one core.

python benchmarks/cleaning.py [FILE] [--messages 200000] [--mix]

FILE is JSON lines with author and text; the demo's transcript of Apollo 11 without. It is
repeated, with other ids, up to the number of messages. With --mix the words of each
repetition are changed about, so that no long text is the copy of another.
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
from myna.config.rules import resolved

START = datetime(2024, 5, 1, tzinfo=UTC)


def table(lines: str, count: int, *, mix: bool) -> pl.DataFrame:
    """The messages of a chat, again and again."""
    said = [json.loads(line) for line in lines.splitlines()]
    draw = random.Random(0)
    rows = []
    for number in range(count):
        row = said[number % len(said)]
        text = row["text"]
        if mix and number >= len(said):
            words = text.split()
            draw.shuffle(words)
            text = " ".join(words)
        rows.append((str(number), row["author"], text))
    ids, authors, texts = zip(*rows, strict=True)
    made = messages.table(
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
    return made.with_columns(
        person="author", consent=pl.lit("clone"), left_out=pl.lit(False), place=pl.lit(0)
    )


def clean(frame: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """The messages that the rules leave, by the steps of prepare, without its tables on disk."""
    settings = resolved(Rules())
    messages, (features, long) = rules.look(frame, settings)
    known = messages.select("place", "person", "is_bot", "sent_at")
    decided = rules.decide(features.hstack(known), long, settings)
    ledger.characters += int(messages["characters"].sum())
    judged = messages.with_columns(rule=decided)
    return rules.settle(judged, ledger, rules.MESSAGE_RULES, settings)


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
