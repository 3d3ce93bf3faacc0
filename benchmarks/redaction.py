"""Precision and recall of redaction on hand-labelled cases, and its speed.

python benchmarks/redaction.py [--wrong] [--speed CHAT.jsonl]

The cases are in redaction_cases.jsonl: a text and the spans [start, end, type] of its
personal data; `before` marks cases labelled before any rule was written. A span counts as found
if start, end and type are equal. `--wrong` lists the errors. `--speed` measures messages per
second of processor time on a chat of JSON lines with `text`, repeated to 200,000 messages, and
on made-up texts full of digits; set POLARS_MAX_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from myna.cleaning.redact import find_personal_data, redact_messages
from myna.config import Redaction
from myna.messages import table

CASES = Path(__file__).with_name("redaction_cases.jsonl")
MESSAGES = 200_000


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wrong", action="store_true")
    parser.add_argument("--speed", type=Path)
    options = parser.parse_args()
    cases = [json.loads(line) for line in CASES.read_text("utf-8").splitlines()]
    before = [case for case in cases if case["before"]]
    after = [case for case in cases if not case["before"]]
    report: dict[str, Any] = {
        name: figures(part) for name, part in (("before", before), ("after", after), ("all", cases))
    }
    report["left by the first look"] = overlooked([case["text"] for case in cases])
    if options.wrong:
        report["wrong"] = [case for case in map(difference, cases) if case]
    if options.speed:
        lines = options.speed.read_text("utf-8").splitlines()
        report["messages/s"] = {
            options.speed.stem: speed([json.loads(line)["text"] for line in lines]),
            "digits": speed(digits()),
        }
    print(json.dumps(report, indent=1, ensure_ascii=False))


def figures(cases: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Compute precision and recall, overall and for each type."""
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    labelled: Counter[str] = Counter()
    number = clean = 0
    for case in cases:
        truth = {tuple(span) for span in case["spans"]}
        seen = set(map(tuple, find_personal_data(case["text"])))
        right.update(span[2] for span in truth & seen)
        found.update(span[2] for span in seen)
        labelled.update(span[2] for span in truth)
        number += 1
        clean += not truth
    return {
        "cases": number,
        "without": clean,
        "overall": scores(right.total(), found.total(), labelled.total()),
        "types": {k: scores(right[k], found[k], labelled[k]) for k in sorted(labelled | found)},
    }


def scores(right: int, found: int, labelled: int) -> dict[str, float | int]:
    """Return precision, recall and the number of labelled spans."""
    return {
        "precision": round(right / found, 4) if found else 1.0,
        "recall": round(right / labelled, 4) if labelled else 1.0,
        "labelled": labelled,
    }


def overlooked(texts: list[str]) -> int:
    """Count the matches that `redact_messages` misses, as its hints do."""
    _, matches = redact_messages(table({"text": texts}), Redaction())
    return sum(len(find_personal_data(text)) for text in texts) - matches.height


def difference(case: dict[str, Any]) -> dict[str, Any] | None:
    """Return the false positives and negatives of a case."""
    truth = {tuple(span) for span in case["spans"]}
    seen = set(map(tuple, find_personal_data(case["text"])))
    if truth == seen:
        return None
    told = {
        name: [f"{kind}: {case['text'][start:end]}" for start, end, kind in sorted(spans)]
        for name, spans in (("missed", truth - seen), ("too much", seen - truth))
    }
    return {"text": case["text"], "before": case["before"], **told}


def digits() -> list[str]:
    """Make up texts with numbers of many forms, half of them digits."""
    rng = random.Random(0)
    forms = ("##:##", "####-##-##", "#,###.##", "###", "#-#", "##.#", "######", "v#.#.#", "#####")
    return [
        " ".join(
            "".join(str(rng.randrange(10)) if c == "#" else c for c in rng.choice(forms))
            if rng.random() < 0.6
            else rng.choice(("tea", "and", "the", "at", "won", "plus"))
            for _ in range(rng.randrange(3, 12))
        )
        for _ in range(5_000)
    ]


def speed(texts: list[str]) -> int:
    """Measure messages redacted per second of processor time."""
    many = (texts * (MESSAGES // len(texts) + 1))[:MESSAGES]
    frame = table({"text": pl.Series(many)})
    redact_messages(frame.head(1_000), Redaction())
    start = time.process_time()
    redact_messages(frame, Redaction())
    return round(MESSAGES / (time.process_time() - start))


if __name__ == "__main__":
    main()
