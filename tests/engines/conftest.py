"""Engines over the embedded base, loaded once, and an adapter that changes it a lot."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from tests.adapters import random_adapter

from myna.engines.engine import Engine
from myna.engines.open_engine import open_engine
from myna.engines.transformers_engine import Transformers
from myna.models.bases import Base
from myna.models.loading import load_base
from myna.rendering.tokenizer import Tokenizer

CONTEXT = 256


@pytest.fixture(scope="session")
def llamacpp(base: Base) -> Iterator[Engine]:
    engine = open_engine("llama.cpp", base, context=CONTEXT)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def transformers(base: Base) -> Iterator[Engine]:
    """In float32: in bfloat16 the order of sums shows in the second digit."""
    import torch

    engine = Transformers(base, None, CONTEXT, model=load_base(base, dtype=torch.float32))
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def adapter(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LoRA adapter on all linear layers, saved by peft.

    It changes q and k by a standard deviation of 0.06, so that their rows in a wrong
    order cannot be overlooked, and the rest by 0.004. Much more, in all thirty layers,
    and the model is so far off that it magnifies llama.cpp's rounding to 4 bits.
    """
    return random_adapter(base, tmp_path_factory.mktemp("adapter"))


@pytest.fixture(scope="session")
def adapted(base: Base, adapter: Path) -> Iterator[Engine]:
    """llama.cpp with the adapter."""
    engine = open_engine("llama.cpp", base, adapter, context=CONTEXT)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def reference(base: Base, adapter: Path, prompt: list[int]) -> dict[int, float]:
    """Next tokens of transformers with the adapter."""
    engine = open_engine("transformers", base, adapter, context=CONTEXT)
    expected = engine.next_probs(prompt, 5000)
    engine.close()
    return expected


@pytest.fixture(scope="session")
def prompt(tokenizer: Tokenizer) -> list[int]:
    """A few lines of a transcript."""
    text = "CC: Apollo 11, this is Houston. Over.\nCDR: Roger, Houston. We read you"
    return tokenizer.encode(text).ids


def collect(stream: Generator[str, None, str]) -> tuple[str, str]:
    """All of a stream's text, and why it ended."""
    pieces = []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as stop:
            return "".join(pieces), stop.value


def distance(ours: dict[int, float], theirs: dict[int, float]) -> float:
    """Mean difference of the log-probabilities, over the fifty best of `ours`."""
    best = [token for token in list(ours)[:50] if token in theirs]
    return sum(abs(math.log(ours[token] / theirs[token])) for token in best) / len(best)
