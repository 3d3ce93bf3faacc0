"""The `Engine` protocol, which every engine follows.

An engine takes token ids, never text. Its abilities are in `can`:

    stream        generate text, piece by piece
    next_probs    probabilities of the next token
    score         log-probabilities of a given continuation
    dry           DRY (see `myna.config.Sampling`)
    penalties     repetition_penalty

All know temperature, top_p, presence_penalty and frequency_penalty. An engine without one of
the last two abilities uses a substitute: see `with_substitutes`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, Protocol

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


SUBSTITUTES = {
    "dry": "a frequency_penalty of half of dry_multiplier",
    "penalties": "a presence_penalty of ten times what repetition_penalty is above 1",
}
"""The substitute for each control that an engine may lack: OpenAI's API has these two."""
_MAX_TOKEN_PENALTY = 2.0


def with_substitutes(sampling: Sampling, can: frozenset[str]) -> Sampling:
    """`sampling` for an engine of these abilities: without what it lacks, with `SUBSTITUTES`.

    A divided logit has no equal in OpenAI's API; ten is about the size of a likely token's.
    """
    changes: dict[str, Any] = {}
    if sampling.dry_multiplier and "dry" not in can:
        penalty = max(sampling.frequency_penalty, sampling.dry_multiplier / 2)
        changes |= {"dry_multiplier": 0.0, "frequency_penalty": min(penalty, _MAX_TOKEN_PENALTY)}
    if sampling.repetition_penalty != 1 and "penalties" not in can:
        penalty = max(sampling.presence_penalty, 10 * (sampling.repetition_penalty - 1))
        changes |= {"repetition_penalty": 1.0, "presence_penalty": min(penalty, _MAX_TOKEN_PENALTY)}
    return replace(sampling, **changes) if changes else sampling


def substitutes_used(sampling: Sampling, can: frozenset[str]) -> list[str]:
    """The controls that `sampling` asks for and the engine lacks, each with its substitute."""
    asked = {"dry": sampling.dry_multiplier > 0, "penalties": sampling.repetition_penalty != 1}
    names = {"dry": "DRY", "penalties": "repetition_penalty"}
    return [
        f"{names[control]}: instead {substitute}"
        for control, substitute in SUBSTITUTES.items()
        if asked[control] and control not in can
    ]


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
