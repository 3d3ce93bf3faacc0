"""Whether memory helps: bits per character of real replies, with and without it.

python benchmarks/memory.py WORKSPACE [--part test] [--every 3] [--set chat.memory_tokens=64]

Walks through the conversations of a split as a live room would hear them, and before each
message of a persona asks the clone how likely it is: once with what memory brings up, once
without. The workspace must be trained with the rendering `transcript`; choose settings on
`tune`, report on `test`.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import polars as pl

from myna import config, workspace
from myna.persona.clone import Clone, open_clone
from myna.persona.memory import OWNER
from myna.persona.room import Room
from myna.samples.lines import loudest

RESAMPLES = 2000


def main() -> None:
    """Measure; print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--part", default="test", choices=["tune", "test"])
    parser.add_argument("--name", default="group")
    parser.add_argument("--every", type=int, default=1, help="Measure every so-manieth reply.")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    wanted = parser.parse_args()
    space = workspace.find(wanted.workspace)
    settings = config.override(
        space.settings(), ["chat.engine=transformers", *wanted.set, "chat.memory=true"]
    )
    clone = open_clone(space, wanted.name, settings.chat)
    rows = pl.DataFrame(
        measured(clone, pl.read_parquet(space.prepared / "messages.parquet"), wanted),
        schema=["recalled", "characters", "without", "with"],
        orient="row",
    )
    recalled = rows.filter(pl.col("recalled") > 0)
    without, with_ = (rows[side].sum() / rows["characters"].sum() for side in ("without", "with"))
    print(
        json.dumps(
            {
                "part": wanted.part,
                "replies": rows.height,
                "with_memory": recalled.height,
                "tokens_recalled": round(float(recalled["recalled"].mean() or 0), 1),
                "without": round(without, 4),
                "with": round(with_, 4),
                "change": round(with_ / without - 1, 4),
                "interval": [round(side, 4) for side in interval(rows)],
            }
        )
    )


def measured(
    clone: Clone, messages: pl.DataFrame, wanted: argparse.Namespace
) -> list[tuple[int, int, float, float]]:
    """For each reply: tokens recalled, characters, bits without memory and with it."""
    found: list[tuple[int, int, float, float]] = []
    met = 0
    part = messages.filter(pl.col("part") == wanted.part)
    for _, said in part.group_by("conversation", maintain_order=True):
        room = clone.room([], loudest(said["person"]))
        for person, text, trained in said.select("person", "text", "trained").iter_rows():
            opens = not room.lines or room.lines[-1].person != person
            met += trained and opens and bool(room.lines) and person in clone.personas
            if met == wanted.every:
                met = 0
                without = bits(clone, room, person, text)
                before = len(room.prompt(person))
                recall(clone, room, person)
                if room.recalled:
                    tokens = len(room.prompt(person)) - before
                    found.append((tokens, len(text), without, bits(clone, room, person, text)))
                else:
                    found.append((0, len(text), without, without))
                room.recalled = []
            room.say(person, text)
    return found


def recall(clone: Clone, room: Room, person: str) -> None:
    """Let the room's prompts show what memory brings up, as live rooms do."""
    if clone.memory is None:
        raise SystemExit("this workspace has no memory: run `myna prepare`")
    room.recalled = clone.memory.recall(
        person,
        room.lines,
        OWNER,
        most=clone.chat.memory_exchanges,
        tokens=clone.chat.memory_tokens,
        count=lambda text: len(clone.tokenizer.encode(text).ids),
    )


def bits(clone: Clone, room: Room, person: str, text: str) -> float:
    """How surprised the clone is by a reply."""
    ids = clone.tokenizer.encode(f" {text}").ids
    return -sum(clone.engine.score(room.prompt(person), ids)) / math.log(2)


def interval(rows: pl.DataFrame) -> tuple[float, float]:
    """The 95 % interval of the change, by resampling replies."""
    pairs = rows.select("without", "with").to_numpy()
    draws = np.random.default_rng(0).integers(len(pairs), size=(RESAMPLES, len(pairs)))
    totals = pairs[draws].sum(1)
    low, high = np.quantile(totals[:, 1] / totals[:, 0] - 1, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
