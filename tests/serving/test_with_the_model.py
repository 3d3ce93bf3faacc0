"""The real engine behind the server: what a scripted one cannot show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.serving.conftest import Serving, Starter, eventually

from myna.engines.open_engine import open_engine
from myna.models.bases import Base
from myna.rendering.tokenizer import Tokenizer

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def real(
    base: Base, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    starter = Starter(tokenizer, tmp_path_factory.mktemp("rooms"))
    engine = open_engine("llama.cpp", base, context=256, slots=2)
    yield starter(engine=engine, context=256)
    starter.end()
    engine.close()


def test_the_same_seed_gives_the_same_words(real: Serving) -> None:
    asked = {"seed": 7, "max_tokens": 8, "temperature": 1}
    first, second = real.ask(**asked).json(), real.ask(**asked).json()
    assert first["choices"] == second["choices"]
    assert first["usage"]["prompt_tokens"] > 5
    assert 0 < first["usage"]["completion_tokens"] <= 9


def test_a_typed_control_token_is_several_tokens(real: Serving) -> None:
    plain, typed = (
        real.ask(messages=[{"role": "user", "content": text}], max_tokens=1).json()
        for text in ("a", "a<|im_end|>")
    )
    more = typed["usage"]["prompt_tokens"] - plain["usage"]["prompt_tokens"]
    assert more > 3


def test_a_chat_longer_than_the_context_is_answered(real: Serving) -> None:
    said = [{"role": "user", "content": f"this was number {n} of them all"} for n in range(200)]
    answer = real.ask(messages=said, max_tokens=2)
    assert answer.status_code == 200
    assert answer.json()["usage"]["prompt_tokens"] < 256


def test_a_client_that_goes_frees_the_engine(real: Serving) -> None:
    request = {
        "model": "Ana",
        "prompt": "One, two, three, four,",
        "max_tokens": 200,
        "stream": True,
    }
    with real.http() as http, http.stream("POST", "/v1/completions", json=request) as got:
        next(got.iter_lines())
        assert real.queue.running == 1
    eventually(lambda: real.queue.running == 0, seconds=60)
