"""Which of llama.cpp's slots a prompt goes to, so that each room finds its own again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

CONTINUES = 0.5
"""A prompt goes on from an earlier one if it begins with at least this share of it. Rooms
share their first lines, so less would make them overwrite each other."""


class Slots:
    """The slots, each with the prompt whose state it keeps; for any number of threads.

    llama.cpp's own choice takes any slot that shares a tenth of the prompt.
    """

    def __init__(self, count: int) -> None:
        self._kept: list[list[int]] = [[] for _ in range(count)]
        self._free = list(range(count))
        """The slots that nobody uses, the one used longest ago first."""
        self._freed = threading.Condition()

    @contextmanager
    def held(self, prompt: Sequence[int]) -> Iterator[int]:
        """Wait for a slot, the best for `prompt` of those free, and hold it."""
        with self._freed:
            self._freed.wait_for(lambda: self._free)
            slot = self._best(prompt)
            self._free.remove(slot)
            self._kept[slot] = list(prompt)
        try:
            yield slot
        finally:
            with self._freed:
                self._free.append(slot)
                self._freed.notify()

    def _best(self, prompt: Sequence[int]) -> int:
        """The free slot with the most of `prompt`; else an empty one; else the oldest."""
        shared = {slot: _shared(self._kept[slot], prompt) for slot in self._free}
        going_on = [slot for slot in self._free if shared[slot] > CONTINUES * len(self._kept[slot])]
        if going_on:
            return max(going_on, key=lambda slot: shared[slot])
        return min(self._free, key=lambda slot: bool(self._kept[slot]))


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens are the same."""
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return at
    return min(len(one), len(other))
