"""What an engine really said: token counts and log-probabilities for a client."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from myna.engines import Engine, Sampling
from myna.samples.tokenizer import Tokenizer

MOST_LIKELY = 1000
"""Tokens that log-probabilities are looked up among."""
UNLIKELY = -9999.0
"""Stands for the log-probability of a token that is not among them, as in OpenAI's API."""


class Hearing:
    """An engine that remembers the last thing that it was asked and that it said.

    It breaks off where `gone` says that nobody waits for it any more.
    """

    def __init__(self, engine: Engine, gone: Callable[[], bool]) -> None:
        self._engine = engine
        self._gone = gone
        self.name = engine.name
        self.can = engine.can
        self.context = engine.context
        self.slots = engine.slots
        self.prompt: list[int] = []
        self.said = ""
        """As the model wrote it: with what ended the turn."""
        self.reason: str | None = None
        """Why it ended; None where it was stopped."""

    def stream(
        self, prompt: Sequence[int], sampling: Sampling, limit: int
    ) -> Generator[str, None, str]:
        """See `myna.engines.Engine.stream`."""
        self.prompt, self.said, self.reason = list(prompt), "", None
        stream = self._engine.stream(prompt, sampling, limit)
        try:
            while True:
                try:
                    piece = next(stream)
                except StopIteration as end:
                    self.reason = end.value
                    return str(end.value)
                self.said += piece
                yield piece
                if self._gone():
                    return "limit"
        finally:
            stream.close()

    def next_probs(self, prompt: Sequence[int], top: int = MOST_LIKELY) -> dict[int, float]:
        """See `myna.engines.Engine.next_probs`."""
        return self._engine.next_probs(prompt, top)

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        """See `myna.engines.Engine.score`."""
        return self._engine.score(prompt, continuation)

    def close(self) -> None:
        """Leaves the engine open: others use it."""


@dataclass(frozen=True)
class Likely:
    """A token, how likely the model found it, and what else it might have said."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...]
    """The most probable tokens in that place, with their log-probabilities."""


def likelihoods(
    engine: Engine, tokenizer: Tokenizer, prompt: Sequence[int], text: str, alternatives: int
) -> list[Likely]:
    """How likely the model finds each token of `text` after `prompt`, before any sampling.

    Raises:
        EngineError: the engine cannot tell.
    """
    ids = tokenizer.encode(text).ids
    found = []
    for at, token in enumerate(ids):
        ahead = engine.next_probs([*prompt, *ids[:at]], MOST_LIKELY)
        best = sorted(ahead.items(), key=lambda entry: -entry[1])[:alternatives]
        top = tuple((tokenizer.decode([number]), _log(chance)) for number, chance in best)
        found.append(Likely(tokenizer.decode([token]), _log(ahead.get(token, 0.0)), top))
    return found


def _log(chance: float) -> float:
    return math.log(chance) if chance > 0 else UNLIKELY
