"""A room finds the slot that has its prompt; nobody takes another's without need."""

from __future__ import annotations

import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from myna.engines.llamacpp_slots import Slots

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
