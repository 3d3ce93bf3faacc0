"""The OpenAI-compatible API over a clone in which each person has an adapter, and so an engine."""

from __future__ import annotations

import math

import httpx2 as httpx
import pytest
from tests.serving.conftest import PERSONAS, Serving, Starter, eventually

PROMPT = "A chat in tea: Ben, Me.\nMe: hi\nBen:"


@pytest.fixture
def serving(start: Starter) -> Serving:
    return start(per_person=True)


def test_each_speaks_by_their_own(serving: Serving) -> None:
    for person in PERSONAS:
        serving.engines[person].says = lambda _, person=person: f" {person} here\n"
        answer = serving.ask(model=person).json()["choices"][0]["message"]["content"]
        assert answer == f"{person} here"


def test_usage_is_of_the_engine_that_spoke(serving: Serving) -> None:
    serving.engines["Ben"].says = lambda _: " fine\n"
    used = serving.ask(model="Ben").json()["usage"]
    assert used["prompt_tokens"] == len(PROMPT)
    assert used["completion_tokens"] >= len(" fine")


def test_a_reply_that_is_cut_off_says_length(serving: Serving) -> None:
    serving.engines["Ben"].says = lambda _: " one two three\n"
    [choice] = serving.ask(model="Ben", max_tokens=4).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one", "length")


def test_log_probabilities_are_of_the_engine_that_spoke(serving: Serving) -> None:
    serving.engines["Ben"].says = lambda _: " ok\n"
    serving.engines["Ben"].likely = {"o": 0.5}
    told = serving.ask(model="Ben", logprobs=True).json()["choices"][0]["logprobs"]
    assert [token["token"] for token in told["content"]] == [" ", "o", "k"]
    assert told["content"][1]["logprob"] == pytest.approx(math.log(0.5))


def test_plain_text_is_continued_by_the_persons_own(serving: Serving) -> None:
    serving.engines["Ben"].says = lambda _: " upon a time"
    with serving.http() as http:
        done = http.post("/v1/completions", json={"model": "Ben", "prompt": "Once"}).json()
    assert done["choices"][0]["text"] == " upon a time"


def test_a_client_that_left_is_noticed(serving: Serving) -> None:
    engine = serving.engines["Ben"]
    engine.go.clear()  # it goes on giving nothing, as while a long prompt is read
    body = {"model": "Ben", "messages": [{"role": "user", "content": "hi"}]}
    with serving.http() as http, pytest.raises(httpx.ReadTimeout):
        http.post("/v1/chat/completions", json=body, timeout=0.5)
    eventually(lambda: engine.prompts and not engine.running, 3)
    assert engine.letters == 0


def test_closing_closes_every_engine(serving: Serving) -> None:
    serving.rooms.clone.close()
    assert all(engine.closed for engine in serving.engines.values())
