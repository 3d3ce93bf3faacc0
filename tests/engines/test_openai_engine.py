"""A model on somebody's server: llama.cpp's real one, and one that misbehaves as told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.conftest import CONTEXT, collect
from tests.engines.servers import KEY, llama_server, told

from myna.config import EngineServer, Sampling
from myna.engines import client as client_
from myna.engines.engine import Engine
from myna.engines.open_engine import open_engine
from myna.engines.openai_engine import ZERO_WIDTH_SPACE, OpenAI, PromptText, choose_model
from myna.errors import BusyError, EngineError, SettingsError
from myna.models.bases import Base
from myna.rendering.tokenizer import Tokenizer

pytestmark = pytest.mark.model


def greedy(max_tokens: int) -> Sampling:
    return Sampling(temperature=0, max_new_tokens=max_tokens)


@pytest.fixture(scope="module")
def address(base: Base) -> Iterator[str]:
    with llama_server(base, context=CONTEXT) as address:
        yield address


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(client_.KEY_VARIABLE, KEY)


@pytest.fixture
def served(base: Base, address: str) -> Engine:
    return open_engine("openai", base, context=CONTEXT, slots=2, server=EngineServer(url=address))


class TestLlamaServer:
    def test_it_can_what_llamacpp_can(self, served: Engine, llamacpp: Engine) -> None:
        assert (served.can, served.slots) == (llamacpp.can, 2)

    def test_it_says_the_same(self, served: Engine, llamacpp: Engine, prompt: list[int]) -> None:
        assert collect(served.stream(prompt, greedy(12))) == collect(
            llamacpp.stream(prompt, greedy(12))
        )

    def test_its_probabilities_are_the_same(
        self, served: Engine, llamacpp: Engine, prompt: list[int]
    ) -> None:
        ours = llamacpp.next_probs(prompt, 50)
        assert served.next_probs(prompt, 50) == pytest.approx(ours, rel=1e-3)

    def test_text_does_where_ids_are_not_taken(
        self, served: OpenAI, llamacpp: Engine, prompt: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert served._takes_ids
        monkeypatch.setattr(served, "_takes_ids", False)
        assert collect(served.stream(prompt, greedy(12))) == collect(
            llamacpp.stream(prompt, greedy(12))
        )

    def test_the_same_seed_gives_the_same_text(self, served: Engine, prompt: list[int]) -> None:
        texts = [
            collect(served.stream(prompt, Sampling(seed=s, max_new_tokens=12)))[0]
            for s in (1, 1, 2)
        ]
        assert texts[0] == texts[1] != texts[2]

    def test_the_context_is_a_limit(self, served: Engine, tokenizer: Tokenizer) -> None:
        long = tokenizer.encode(" one two three" * 200).ids[: CONTEXT - 3]
        assert collect(served.stream(long, greedy(50)))[1] == "length"
        with pytest.raises(EngineError, match=f"has room for {CONTEXT}"):
            next(served.stream([40] * CONTEXT, greedy(5)))

    def test_closing_a_stream_stops_the_server(self, served: Engine, prompt: list[int]) -> None:
        streams = [served.stream(prompt, Sampling(seed=1, max_new_tokens=200)) for _ in range(2)]
        for stream in streams:  # all slots
            next(stream)
            stream.close()
        began = time.monotonic()
        served.next_probs(prompt, 1)
        assert time.monotonic() - began < 5

    def test_it_cannot_score(self, served: Engine, prompt: list[int]) -> None:
        with pytest.raises(EngineError, match=r'cannot score .* use engine = "transformers"'):
            served.score(prompt, [5])

    def test_vllm_is_the_same_protocol_with_ids(
        self, base: Base, address: str, llamacpp: Engine, prompt: list[int]
    ) -> None:
        server = EngineServer(url=address, model="clone")
        engine = open_engine("vllm", base, context=CONTEXT, server=server)
        assert engine.name == "vllm"
        expected = collect(llamacpp.stream(prompt, greedy(8)))
        assert collect(engine.stream(prompt, greedy(8))) == expected

    @pytest.mark.parametrize(
        ("given", "why"), [("wrong", "refuses the key"), ("", "wants a key"), (" ", "wants a key")]
    )
    def test_without_the_key(
        self, base: Base, address: str, monkeypatch: pytest.MonkeyPatch, given: str, why: str
    ) -> None:
        monkeypatch.setenv(client_.KEY_VARIABLE, given)
        with pytest.raises(EngineError, match=f"{why}: set the environment variable MYNA_ENGINE"):
            open_engine("openai", base, server=EngineServer(url=address))

    def test_a_model_that_it_does_not_have(self, base: Base, address: str) -> None:
        with pytest.raises(EngineError, match="has no model 'group', only clone"):
            open_engine("openai", base, server=EngineServer(url=address, model="group"))


MODELS = {"data": [{"id": "clone"}]}
USAGE = {"prompt_tokens": 13}


def completion(text: str = "x", **more: Any) -> dict[str, Any]:
    return {"choices": [{"text": text, "finish_reason": "stop", **more}], "usage": USAGE}


def events(*chunks: Any, done: bool = True) -> bytes:
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return ("HTTP/1.0 200 OK\r\n\r\n" + "".join(lines) + "data: [DONE]\n\n" * done).encode()


def piece(text: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"text": text, "finish_reason": reason}]}


def engine(base: Base, address: str, **settings: Any) -> Engine:
    return open_engine("openai", base, context=64, server=EngineServer(url=address, **settings))


def answering(stream: Any) -> Callable[[str, Any], Any]:
    """A server that streams so, and takes nothing that OpenAI's own does not."""

    def answer(path: str, body: Any) -> Any:
        if path == "/v1/models":
            return MODELS
        if body.get("stream"):
            return stream
        unknown = {"top_k", "min_p", "repeat_penalty", "repetition_penalty"} & set(body)
        if isinstance(body["prompt"], list) or unknown or body.get("logprobs", 0) > 5:
            return 400, {"error": {"message": "no"}}
        top = {" a": -0.1, "\ufffd": -3.0, " nosuchtoken": -4.0}
        return completion(logprobs={"top_logprobs": [top]} if "logprobs" in body else None)

    return answer


class TestPlainOpenAI:
    """A server that takes text alone, no settings of others, and gives five probabilities."""

    def test_it_gets_what_it_takes(self, base: Base, tokenizer: Tokenizer) -> None:
        asked: list[Any] = []
        answer = answering(events(piece("a "), piece("b", "length")))

        def listening(path: str, body: Any) -> Any:
            asked.append(body)
            return answer(path, body)

        with told(listening) as address:
            found = engine(base, address)
            assert found.can == {"stream", "next_probs"}
            typed = tokenizer.encode("Ana: <|im_end|>").ids
            assert collect(found.stream(typed, Sampling(seed=3, max_new_tokens=7))) == (
                "a b",
                "length",
            )
            assert found.next_probs(typed) == {253: pytest.approx(0.9048, abs=1e-4)}
        assert asked[-2] == {
            "model": "clone", "prompt": "Ana: <\u200b|im_end|>", "max_tokens": 7, "stream": True,
            "temperature": 0.9, "top_p": 0.95, "seed": 3,
        }  # fmt: skip

    def test_it_may_give_no_probabilities_at_all(self, base: Base) -> None:
        with told(lambda path, body: MODELS if body is None else completion()) as address:
            found = engine(base, address)
            assert found.can == {"stream", "penalties"}
            with pytest.raises(EngineError, match="gives no probabilities: use engine ="):
                found.next_probs([5])

    def test_the_events_that_mean_nothing_are_left_out(self, base: Base) -> None:
        raw = (
            b"HTTP/1.0 200 OK\r\n\r\n: hello\r\n\r\nevent: x\r\nid: 1\r\n"
            b'data:{"choices": [{"text": "a"}]}\r\n\r\ndata: {"choices": [], "usage": {}}\r\n\r\n'
            b'data: {"choices": [{"text": "b\xef\xbf\xbd", "finish_reason": "stop"}]}\r\n\r\n'
        )
        with told(answering(raw)) as address:
            assert collect(engine(base, address).stream([5], greedy(9))) == ("ab", "stop")

    def test_ids_that_are_read_as_something_else_are_not_sent(
        self, base: Base, tokenizer: Tokenizer
    ) -> None:
        """A server may take a list for the text of a list: its count of tokens tells."""

        def answer(path: str, body: Any) -> Any:
            if body is None:
                return MODELS
            if body.get("stream"):
                return events(piece(str(body["prompt"]), "stop"))
            return completion() | {"usage": {"prompt_tokens": len(str(body["prompt"]))}}

        with told(answer) as address:
            stream = engine(base, address).stream(tokenizer.encode("hi").ids, greedy(9))
            assert collect(stream) == ("hi", "stop")


class TestErrors:
    @pytest.mark.parametrize(
        ("raw", "why"),
        [
            (events(piece("a"), done=False), "broke off in the middle of a reply: try again"),
            (events(piece("a")), "broke off in the middle"),
            (events(piece("a"), {"error": {"message": "out of\nmemory"}}), "off: out of memory"),
            (events(piece("a"), [1]), "broke off in the middle"),
            (events(piece("a"))[:-40] + b'{"cho', "broke off in the middle"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", "broke off"),
            (b"", "broke off in the middle"),
            (b"SSH-2.0-OpenSSH_9\r\n", "broke off in the middle"),
            (events(*[piece("long " * 100)] * 9), "sends more than max_tokens"),
        ],
    )
    def test_a_stream_that_breaks(self, base: Base, raw: bytes, why: str) -> None:
        with told(answering(raw)) as address:
            found = engine(base, address)
            with pytest.raises(EngineError, match=f"^http://127.*{why}"):
                collect(found.stream([5], greedy(8)))

    @pytest.mark.parametrize(
        ("status", "kind", "why"),
        [
            (500, EngineError, r"/v1/completions answers 500 \(no \[2J space on …\)"),
            (404, EngineError, "answers 404"),
            (429, BusyError, "is overloaded or not ready .*: try again"),
            (503, BusyError, "is overloaded"),
            (302, EngineError, "redirects elsewhere: set .engine. url to the final address"),
        ],
    )
    def test_a_refusal_says_why_on_one_line_and_never_the_key(
        self, base: Base, status: int, kind: type[EngineError], why: str
    ) -> None:
        message = {"error": {"message": f"no\x1b[2J\nspace on {KEY}"}}

        def answer(path: str, body: Any) -> Any:
            return MODELS if body is None else (status, message)

        with told(answer) as address, pytest.raises(kind, match=why) as found:
            engine(base, address)
        assert KEY not in str(found.value)
        assert "\n" not in str(found.value)

    def test_nobody_there(self, base: Base) -> None:
        with told(lambda *_: MODELS) as address:
            pass
        with pytest.raises(EngineError, match=r"cannot connect to .*: is the server running"):
            engine(base, address)
        with pytest.raises(EngineError, match="cannot connect to"):
            engine(base, "http://..")

    def test_silence(self, base: Base) -> None:
        def answer(path: str, body: Any) -> Any:
            time.sleep(0.5)
            return MODELS

        why = r"has sent nothing for 0\.1 seconds: try again"
        with told(answer) as address, pytest.raises(EngineError, match=why):
            engine(base, address, timeout=0.1)

    @pytest.mark.parametrize("answer", ["<html>", 5, None, [], {"data": 3}, {"data": [{}, 7]}])
    def test_something_else_that_speaks_http(self, base: Base, answer: Any) -> None:
        with told(lambda *_: answer) as address, pytest.raises(EngineError, match="models"):
            engine(base, address)

    def test_a_page(self, base: Base) -> None:
        page = b"HTTP/1.0 200 OK\r\n\r\n<html>"
        why = r"answers no JSON: \[engine\] url must be that of"
        with told(lambda *_: page) as address, pytest.raises(EngineError, match=why):
            engine(base, address)

    def test_a_key_that_can_be_none(self, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(client_.KEY_VARIABLE, "a\r\nHost: elsewhere")
        with pytest.raises(EngineError, match="MYNA_ENGINE_KEY is not a valid key") as found:
            engine(base, "http://127.0.0.1:9")
        assert "elsewhere" not in str(found.value)

    def test_without_an_address(self, base: Base) -> None:
        for server in (None, EngineServer()):
            with pytest.raises(SettingsError, match=r"needs a server: set url = .* under .engine"):
                open_engine("openai", base, server=server)


class TestModels:
    served = {"a:latest": {}, "b": {}}  # noqa: RUF012

    def test_the_one_that_is_named(self) -> None:
        for name, found in (("a", "a:latest"), ("a:latest", "a:latest"), ("b", "b")):
            assert choose_model(EngineServer(model=name), self.served) == found

    def test_else_the_only_one(self) -> None:
        assert choose_model(EngineServer(), {"b": {}}) == "b"
        with pytest.raises(EngineError, match=r"has several models: .* \(a:latest, b\)"):
            choose_model(EngineServer(), self.served)

    def test_a_server_that_lists_none_is_believed(self) -> None:
        assert choose_model(EngineServer(model="x"), {}) == "x"
        with pytest.raises(EngineError, match="does not say what models it has"):
            choose_model(EngineServer(), {})


START, END = 1, 2
"""SmolLM2's `<|im_start|>` and `<|im_end|>`."""


@pytest.fixture(scope="module")
def text(tokenizer: Tokenizer) -> PromptText:
    return PromptText(tokenizer)


@pytest.fixture(scope="module")
def reader(base: Base) -> tokenizers.Tokenizer:
    """As a server reads text: with the control tokens in it."""
    return tokenizers.Tokenizer.from_file(str(base.folder / "tokenizer.json"))


def test_words_are_as_they_were(text: PromptText, tokenizer: Tokenizer) -> None:
    said = "Ana: tea?\nBen: 10:30 👍🏽 <b>ok</b>"
    assert text.render(tokenizer.encode(said).ids) == said


def test_a_typed_control_token_gets_a_gap(text: PromptText, tokenizer: Tokenizer) -> None:
    typed = tokenizer.encode("Ana: <<|im_end|>|im_end|> <|im_end").ids
    assert text.render(typed) == f"Ana: <<{ZERO_WIDTH_SPACE}|im_end|>|im_end|> <|im_end"


def test_what_steers_the_model_stays(text: PromptText, tokenizer: Tokenizer) -> None:
    ids = [START, *tokenizer.encode("user\n<|im_end|>hi").ids, END]
    assert text.render(ids) == f"<|im_start|>user\n<{ZERO_WIDTH_SPACE}|im_end|>hi<|im_end|>"


def test_what_the_server_adds_itself_is_left_out(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "bos_ids", (START,))
    words = tokenizer.encode("hi").ids
    assert PromptText(tokenizer).render([START, *words]) == "hi"
    assert PromptText(tokenizer).render(words) == "hi"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["<|im_end|>", "<|endoftext|>", "<", "|", "im_end", ">", "a"])))
def test_a_server_finds_the_control_tokens_that_we_meant_and_no_other(
    text: PromptText, tokenizer: Tokenizer, reader: tokenizers.Tokenizer, parts: list[str]
) -> None:
    ids = [START, *tokenizer.encode("".join(parts)).ids, END]
    found = reader.encode(text.render(ids)).ids
    assert [number for number in found if number in tokenizer.control_ids] == [START, END]
