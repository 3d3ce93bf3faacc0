"""Behaviour that both engines share, on the embedded base."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
from tests.engines.conftest import CONTEXT, collect

from myna.config import Sampling
from myna.engines.engine import Engine
from myna.engines.open_engine import choose_engine, open_engine
from myna.errors import EngineError, ModelError
from myna.models.bases import Base
from myna.rendering.tokenizer import Tokenizer

pytestmark = pytest.mark.model


def greedy(max_tokens: int) -> Sampling:
    return Sampling(temperature=0, max_new_tokens=max_tokens)


@pytest.fixture(params=["llamacpp", "transformers"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def ending(tokenizer: Tokenizer) -> list[int]:
    """A chat whose last reply is complete: control tokens as ids, the end token next."""
    start, end, newline = 1, 2, tokenizer.encode("\n").ids
    question = [start, *tokenizer.encode("user\nSay hi.").ids, end, *newline]
    answer = tokenizer.encode("assistant\nHello! How can I help you today?").ids
    return [*question, start, *answer]


def test_greedy_text_is_the_same_twice(engine: Engine, prompt: list[int]) -> None:
    first = collect(engine.stream(prompt, greedy(12)))
    assert first[0]
    assert first == collect(engine.stream(prompt, greedy(12)))
    assert first[1] == "length"


def test_the_same_seed_gives_the_same_text_and_another_seed_another(
    engine: Engine, prompt: list[int]
) -> None:
    texts = [
        collect(engine.stream(prompt, Sampling(seed=s, max_new_tokens=12)))[0] for s in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_the_end_token_ends_the_text(engine: Engine, ending: list[int]) -> None:
    assert collect(engine.stream(ending, greedy(50))) == ("", "stop")


def test_a_limit_of_nothing_gives_nothing(engine: Engine, prompt: list[int]) -> None:
    assert collect(engine.stream(prompt, greedy(0))) == ("", "length")


def test_the_context_is_a_limit_too(engine: Engine, tokenizer: Tokenizer) -> None:
    long = tokenizer.encode(" one two three" * 200).ids[: CONTEXT - 3]
    text, why = collect(engine.stream(long, greedy(50)))
    assert why == "length"
    assert len(tokenizer.encode(text).ids) <= 3


@pytest.mark.parametrize("length", [CONTEXT, CONTEXT + 500])
def test_a_prompt_that_does_not_fit_is_refused(engine: Engine, length: int) -> None:
    with pytest.raises(EngineError, match=f"is {length} tokens long, .* has room for {CONTEXT}"):
        next(engine.stream([40] * length, greedy(5)))
    with pytest.raises(EngineError, match="shorten the prompt"):
        engine.next_probs([40] * length)


def test_an_empty_prompt_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineError, match="empty prompt"):
        next(engine.stream([], greedy(5)))


@pytest.fixture(scope="session")
def thumbs(tokenizer: Tokenizer) -> list[int]:
    """Characters of two and three tokens each."""
    return tokenizer.encode("👍🏽" * 12).ids


def test_pieces_are_whole_characters(engine: Engine, thumbs: list[int]) -> None:
    """Some of these limits cut a character in half: it is left out."""
    texts = []
    for limit in range(1, 7):
        pieces = list(engine.stream(thumbs, greedy(limit)))
        assert not any("\ufffd" in piece for piece in pieces)
        texts.append("".join(pieces))
    assert all(texts[-1].startswith(text) for text in texts)
    assert len(set(texts)) < len(texts), "a token was half a character"


def test_probabilities_come_even_where_half_a_character_is_next(
    engine: Engine, thumbs: list[int]
) -> None:
    for cut in range(1, 6):
        assert thumbs[-cut] in engine.next_probs(thumbs[:-cut], 5)


def test_probabilities_are_the_models_own(engine: Engine, ending: list[int]) -> None:
    probs = engine.next_probs(ending)
    assert len(probs) == 1000
    assert max(probs, key=lambda t: probs[t]) == 2, "the end token"
    assert list(probs.values()) == sorted(probs.values(), reverse=True)
    assert 0.95 < sum(probs.values()) < 1.001


def test_closing_a_stream_stops_it(engine: Engine, prompt: list[int]) -> None:
    stream = engine.stream(prompt, Sampling(seed=1, max_new_tokens=200))
    next(stream)
    stream.close()
    began = time.monotonic()
    engine.next_probs(prompt, 1)  # would have to wait for 200 tokens
    assert time.monotonic() - began < 3


def test_a_closed_engine_says_so(base: Base) -> None:
    engine = open_engine("llama.cpp", base, context=CONTEXT)
    engine.close()
    with pytest.raises(EngineError, match="is closed"):
        engine.next_probs([40])


def test_auto_takes_llamacpp_where_there_is_a_gguf(base: Base) -> None:
    assert choose_engine("auto", base) == "llama.cpp"
    bare = dataclasses.replace(base, gguf=None)
    assert choose_engine("auto", bare) == "transformers"
    with pytest.raises(EngineError, match="has no GGUF file"):
        choose_engine("llama.cpp", bare)
    with pytest.raises(EngineError, match=r"use auto, llama\.cpp, transformers, vllm or openai"):
        choose_engine("onnx", base)


def test_a_damaged_base_is_one_clear_line(base: Base, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF, but not quite")
    with pytest.raises(ModelError, match=r"llama\.cpp cannot load .*a\.gguf"):
        open_engine("llama.cpp", dataclasses.replace(base, gguf=tmp_path / "a.gguf"))
