"""A fair queue for the slots of an engine: rooms take turns."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from myna.errors import BusyError

CANCEL_POLL_SECONDS = 0.2
"""Time between two looks at `is_cancelled`."""


class Queue:
    """Admits `slots` calls at once; of the others at most `max_waiting` wait. Thread-safe.

    Each call has a key, such as its room. Waiting keys are served round-robin, and calls of
    one key in order, so that a busy room does not starve others.
    """

    def __init__(self, slots: int, max_waiting: int) -> None:
        self.slots = slots
        self.max_waiting = max_waiting
        self._lock = threading.Lock()
        self._free = slots
        self._waiting: dict[str, deque[threading.Event]] = {}
        """Waiting calls by key, the next key first. None wait while a slot is free."""

    @property
    def running(self) -> int:
        """Number of calls that hold a slot."""
        return self.slots - self._free

    @property
    def waiting(self) -> int:
        """Number of calls that wait for a slot."""
        with self._lock:
            return self._count()

    @contextmanager
    def slot(self, key: str, is_cancelled: Callable[[], bool] | None = None) -> Iterator[None]:
        """Wait for a slot, hold it for the `with` block, and release it.

        A call that `is_cancelled` leaves the queue.

        Raises:
            BusyError: too many calls wait already, or this one was cancelled.
        """
        admitted = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                admitted.set()
            elif self._count() >= self.max_waiting:
                raise BusyError(
                    f"{self.slots} replies are being made and {self.max_waiting} wait: "
                    "try again in a moment"
                )
            else:
                self._waiting.setdefault(key, deque()).append(admitted)
        try:
            while not admitted.wait(None if is_cancelled is None else CANCEL_POLL_SECONDS):
                if is_cancelled is not None and is_cancelled():
                    raise BusyError("cancelled while waiting for a slot")
        except BaseException:  # cancelled, or Ctrl-C
            self._leave(key, admitted)
            raise
        try:
            yield
        finally:
            with self._lock:
                self._release()

    def _count(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _leave(self, key: str, admitted: threading.Event) -> None:
        """Leave the queue; a slot granted in this moment goes to the next call."""
        with self._lock:
            if admitted.is_set():
                self._release()
                return
            self._waiting[key].remove(admitted)
            if not self._waiting[key]:
                del self._waiting[key]

    def _release(self) -> None:
        if not self._waiting:
            self._free += 1
            return
        key = next(iter(self._waiting))
        calls = self._waiting.pop(key)
        calls.popleft().set()
        if calls:
            self._waiting[key] = calls  # behind the other keys
