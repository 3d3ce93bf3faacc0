"""llama.cpp's own: nobody else can ask it, and adapters do not mix."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.engines.conftest import CONTEXT, collect, distance

from myna.engines import Engine, Sampling, open_engine
from myna.engines.llamacpp import LlamaCpp
from myna.errors import EngineError
from myna.models.bases import Base

pytestmark = pytest.mark.model


def test_it_cannot_score_and_says_so(llamacpp: Engine, prompt: list[int]) -> None:
    assert llamacpp.can == {"stream", "next_probs"}
    with pytest.raises(EngineError, match=r'cannot score .* use engine = "transformers"'):
        llamacpp.score(prompt, [5])


def test_it_listens_where_nobody_can_reach_it(llamacpp: LlamaCpp) -> None:
    kind, _, path = llamacpp._server.listening_address.partition("://")
    assert kind == "unix"
    assert not Path(path).parent.exists()


def test_without_unix_sockets_nobody_has_the_key(
    base: Base, monkeypatch: pytest.MonkeyPatch, prompt: list[int]
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    engine = LlamaCpp(base, None, CONTEXT)
    monkeypatch.undo()
    address = engine._server.listening_address
    assert address.startswith("http://127.0.0.1:")
    for path in ("/completion", "/v1/completions", "/tokenize", "/props", "/slots", "/v1/models"):
        request = urllib.request.Request(  # noqa: S310
            address + path,
            json.dumps({"prompt": "hi", "n_predict": 1}).encode(),
            {"Content-Type": "application/json", "Origin": "http://elsewhere.example"},
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)  # noqa: S310
        assert refused.value.code == 401, path
        assert refused.value.headers["Access-Control-Allow-Origin"] == "http://localhost"
        refused.value.close()
    assert engine.next_probs(prompt, 1), "while we may ask"
    engine.close()


def test_the_state_of_a_prompt_never_reaches_another_adapters_engine(
    base: Base, adapter: Path, adapted: Engine, llamacpp: Engine, prompt: list[int]
) -> None:
    """Asked in turn, each answers as an engine does that was never asked before."""
    fresh_base = open_engine("llama.cpp", base, context=CONTEXT)
    expected = fresh_base.next_probs(prompt)
    fresh_base.close()
    fresh = open_engine("llama.cpp", base, adapter, context=CONTEXT)
    changed = fresh.next_probs(prompt)
    fresh.close()
    for _ in range(2):
        collect(llamacpp.stream(prompt, Sampling(seed=1), 4))
        assert distance(llamacpp.next_probs(prompt), expected) < 0.15
        collect(adapted.stream(prompt, Sampling(seed=1), 4))
        assert distance(adapted.next_probs(prompt), changed) < 0.15
    assert distance(expected, changed) > 0.5


def test_a_stream_left_open_does_not_stop_the_next_call(
    llamacpp: Engine, prompt: list[int]
) -> None:
    stream = llamacpp.stream(prompt, Sampling(seed=1), 20)
    first = next(stream)
    assert llamacpp.next_probs(prompt, 1)
    rest, why = collect(stream)
    assert why == "limit"
    assert (first + rest, why) == collect(llamacpp.stream(prompt, Sampling(seed=1), 20))
