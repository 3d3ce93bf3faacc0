"""Whether memory helps: bits per character of real replies, with and without it.

python benchmarks/memory.py WORKSPACE [--split test] [--every 3] [--set chat.memory_tokens=64]
python benchmarks/memory.py WORKSPACE --set chat.memory_embeddings=wordllama

Walks through the conversations of a split as a live room would hear them, and before each
message of a persona asks the clone how likely it is: without memory, with what full-text
search brings up, and, where the settings name a model for it, with what search by meaning
adds. The workspace must be trained with the rendering `transcript`; choose settings on
`validation`, report on `test`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from myna import config, workspace
from myna.choices import DEFAULT_ADAPTER
from myna.persona.clone import Clone, open_clone
from myna.persona.memory import OWNER, Memory
from myna.persona.prompt import Line, Room
from myna.rendering.turns import most_active

RESAMPLES = 2000


def main() -> None:
    """Measure; print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--split", default="test", choices=["validation", "test"])
    parser.add_argument("--adapter", default=DEFAULT_ADAPTER)
    parser.add_argument("--every", type=int, default=1, help="Measure every so-manieth reply.")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    wanted = parser.parse_args()
    space = workspace.find(wanted.workspace)
    settings = config.override(
        space.settings(), ["chat.engine=transformers", *wanted.set, "chat.memory=true"]
    )
    clone = open_clone(space, wanted.adapter, settings)
    if clone.memory is None:
        raise SystemExit("this workspace has no memory: run `myna prepare`")
    memories = {"words": clone.memory.by_words_alone()}
    if settings.chat.memory_embeddings:
        memories["words_and_meaning"] = clone.memory
    chats = pl.read_parquet(space.prepared / "messages.parquet")
    found = list(measured(clone, memories, chats, wanted))
    characters, without = (np.array([reply[at] for reply in found]) for at in (0, 1))
    report: dict[str, Any] = {"split": wanted.split, "replies": len(found)}
    report["without"] = round(without.sum() / characters.sum(), 4)
    for number, name in enumerate(memories):
        tokens, with_ = np.array([reply[2][number] for reply in found]).T
        report[name] = {
            "recalled_for": int((tokens > 0).sum()),
            "tokens_recalled": round(tokens[tokens > 0].mean(), 1) if tokens.any() else 0,
            "bits_per_character": round(with_.sum() / characters.sum(), 4),
            "change": round(with_.sum() / without.sum() - 1, 4),
            "interval": [round(side, 4) for side in interval(without, with_)],
        }
    print(json.dumps(report))


def measured(
    clone: Clone, memories: dict[str, Memory], messages: pl.DataFrame, wanted: argparse.Namespace
) -> Iterator[tuple[int, float, list[tuple[int, float]]]]:
    """For each reply: its characters, its bits without memory, and for each memory the
    tokens that it brings up and the bits then.
    """
    met = 0
    part = messages.filter(pl.col("split") == wanted.split)
    for _, said in part.group_by("conversation", maintain_order=True):
        room = clone.room([], most_active(said["person"]))
        for person, text, trained in said.select("person", "text", "trained").iter_rows():
            opens = not room.lines or room.lines[-1].person != person
            met += trained and opens and bool(room.lines) and person in clone.personas
            if met == wanted.every:
                met = 0
                without = bits(clone, room, person, text)
                yield (
                    len(text),
                    without,
                    [
                        with_memory(clone, memory, room, person, text, without)
                        for memory in memories.values()
                    ],
                )
            room.lines.append(Line(person, text))  # cleaned and redacted already


def with_memory(
    clone: Clone, memory: Memory, room: Room, person: str, text: str, without: float
) -> tuple[int, float]:
    """The tokens that a memory brings up, and how surprising a reply is with them."""
    before = len(room.prompt(person))
    room.recalled = memory.recall(
        person,
        room.lines,
        OWNER,
        most=clone.chat.memory_exchanges,
        tokens=clone.chat.memory_tokens,
        count=lambda said: len(clone.tokenizer.encode(said).ids),
    )
    try:
        if not room.recalled:
            return 0, without
        return len(room.prompt(person)) - before, bits(clone, room, person, text)
    finally:
        room.recalled = []


def bits(clone: Clone, room: Room, person: str, text: str) -> float:
    """How surprised the clone is by a reply."""
    ids = clone.tokenizer.encode(f" {text}").ids
    return -sum(clone.engine_for(person).score(room.prompt(person), ids)) / math.log(2)


def interval(without: Any, with_: Any) -> tuple[float, float]:
    """The 95 % interval of the change, by resampling replies."""
    draws = np.random.default_rng(0).integers(len(without), size=(RESAMPLES, len(without)))
    changes = with_[draws].sum(1) / without[draws].sum(1) - 1
    low, high = np.quantile(changes, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
