"""Other processes, one for each core, that share a stage's work."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

R = TypeVar("R")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes; what is not begun when they are left is cancelled."""
    # Not forked: what a fork copies of polars' threads may be locked.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin) as executor:
        try:
            yield executor
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def in_order(submitted: Iterable[Future[R]], most: int) -> Iterator[R]:
    """The results, in order; at most `most` are awaited before the next is taken, and so made.

    Raises:
        BrokenProcessPool: the system stopped a process.
    """
    waiting: deque[Future[R]] = deque()
    for future in submitted:
        waiting.append(future)
        if len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _begin() -> None:
    """Ctrl-C is for the process that started this one, and which then ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # There is a process for each core; this is before the first import of polars.
    os.environ["POLARS_MAX_THREADS"] = "1"
