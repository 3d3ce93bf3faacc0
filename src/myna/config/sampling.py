"""Settings of sampling, their defaults and their limits: the same wherever they can be set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

MAX_TEMPERATURE = 2

Temperature = Annotated[float, Field(ge=0, le=MAX_TEMPERATURE)]
TopP = Annotated[float, Field(ge=0, le=1)]
TopK = Annotated[int, Field(ge=0)]
MinP = Annotated[float, Field(ge=0, le=1)]
RepeatPenalty = Annotated[float, Field(gt=0, le=10)]
MaxTokens = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, and how many come.

    The penalty comes first, then top_k, top_p and min_p, each narrowing what the one
    before it left; the temperature acts on what remains.
    """

    temperature: Temperature = 0.9
    """Above 1 evens out what is left, below sharpens it; 0 is greedy decoding."""
    top_p: TopP = 0.95
    """Nucleus threshold: keep the most probable tokens that make up this much; 1 keeps all."""
    top_k: TopK = 0
    """Keep the k most probable tokens; 0 keeps all."""
    min_p: MinP = 0.05
    """Drop tokens less probable than this share of the most probable one; 0 drops none."""
    repeat_penalty: RepeatPenalty = 1.0
    """Lowers the odds of the last 64 tokens; 1 leaves them."""
    max_tokens: MaxTokens = 160
    """The most tokens of a text."""
    seed: int | None = None
    """The same seed gives the same text; None gives another each time."""

    def narrowed(self, max_tokens: int | None = None, **changes: Any) -> Sampling:
        """The same with `changes`, and at most `max_tokens`, which never raises its own."""
        most = self.max_tokens if max_tokens is None else min(max_tokens, self.max_tokens)
        return replace(self, max_tokens=most, **changes)
