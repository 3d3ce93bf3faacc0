"""transformers' own: scoring, its cache, and the choice of a token."""

from __future__ import annotations

import math

import pytest
from tests.engines.conftest import CONTEXT

from myna.engines import Engine, Sampling
from myna.engines.transformers_engine import Transformers, choose_token
from myna.models.bases import Base
from myna.models.loading import load
from myna.samples.tokenizer import Tokenizer

pytestmark = pytest.mark.model


def test_a_score_is_the_sum_of_next_probabilities(
    transformers: Engine, prompt: list[int], tokenizer: Tokenizer
) -> None:
    continuation = tokenizer.encode(" loud and clear.").ids
    scores = transformers.score(prompt, continuation)
    assert len(scores) == len(continuation)
    for i, (token, score) in enumerate(zip(continuation, scores, strict=True)):
        probs = transformers.next_probs([*prompt, *continuation[:i]], 49152)
        assert score == pytest.approx(math.log(probs[token]), abs=1e-3)


def test_nothing_scores_nothing(transformers: Engine, prompt: list[int]) -> None:
    assert transformers.score(prompt, []) == []


def test_the_cache_changes_nothing(
    transformers: Engine, base: Base, prompt: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was asked before, the answer is a plain forward pass's. Also in chunks."""
    import torch

    model = load(base)
    with torch.inference_mode():
        plain = model(input_ids=torch.tensor([prompt])).logits[0].float().log_softmax(-1)
    expected = [float(plain[i, t]) for i, t in enumerate(prompt[1:])]
    monkeypatch.setattr("myna.engines.transformers_engine._CHUNK", 5)
    for before in (prompt[:5], [*prompt, 40, 41], [99, *prompt]):
        transformers.next_probs(before, 1)
        assert transformers.score(prompt[:3], prompt[3:]) == pytest.approx(expected[2:], abs=1e-3)


def test_a_prompt_that_grew_costs_only_what_is_new(base: Base, prompt: list[int]) -> None:
    engine = Transformers(base, None, CONTEXT)
    lengths: list[int] = []
    forward = engine._model.forward

    def counted(*args: object, **named: object) -> object:
        lengths.append(named["input_ids"].shape[1])  # type: ignore[attr-defined]
        return forward(*args, **named)

    engine._model.forward = counted
    engine.next_probs(prompt, 1)
    engine.next_probs([*prompt, 40, 41], 1)
    engine.next_probs([*prompt[:-1], 50], 1)
    assert lengths == [len(prompt), 2, 1]
    engine.close()


def test_each_step_of_sampling_narrows_the_choice() -> None:
    import torch

    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()

    def chosen(**settings: float) -> set[int]:
        neutral = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0}
        sampling = Sampling(**(neutral | settings))  # type: ignore[arg-type]
        random = torch.Generator().manual_seed(1)
        return {choose_token(logits, sampling, [0], random) for _ in range(100)}

    assert chosen() == {0, 1, 2, 3}
    assert chosen(temperature=0) == {0}
    assert chosen(top_k=2) == {0, 1}
    assert chosen(top_p=0.6) == {0, 1}
    assert chosen(min_p=0.4) == {0, 1, 2}
    assert chosen(temperature=0, repeat_penalty=3.0) == {1}
