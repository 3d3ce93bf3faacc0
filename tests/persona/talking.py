"""A clone that says what it is told to, for tests of rooms."""

from __future__ import annotations

import random
import threading
from collections.abc import Generator, Sequence
from typing import Any, cast

from tests.consents import AllAgree
from tests.metadata import prompt_format

from myna import config
from myna.artifacts import Channel
from myna.config import Sampling
from myna.engines.engine import Engine
from myna.persona.clone import Clone
from myna.rendering.tokenizer import Tokenizer


class Script:
    """An engine that says the next of its lines, each time it is asked for a turn.

    Attributes:
        prompts: what it was asked with, as text.
        sampled: how it sampled.
        given: pieces given out, all in all.
        names: how likely each name is as the next speaker.
        rooms: those that its clone talks in.
        hold: a turn waits behind its first piece until this is set.
    """

    name = "script"
    can = frozenset({"stream", "next_probs"})
    context = 2048
    slots = 1

    def __init__(self, tokenizer: Tokenizer, *turns: Sequence[str] | Exception) -> None:
        self.tokenizer = tokenizer
        self.turns = list(turns)
        self.rooms: Any = None
        self.prompts: list[str] = []
        self.sampled: list[Sampling] = []
        self.given = 0
        self.closed = 0
        self.reason = "stop"
        self.names: dict[str, float] = {}
        self.hold = threading.Event()
        self.hold.set()
        self.begun = threading.Event()

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[str, None, str]:
        self.prompts.append(self.tokenizer.decode(list(prompt)))
        self.sampled.append(sampling)
        turn = self.turns.pop(0) if self.turns else [" fine", "\nBen:"]
        try:
            if isinstance(turn, Exception):
                raise turn
            for number, piece in enumerate(turn):
                if number == 1:
                    self.begun.set()
                    assert self.hold.wait(20)
                if piece == "!":
                    raise RuntimeError("the engine broke")
                self.given += 1
                yield piece
        finally:
            self.closed += 1
        return self.reason

    def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
        said = self.tokenizer.decode(list(prompt))
        self.prompts.append(said)
        line = said.rpartition("\n")[2]
        ahead: dict[int, float] = {}
        for name, weight in self.names.items():
            if f"{name}:".startswith(line):
                ids = self.tokenizer.encode(f"{said}{name.removeprefix(line)}:").ids
                ahead[ids[len(prompt)]] = ahead.get(ids[len(prompt)], 0.0) + weight
        return ahead

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        raise NotImplementedError

    def close(self) -> None:
        return


def clone_of(script: Script, personas: str = "Ben Cy Dee", **more: Any) -> Clone:
    """A clone of these people, who talked in one channel with Ana."""
    names = personas.split()
    return Clone(
        engine=cast(Engine, script),
        tokenizer=script.tokenizer,
        personas=names,
        consents=AllAgree(names),
        format=prompt_format(),
        channels=[Channel("", "tea", [*names, "Ana"])],
        rng=random.Random(1),
        **{"chat": config.Chat(max_new_tokens=50), **more},
    )
