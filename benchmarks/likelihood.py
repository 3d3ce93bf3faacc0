"""Bits per character on Apollo 11's test split, clone against base.

python benchmarks/likelihood.py [--tokens 100000 | --epochs 3] [--folder DIR]

Makes a workspace of the demo's chat, trains with the default settings for so many tokens
(or epochs), and evaluates. If interrupted, it resumes. On two cores
without bfloat16 100,000 tokens take about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from myna import apollo11, config, workspace
from myna.choices import DEFAULT_ADAPTER
from myna.cli import evaluate, prepare, train
from myna.preparing.prepare import read_samples
from myna.workspace import Workspace


def main() -> None:
    """Train and evaluate; print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--tokens", type=int, default=100_000)
    amount.add_argument("--epochs", type=float)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    wanted = parser.parse_args()
    name = f"{wanted.epochs:g}-epochs" if wanted.epochs else f"{wanted.tokens}-tokens"
    folder = wanted.folder or Path("build", "likelihood", name)
    if not (folder / "myna.toml").exists():
        workspace.create(folder)
    space = Workspace(folder.resolve())
    apollo11.import_transcript(space)
    settings = config.override(space.settings(), ["train.previews=2", *wanted.set])
    prepare.prepare_if_stale(space, settings)
    epochs = wanted.epochs or wanted.tokens / _tokens(space)
    settings = config.override(settings, [f"train.num_train_epochs={epochs}"])
    trained = train.train_if_stale(space, settings, DEFAULT_ADAPTER)
    report = evaluate.evaluate_if_stale(space, DEFAULT_ADAPTER)
    evaluate.print_report(report)
    print(
        json.dumps(
            {
                "tokens": trained["tokens"],
                "epochs": round(trained["epochs"], 2),
                "base": round(report["base"], 4),
                "clone": round(report["clone"], 4),
                "change": round(report["change"], 4),
                "interval": [round(side, 4) for side in report["interval"]],
            }
        )
    )


def _tokens(space: Workspace) -> int:
    """Number of tokens in an epoch."""
    return int(read_samples(space, "train")["ids"].list.len().sum())


if __name__ == "__main__":
    main()
