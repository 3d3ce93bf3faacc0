"""Controls of repetition: what each engine is told, and that the text that comes out changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.engines.conftest import CONTEXT, collect
from tests.engines.servers import KEY, llama_server, told
from tests.engines.test_openai_engine import answering, engine, events, piece

from myna.config import EngineServer, Sampling
from myna.engines import client as client_
from myna.engines.engine import Engine, substitutes_used, with_substitutes
from myna.engines.llamacpp import sampler_fields
from myna.engines.open_engine import open_engine
from myna.engines.token_penalties import dry_penalties, tokens_since_breaker
from myna.models.bases import Base
from myna.rendering.tokenizer import Tokenizer

GREEDY = Sampling(temperature=0, max_new_tokens=8)
LOOP = "seven, eight, nine, ten, "
CONTROLS: list[dict[str, Any]] = [
    {"dry_multiplier": 0.8, "dry_allowed_length": 2},
    {"repetition_penalty": 1.8},
    {"presence_penalty": 2.0, "frequency_penalty": 2.0},
]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(client_.KEY_VARIABLE, KEY)


@pytest.fixture(scope="module")
def served(base: Base) -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch, llama_server(base, context=CONTEXT) as address:
        patch.setenv(client_.KEY_VARIABLE, KEY)
        yield open_engine("openai", base, context=CONTEXT, server=EngineServer(url=address))


@pytest.mark.model
@pytest.mark.parametrize("name", ["llamacpp", "transformers"])
class TestTheTextThatComesOut:
    @pytest.fixture
    def looping(self, name: str, request: pytest.FixtureRequest) -> Engine:
        found: Engine = request.getfixturevalue(name)
        assert {"dry", "penalties"} <= found.can
        return found

    @pytest.fixture
    def loop(self, tokenizer: Tokenizer) -> list[int]:
        return tokenizer.encode((LOOP * 5).strip()).ids

    def test_is_a_loop_without_them(self, looping: Engine, loop: list[int]) -> None:
        assert LOOP.strip() in collect(looping.stream(loop, GREEDY))[0]

    @pytest.mark.parametrize("control", CONTROLS, ids=lambda control: next(iter(control)))
    def test_is_none_with_one(
        self, looping: Engine, loop: list[int], control: dict[str, Any]
    ) -> None:
        assert "seven, eight" not in collect(looping.stream(loop, replace(GREEDY, **control)))[0]

    def test_is_one_where_dry_looks_at_too_few_tokens(
        self, looping: Engine, loop: list[int]
    ) -> None:
        few = replace(GREEDY, dry_multiplier=0.8, dry_allowed_length=2, dry_window=4)
        assert LOOP.strip() in collect(looping.stream(loop, few))[0]

    def test_is_one_where_each_repeat_begins_with_a_breaker(
        self, looping: Engine, tokenizer: Tokenizer
    ) -> None:
        """The breaker may have several tokens; the colon in a time is none."""
        loop = tokenizer.encode("Buzz Aldrin: at 10:30 in the lab\n" * 4 + "Buzz Aldrin:").ids
        dry = replace(GREEDY, dry_multiplier=0.8, dry_allowed_length=9, max_new_tokens=9)
        text = collect(
            looping.stream(loop, replace(dry, dry_sequence_breakers=("\n", "Buzz Aldrin:")))
        )[0]
        assert text.startswith(" at 10:30")
        short = replace(dry, dry_allowed_length=2, dry_sequence_breakers=("\n", "Buzz Aldrin:"))
        assert not collect(looping.stream(loop, short))[0].startswith(" at 10:30 in the lab")
        colons = replace(short, dry_sequence_breakers=("\n", ":"), max_new_tokens=4)
        assert collect(looping.stream(loop, colons))[0].startswith(" at")


@pytest.mark.model
def test_a_servers_dry_is_found_and_used(served: Engine, tokenizer: Tokenizer) -> None:
    assert {"dry", "penalties"} <= served.can
    loop = tokenizer.encode((LOOP * 5).strip()).ids
    assert LOOP.strip() in collect(served.stream(loop, GREEDY))[0]
    dry = replace(GREEDY, **CONTROLS[0])
    assert "seven, eight" not in collect(served.stream(loop, dry))[0]


class TestDry:
    """On words for tokens."""

    def penalties(self, text: str, **settings: Any) -> dict[str, float]:
        words = text.split(" ")
        ids = list(dict.fromkeys(words))
        sampling = Sampling(**{"dry_multiplier": 1.0, "dry_base": 2.0, **settings})
        found = dry_penalties([ids.index(w) for w in words], sampling, lambda i: ids[i] + " ")
        return {ids[token]: penalty for token, penalty in found.items()}

    def test_it_grows_with_the_repeat(self) -> None:
        text = "a b c d e f a b c d"
        assert self.penalties(text, dry_allowed_length=2) == {"e": 4.0}
        assert self.penalties(text, dry_allowed_length=4) == {"e": 1.0}
        assert self.penalties(text, dry_allowed_length=5) == {}
        assert self.penalties(text, dry_allowed_length=2, dry_multiplier=0.0) == {}

    def test_the_longest_of_several_repeats_counts(self) -> None:
        assert self.penalties("a b x b x a b", dry_allowed_length=1) == {"x": 2.0}

    def test_a_repeat_begins_behind_a_breaker(self) -> None:
        text = "a b \n c d e a b \n c d"
        breakers = {"dry_sequence_breakers": ("\n",)}
        assert self.penalties(text, dry_allowed_length=2, **breakers) == {"e": 1.0}
        assert self.penalties(text, dry_allowed_length=3, **breakers) == {}

    def test_a_breaker_is_never_penalized(self) -> None:
        text = "a b c \n d a b c"
        assert self.penalties(text, dry_allowed_length=2) == {}

    def test_the_window_ends_a_repeat(self) -> None:
        text = "a b c d e f a b c d"
        assert self.penalties(text, dry_allowed_length=2, dry_window=6) == {}

    def test_a_long_repeat_stays_finite(self) -> None:
        assert self.penalties("a " * 3000 + "a", dry_window=3000)["a"] < 1e39

    def test_breakers_are_found_across_tokens(self) -> None:
        pieces = ["x", "Bu", "zz", ": a", "b", "c"]
        assert tokens_since_breaker(range(6), ["Buzz:"], pieces.__getitem__) == 2
        assert tokens_since_breaker(range(6), ["Ana:"], pieces.__getitem__) == 6
        assert tokens_since_breaker(range(6), ["c"], pieces.__getitem__) == 0


def test_llamacpp_is_told_all_of_them() -> None:
    sampling = Sampling(
        repetition_penalty=1.1, presence_penalty=0.2, frequency_penalty=0.3, dry_multiplier=0.8,
        dry_base=1.5, dry_allowed_length=4, dry_window=500, dry_sequence_breakers=("\n", "Ana:"),
    )  # fmt: skip
    fields = sampler_fields(sampling)
    assert fields | {
        "repeat_penalty": 1.1, "repeat_last_n": 64, "presence_penalty": 0.2,
        "frequency_penalty": 0.3, "dry_multiplier": 0.8, "dry_base": 1.5, "dry_allowed_length": 4,
        "dry_penalty_last_n": 500, "dry_sequence_breakers": ["\n", "Ana:"],
    } == fields  # fmt: skip
    assert fields["samplers"].index("dry") < fields["samplers"].index("top_k")
    assert sampler_fields(Sampling())["dry_multiplier"] == 0


class TestSubstitutes:
    """A server of OpenAI's API, such as vLLM, that knows no DRY."""

    SAMPLING = Sampling(dry_multiplier=0.8, repetition_penalty=1.05, temperature=0)

    def test_they_are_named(self) -> None:
        assert substitutes_used(self.SAMPLING, frozenset({"penalties"})) == [
            "DRY: instead a frequency_penalty of half of dry_multiplier"
        ]
        assert len(substitutes_used(self.SAMPLING, frozenset())) == 2
        assert substitutes_used(Sampling(), frozenset()) == []

    def test_what_one_asked_for_stays_if_it_is_more(self) -> None:
        asked = replace(self.SAMPLING, frequency_penalty=1.0)
        assert with_substitutes(asked, frozenset()).frequency_penalty == 1.0
        strong = replace(self.SAMPLING, repetition_penalty=9.0)
        assert with_substitutes(strong, frozenset()).presence_penalty == 2.0

    @pytest.mark.model
    def test_the_server_gets_them(self, base: Base) -> None:
        asked: list[Any] = []
        answer = answering(events(piece("a", "stop")))

        def listening(path: str, body: Any) -> Any:
            asked.append(body)
            return answer(path, body)

        with told(listening) as address:
            found = engine(base, address)
            assert found.can == {"stream", "next_probs"}
            collect(found.stream([5, 6], self.SAMPLING))
        sent = asked[-1]
        assert sent["frequency_penalty"] == 0.4
        assert sent["presence_penalty"] == pytest.approx(0.5)
        assert not [name for name in sent if name.startswith(("dry", "repe"))]

    @pytest.mark.model
    def test_the_text_changes_with_them(
        self, served: Engine, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(served, "can", frozenset({"stream"}))
        loop = tokenizer.encode((LOOP * 5).strip()).ids
        strong = replace(GREEDY, dry_multiplier=4.0)
        assert LOOP.strip() in collect(served.stream(loop, GREEDY))[0]
        assert LOOP.strip() not in collect(served.stream(loop, strong))[0]
