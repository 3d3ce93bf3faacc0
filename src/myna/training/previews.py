"""Sample replies while training: what the personas answer to moments of the tune split."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import polars as pl

from myna.artifacts import PreparedInfo
from myna.config import Settings
from myna.engines.transformers_engine import Transformers
from myna.models.bases import find
from myna.persona.situations import situations
from myna.persona.speaking import GeneratedTurn
from myna.samples.tokenizer import Tokenizer
from myna.workspace import Workspace

COUNT = 2
TOKENS = 40


def preview(
    space: Workspace, settings: Settings, model: Any, step: int
) -> Iterator[tuple[str, str, str]]:
    """A few of (what was said, persona, the model's answer); the same moments each time."""
    messages = pl.read_parquet(space.prepared / "messages.parquet").filter(pl.col("part") == "tune")
    if messages.is_empty():
        return
    info = PreparedInfo.load(space)
    base = find(settings.base, weights=False)
    engine = Transformers(base, None, base.context, model=model)
    tokenizer = Tokenizer(base.folder)
    sampling = settings.chat.sampling(step).narrowed(TOKENS)
    found = situations(messages, info.personas, turns=4)
    for moment in random.Random(settings.train.seed).sample(found, min(COUNT, len(found))):
        room = moment.room(info.format, tokenizer, base.context - TOKENS)
        last = room.lines[-1]
        text = "".join(GeneratedTurn(engine, room, moment.next_person, sampling))
        yield f"{last.person}: {last.text}"[:160], moment.next_person, text
