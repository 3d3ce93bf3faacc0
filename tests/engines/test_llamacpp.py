"""llama.cpp's own: nobody else can ask it, and adapters do not mix."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.conftest import CONTEXT, collect, distance

from myna.config import Sampling
from myna.engines.engine import Engine
from myna.engines.llamacpp import LlamaCpp, Slots
from myna.engines.open_engine import open_engine
from myna.errors import EngineError
from myna.models.bases import Base
from myna.rendering.tokenizer import Tokenizer

pytestmark = pytest.mark.model


def test_it_cannot_score_and_says_so(llamacpp: Engine, prompt: list[int]) -> None:
    assert llamacpp.can == {"stream", "next_probs", "dry", "penalties"}
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
        collect(llamacpp.stream(prompt, Sampling(seed=1, max_new_tokens=4)))
        assert distance(llamacpp.next_probs(prompt), expected) < 0.15
        collect(adapted.stream(prompt, Sampling(seed=1, max_new_tokens=4)))
        assert distance(adapted.next_probs(prompt), changed) < 0.15
    assert distance(expected, changed) > 0.5


def test_a_stream_left_open_does_not_stop_the_next_call(
    llamacpp: Engine, prompt: list[int]
) -> None:
    stream = llamacpp.stream(prompt, Sampling(seed=1, max_new_tokens=20))
    first = next(stream)
    assert llamacpp.next_probs(prompt, 1)
    rest, why = collect(stream)
    assert why == "length"
    assert (first + rest, why) == collect(
        llamacpp.stream(prompt, Sampling(seed=1, max_new_tokens=20))
    )


@pytest.mark.parametrize("ending", ["", "stream.close()", "engine.close()", "del stream"])
def test_a_program_may_end_while_a_reply_is_made(base: Base, ending: str) -> None:
    """A thread in llama.cpp that outlives Python would bring the program down."""
    program = f"""
from myna.config import Sampling
from myna.engines.llamacpp import LlamaCpp
from myna.models.bases import find_base
engine = LlamaCpp(find_base({base.name!r}, weights=False), None, 512)
stream = engine.stream([40, 41, 42], Sampling(seed=1, max_new_tokens=400))
next(stream)
{ending}
print("ended")
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


class TestSlots:
    """Several rooms in one engine: at once, each with a context and a memory of its own."""

    @pytest.fixture(scope="class")
    def shared(self, base: Base) -> Iterator[LlamaCpp]:
        engine = LlamaCpp(base, None, CONTEXT, slots=2)
        yield engine
        engine.close()

    def prompts(self, tokenizer: Tokenizer, count: int) -> list[list[int]]:
        texts = (f"Radio {n}\nCDR: Roger, Houston. {n} is" for n in range(count))
        return [tokenizer.encode(text).ids for text in texts]

    def test_rooms_at_once_say_what_they_would_say_alone(
        self, shared: LlamaCpp, llamacpp: Engine, tokenizer: Tokenizer
    ) -> None:
        """More rooms than slots; two tokens that are alike may change places in a batch."""
        prompts = self.prompts(tokenizer, 5)
        alone = [
            collect(llamacpp.stream(p, Sampling(temperature=0, max_new_tokens=6))) for p in prompts
        ]
        with ThreadPoolExecutor(5) as pool:
            found = pool.map(
                lambda p: collect(shared.stream(p, Sampling(temperature=0, max_new_tokens=6))),
                prompts,
            )
            assert list(found) == alone

    def test_a_room_that_made_way_comes_back_as_it_was(
        self, shared: LlamaCpp, tokenizer: Tokenizer
    ) -> None:
        prompts = self.prompts(tokenizer, 5)
        first = [shared.next_probs(p, 50) for p in prompts]
        for _ in range(2):
            assert [shared.next_probs(p, 50) for p in prompts] == [
                pytest.approx(probs, rel=0.02) for probs in first
            ]

    def test_each_has_all_of_the_context(self, shared: LlamaCpp, tokenizer: Tokenizer) -> None:
        long = tokenizer.encode(" one two three" * 200).ids[: CONTEXT - 3]
        streams = [
            shared.stream([7 + n, *long[1:]], Sampling(seed=1, max_new_tokens=50)) for n in range(2)
        ]
        for stream in streams:
            text, why = collect(stream)
            assert why == "length"
            assert 0 < len(tokenizer.encode(text).ids) <= 4

    def test_streams_that_nobody_reads_on_give_their_slots_back(
        self, shared: LlamaCpp, prompt: list[int]
    ) -> None:
        left = [shared.stream(prompt, Sampling(seed=s, max_new_tokens=20)) for s in range(3)]
        assert all(next(stream) for stream in left[:2])
        assert shared.next_probs(prompt, 1)
        assert [collect(stream)[1] for stream in left] == ["length"] * 3

    def test_a_long_prompt_can_be_cancelled_before_it_is_read(
        self, base: Base, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine = LlamaCpp(base, None, 1024)
        server, read = engine._server, []

        class Watched:
            def handle_completions(self, request: Any, receive: Any) -> Any:
                def watching(chunk: Any) -> bool:
                    read.append(chunk["prompt_progress"]["processed"])
                    return bool(receive(chunk))

                return server.handle_completions(request, watching)

        monkeypatch.setattr(engine, "_server", Watched())
        stream = engine.stream(
            [40 + n % 500 for n in range(1000)], Sampling(seed=1, max_new_tokens=50)
        )
        assert next(stream) == ""
        stream.close()
        with engine._slots.held([]):  # it has been given back
            assert read[-1] < 600
        engine.close()


SYSTEM = [1, 2, 3, 4]


def used(slots: Slots, *prompts: list[int]) -> list[int]:
    found = []
    for prompt in prompts:
        with slots.held(prompt) as slot:
            found.append(slot)
    return found


def test_each_room_keeps_its_slot_while_it_grows() -> None:
    a, b = [*SYSTEM, *range(10, 20)], [*SYSTEM, *range(20, 30)]
    first, second, *rest = used(Slots(3), a, b, [*a, 30, 31], [*b, 33], [*a, 30, 31, 32])
    assert first != second
    assert rest == [first, second, first]


def test_a_short_room_takes_an_empty_slot_and_not_a_long_one_that_begins_alike() -> None:
    a = [*SYSTEM, *range(10, 40)]
    first, second = used(Slots(2), a, [*SYSTEM, 50])
    assert first != second


def test_the_room_that_was_silent_longest_makes_way() -> None:
    a, b, c = [10, 11], [20, 21], [30, 31]
    slots = Slots(2)
    first, second, third = used(slots, a, b, c)
    assert third == first
    assert used(slots, b, c) == [second, first]


def test_a_turn_that_is_said_anew_finds_its_slot() -> None:
    a = [*SYSTEM, *range(10, 20)]
    first, again = used(Slots(2), a, [*a[:-3], 99])
    assert first == again


def test_a_slot_in_use_is_never_given_away() -> None:
    slots = Slots(1)
    order = []

    def other() -> None:
        with slots.held([1, 2, 3]):
            order.append("other")

    with slots.held([1, 2, 3]):
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.05)
        order.append("mine")
    thread.join()
    assert order == ["mine", "other"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), max_size=5), max_size=12), st.integers(1, 4))
def test_all_slots_come_back(prompts: list[list[int]], count: int) -> None:
    slots = Slots(count)
    assert all(0 <= slot < count for slot in used(slots, *prompts))
    held = [slots.held([1]) for _ in range(count)]
    assert sorted(context.__enter__() for context in held) == list(range(count))
