"""Who may use an engine now: as many at once as it has slots, rooms in turn."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from myna.errors import BusyError

GONE_S = 0.2
"""How often somebody who waits is looked after."""


class Queue:
    """Admits `slots` calls at once; the rest waits, at most `most_waiting` of them.

    Each call has a key, such as its room. Keys that wait are served round-robin, and
    calls of one key in the order they came, so whoever asks much does not starve others.
    To be used from any number of threads.
    """

    def __init__(self, slots: int, most_waiting: int) -> None:
        self.slots = slots
        self.most_waiting = most_waiting
        self._lock = threading.Lock()
        self._free = slots
        self._waiting: dict[str, deque[threading.Event]] = {}
        """The calls of each key that wait, the key whose turn it is first. None wait
        while a slot is free."""

    @property
    def running(self) -> int:
        """How many calls hold a slot now."""
        return self.slots - self._free

    @property
    def waiting(self) -> int:
        """How many calls wait for one."""
        with self._lock:
            return self._count()

    @contextmanager
    def turn(self, key: str, gone: Callable[[], bool] | None = None) -> Iterator[None]:
        """Wait for a slot, hold it for the `with` block, and give it back.

        Whoever is `gone` waits no longer, and leaves their place to others.

        Raises:
            BusyError: too many wait already; nobody waits to learn that.
        """
        admitted = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                admitted.set()
            elif self._count() >= self.most_waiting:
                raise BusyError(
                    f"{self.slots} replies are being made and {self.most_waiting} wait: "
                    "try again in a moment"
                )
            else:
                self._waiting.setdefault(key, deque()).append(admitted)
        try:
            while not admitted.wait(None if gone is None else GONE_S):
                if gone is not None and gone():
                    raise BusyError("nobody waits for this any more")
        except BaseException:  # gone, or Ctrl-C
            self._leave(key, admitted)
            raise
        try:
            yield
        finally:
            with self._lock:
                self._pass_on()

    def _count(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _leave(self, key: str, admitted: threading.Event) -> None:
        """Wait no longer; a slot that was given in this very moment goes to the next."""
        with self._lock:
            if admitted.is_set():
                self._pass_on()
                return
            self._waiting[key].remove(admitted)
            if not self._waiting[key]:
                del self._waiting[key]

    def _pass_on(self) -> None:
        if not self._waiting:
            self._free += 1
            return
        key = next(iter(self._waiting))
        calls = self._waiting.pop(key)
        calls.popleft().set()
        if calls:
            self._waiting[key] = calls  # behind the other keys
