"""Penalties on repeated tokens, as llama.cpp has them, for engines that sample here.

Definitions: repetition_penalty, arXiv:1909.05858, section 4.1; presence_penalty and
frequency_penalty, https://platform.openai.com/docs/api-reference/completions; DRY, see
`myna.config.Sampling`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from myna.config import Sampling

if TYPE_CHECKING:
    import torch

PENALTY_WINDOW = 64
"""Last tokens, of prompt and reply, on which all penalties but DRY are."""
_MAX_PENALTY_LOG = 88.0
"""Natural log of DRY's greatest growth: a float32 holds it."""


def penalized(
    logits: torch.Tensor, ids: Sequence[int], sampling: Sampling, piece: Callable[[int], str]
) -> torch.Tensor:
    """`logits` (vocabulary,) of the token after `ids`, with the penalties of `sampling`.

    `piece` gives the text of a token, control tokens included.
    """
    logits = logits.clone()
    for token, count in Counter(ids[-PENALTY_WINDOW:]).items():
        logit = float(logits[token])
        penalty = sampling.repetition_penalty
        logit = logit / penalty if logit > 0 else logit * penalty
        logit -= sampling.presence_penalty + count * sampling.frequency_penalty
        logits[token] = logit
    for token, penalty in dry_penalties(ids, sampling, piece).items():
        logits[token] -= penalty
    return logits


def dry_penalties(
    ids: Sequence[int], sampling: Sampling, piece: Callable[[int], str]
) -> dict[int, float]:
    """DRY's penalty on each token that would continue a repeat, in logits."""
    breakers = sampling.dry_sequence_breakers
    window = ids[-sampling.dry_window :]
    limit = tokens_since_breaker(window, breakers, piece) if sampling.dry_multiplier else 0
    repeats: dict[int, int] = {}
    for i in range(len(window) - 1 if limit else 0):
        length = 0
        while length < limit and length <= i and window[i - length] == window[-1 - length]:
            length += 1
        following = window[i + 1]
        repeats[following] = max(length, repeats.get(following, 0))
    base, allowed = sampling.dry_base, sampling.dry_allowed_length
    most = _MAX_PENALTY_LOG / math.log(base) if base > 1 else math.inf
    return {
        token: sampling.dry_multiplier * base ** min(length - allowed, most)
        for token, length in repeats.items()
        if length >= allowed and not any(breaker in piece(token) for breaker in breakers)
    }


def tokens_since_breaker(
    ids: Sequence[int], breakers: Sequence[str], piece: Callable[[int], str]
) -> int:
    """Number of the last tokens that come after the last sequence breaker.

    A breaker may begin and end within tokens.
    """
    text, ends = "", [0]
    """Text of the last tokens, and how far from its end each of them begins."""
    for token in reversed(ids):
        text = piece(token) + text
        ends.append(len(text))
        found = [i + len(one) for one in breakers if (i := text.rfind(one)) >= 0]
        if found:
            behind = len(text) - max(found)
            return sum(begin <= behind for begin in ends[1:])
    return len(ids)
