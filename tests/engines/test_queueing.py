"""The queue for an engine: bounded, fair to rooms, and never short of a slot."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.engines.queueing import Queue
from myna.errors import BusyError, EngineError


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so that other threads bring about."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "never came"
        time.sleep(0.001)


def order_of(queue: Queue, keys: list[str]) -> list[str]:
    """The order in which calls are served that came in this one while a slot was busy."""
    served: list[str] = []

    def call(name: str, key: str) -> None:
        with queue.slot(key):
            served.append(name)

    threads = []
    with queue.slot("before"):
        for number, key in enumerate(keys):
            threads.append(threading.Thread(target=call, args=(f"{key}{number}", key)))
            threads[-1].start()
            until(lambda wanted=number + 1: queue.waiting == wanted)  # type: ignore[misc]
    for thread in threads:
        thread.join()
    return served


def test_rooms_are_served_in_turn_and_calls_of_a_room_in_order() -> None:
    assert order_of(Queue(1, 9), ["a", "a", "a", "b", "c", "b"]) == [
        "a0", "b3", "c4", "a1", "b5", "a2",
    ]  # fmt: skip


@given(st.lists(st.sampled_from("abcd"), max_size=8))
@settings(max_examples=30, deadline=None)
def test_nobody_is_served_twice_while_another_room_waits(keys: list[str]) -> None:
    served = order_of(Queue(1, 99), keys)
    assert sorted(served) == sorted(f"{key}{number}" for number, key in enumerate(keys))
    for at, name in enumerate(served):
        later = served[at:]
        again = next((i for i, other in enumerate(later[1:], 1) if other[0] == name[0]), None)
        waiting = {other[0] for other in later} - {name[0]}
        if again is not None:
            assert waiting <= {other[0] for other in later[:again]}


def test_as_many_run_at_once_as_there_are_slots() -> None:
    queue = Queue(3, 99)
    most = 0
    running = 0
    lock = threading.Lock()
    chance = random.Random(1)
    waits = [chance.random() / 500 for _ in range(60)]

    def call(number: int) -> None:
        nonlocal most, running
        with queue.slot(str(number % 7)):
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(waits[number])
            with lock:
                running -= 1

    threads = [threading.Thread(target=call, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, running, queue.running, queue.waiting) == (3, 0, 0, 0)


def test_past_the_bound_it_says_so_at_once() -> None:
    queue = Queue(1, 1)
    with queue.slot("a"):
        waiting = threading.Thread(target=lambda: queue.slot("b").__enter__())
        waiting.start()
        until(lambda: queue.waiting == 1)
        with pytest.raises(BusyError, match="1 replies are being made and 1 wait: try again"):
            queue.slot("c").__enter__()
        assert queue.waiting == 1
    waiting.join()
    assert issubclass(BusyError, EngineError)


def test_without_a_waiting_room_only_slots_count() -> None:
    queue = Queue(2, 0)
    with queue.slot("a"), queue.slot("a"), pytest.raises(BusyError):
        queue.slot("b").__enter__()
    with queue.slot("b"):
        assert queue.running == 1


def test_an_exception_gives_the_slot_back() -> None:
    queue = Queue(1, 0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), queue.slot("a"):
            _ = 1 / 0
    assert queue.running == 0


@pytest.mark.parametrize("given_meanwhile", [False, True])
def test_who_is_interrupted_while_waiting_takes_no_slot(
    monkeypatch: pytest.MonkeyPatch, given_meanwhile: bool
) -> None:
    queue = Queue(1, 9)
    first = queue.slot("a")
    first.__enter__()

    def interrupted(self: threading.Event, timeout: float | None = None) -> bool:
        if given_meanwhile:
            first.__exit__(None, None, None)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Event, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            queue.slot("b").__enter__()
    assert queue.waiting == 0
    if not given_meanwhile:
        first.__exit__(None, None, None)
    with queue.slot("c"):
        assert queue.running == 1
