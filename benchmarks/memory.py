"""Measure memory: bits per character of real replies, with and without it.

python benchmarks/memory.py WORKSPACE [--split test] [--every 3] [--set chat.memory_tokens=64]
python benchmarks/memory.py WORKSPACE --set chat.memory_embeddings=wordllama

Walks through the conversations of a split as a live room would, and before each
turn of a persona scores it with the clone: without memory, with full-text search, and, if the
settings name an embedding model, with both searches. The workspace must be trained with the
rendering `transcript`; choose settings on `validation`, report on `test`.
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
from myna.persona.prompt import PromptBuilder, PromptMessage
from myna.rendering.turns import most_active

RESAMPLES = 2000


def main() -> None:
    """Measure; print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--split", default="test", choices=["validation", "test"])
    parser.add_argument("--adapter", default=DEFAULT_ADAPTER)
    parser.add_argument("--every", type=int, default=1, help="Measure every N-th reply.")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    options = parser.parse_args()
    space = workspace.find(options.workspace)
    settings = config.override(
        space.settings(), ["chat.engine=transformers", *options.set, "chat.memory=true"]
    )
    clone = open_clone(space, options.adapter, settings, scope="owner")
    if clone.memory is None:
        raise SystemExit("this workspace has no memory: run `myna prepare`")
    memories = {"words": clone.memory.without_embeddings()}
    if settings.chat.memory_embeddings:
        memories["words_and_meaning"] = clone.memory
    chats = pl.read_parquet(space.prepared / "messages.parquet")
    replies = list(measured(clone, memories, chats, options))
    characters, without = (np.array([reply[i] for reply in replies]) for i in (0, 1))
    report: dict[str, Any] = {"split": options.split, "replies": len(replies)}
    report["without"] = round(without.sum() / characters.sum(), 4)
    for number, name in enumerate(memories):
        tokens, with_ = np.array([reply[2][number] for reply in replies]).T
        report[name] = {
            "recalled_for": int((tokens > 0).sum()),
            "tokens_recalled": round(tokens[tokens > 0].mean(), 1) if tokens.any() else 0,
            "bits_per_character": round(with_.sum() / characters.sum(), 4),
            "change": round(with_.sum() / without.sum() - 1, 4),
            "interval": [round(side, 4) for side in interval(without, with_)],
        }
    print(json.dumps(report))


def measured(
    clone: Clone, memories: dict[str, Memory], messages: pl.DataFrame, options: argparse.Namespace
) -> Iterator[tuple[int, float, list[tuple[int, float]]]]:
    """For each reply: its characters, its bits without memory, and for each memory the number
    of recalled tokens and the bits with them.
    """
    since_measured = 0
    held_out = messages.filter(pl.col("split") == options.split)
    for _, conversation in held_out.group_by("conversation", maintain_order=True):
        builder = clone.prompt_builder([], most_active(conversation["person"]))
        for person, text, trained in conversation.select("person", "text", "trained").iter_rows():
            is_new_turn = not builder.messages or builder.messages[-1].person != person
            is_reply = trained and is_new_turn and bool(builder.messages)
            since_measured += is_reply and person in clone.personas
            if since_measured == options.every:
                since_measured = 0
                without = bits(clone, builder, person, text)
                yield (
                    len(text),
                    without,
                    [
                        with_memory(clone, memory, builder, person, text, without)
                        for memory in memories.values()
                    ],
                )
            builder.messages.append(PromptMessage(person, text))  # clean already


def with_memory(
    clone: Clone, memory: Memory, builder: PromptBuilder, person: str, text: str, without: float
) -> tuple[int, float]:
    """The number of recalled tokens, and the bits of a reply with them in the prompt."""
    before = len(builder.prompt(person))
    builder.recalled = memory.recall(
        person,
        builder.messages,
        OWNER,
        max_exchanges=clone.chat.memory_exchanges,
        max_tokens=clone.chat.memory_tokens,
        count=lambda text: len(clone.tokenizer.encode(text).ids),
    )
    try:
        if not builder.recalled:
            return 0, without
        return len(builder.prompt(person)) - before, bits(clone, builder, person, text)
    finally:
        builder.recalled = []


def bits(clone: Clone, builder: PromptBuilder, person: str, text: str) -> float:
    """The bits of a reply: its negative log2-likelihood."""
    ids = clone.tokenizer.encode(f" {text}").ids
    return -sum(clone.engine_for(person).score(builder.prompt(person), ids)) / math.log(2)


def interval(without: Any, with_: Any) -> tuple[float, float]:
    """The 95 % interval of the change, by resampling replies."""
    draws = np.random.default_rng(0).integers(len(without), size=(RESAMPLES, len(without)))
    changes = with_[draws].sum(1) / without[draws].sum(1) - 1
    low, high = np.quantile(changes, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
