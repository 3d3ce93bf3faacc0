"""Sample replies while training: what the personas answer to moments of the tune split."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import polars as pl

from myna.config import Settings
from myna.engines import sampling_of
from myna.engines.transformers_engine import Transformers
from myna.models.bases import find
from myna.persona.situations import situations
from myna.persona.speaking import Speech
from myna.samples.markup import from_json
from myna.samples.tokenizer import Tokenizer
from myna.workspace import Workspace, read_manifest

COUNT = 2
TOKENS = 40


def preview(
    space: Workspace, settings: Settings, model: Any, step: int
) -> Iterator[tuple[str, str, str]]:
    """A few of (what was said, persona, the model's answer); the same moments each time."""
    manifest = read_manifest(space.prepared)
    messages = pl.read_parquet(space.prepared / "messages.parquet").filter(pl.col("part") == "tune")
    if manifest is None or messages.is_empty():
        return
    base = find(settings.base, weights=False)
    engine = Transformers(base, None, base.context, model=model)
    tokenizer = Tokenizer(base.folder)
    markup = from_json(manifest["counts"]["markup"])
    sampling = sampling_of(settings.chat, step)
    found = situations(messages, manifest["counts"]["personas"], turns=4)
    for moment in random.Random(settings.train.seed).sample(found, min(COUNT, len(found))):
        room = moment.room(settings.samples, tokenizer, base.context - TOKENS, markup)
        last = room.lines[-1]
        speech = Speech(engine, room, moment.next_person, sampling, TOKENS)
        text = "".join(speech)
        yield f"{last.person}: {last.text}"[:160], moment.next_person, text
