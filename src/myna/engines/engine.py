"""The `Engine` protocol, which every engine follows.

An engine takes token ids, never text. Its abilities are in `can`:

    stream        generate text, piece by piece
    next_probs    probabilities of the next token
    score         log-probabilities of a given continuation
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from myna.config import Sampling
from myna.errors import EngineError


class Engine(Protocol):
    """A loaded model, base or base with adapter.

    Thread-safe; `slots` calls run at once, the others wait. Close each stream that is not
    read to its end.
    """

    name: str
    can: frozenset[str]
    slots: int
    """Number of calls that run at once, in the order of `myna.engines.queueing`."""
    context: int
    """Most tokens of prompt and reply together."""

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[str, None, str]:
        """Continue `prompt`, yielding text as it is generated.

        A piece has whole characters and no control tokens; while a long prompt is read,
        pieces are empty, for a chance to stop. The generator returns the finish reason:
        "stop" after an end-of-turn token, "length" at `sampling.max_new_tokens` or the end of the
        context. Closing it cancels the generation.

        Raises:
            EngineError: `prompt` is empty or does not fit, or the engine failed.
        """

    def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
        """The `top` most probable next tokens by id, with probabilities over all tokens.

        Raises:
            EngineError: as `stream`, or the engine has no probabilities.
        """

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        """The natural-log probability of each token of `continuation`, given all before.

        Raises:
            EngineError: as `stream`, or the engine cannot score.
        """

    def close(self) -> None:
        """Free the model's memory; the engine cannot be used afterwards."""


def check_prompt(prompt: Sequence[int], context: int, name: str) -> None:
    """Check that a prompt is not empty and leaves room for a token.

    Raises:
        EngineError: it is empty, or fills the context.
    """
    if not prompt:
        raise EngineError(f"{name} got an empty prompt: give at least one token")
    if len(prompt) >= context:
        raise EngineError(
            f"the prompt is {len(prompt)} tokens long, and {name} has room for {context} with "
            "the reply: shorten the prompt, or open the engine with a longer context"
        )
