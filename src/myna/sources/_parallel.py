"""Work on large files, shared out to the machine's cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from myna.errors import SourceError

FROM_BYTES = 64 * 2**20
"""Files below this are read sooner than other processes have begun."""

MOST_WORKERS = 8
"""Reading the disk and writing the tables keep up with no more."""

T = TypeVar("T")
R = TypeVar("R")


def ordered(function: Callable[[T], R], tasks: Iterable[T], size: int, place: str) -> Iterator[R]:
    """What a function makes of each task, in their order; few tasks are waiting at a time.

    Args:
        function: of a module, since other processes call it by name.
        tasks: made while earlier ones are worked on.
        size: bytes of the file; small ones are done in this process.
        place: the file's, for messages to the user.

    Raises:
        SourceError: the system stopped a process, most likely for want of memory.
    """
    workers = min(_cores(), MOST_WORKERS)
    if size < FROM_BYTES or workers < 2:
        yield from map(function, tasks)
        return
    # Not forked: what a fork copies of polars' threads may be locked.
    context = multiprocessing.get_context("spawn")
    waiting: deque[Future[R]] = deque()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_ctrl_c) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(function, task))
                if len(waiting) > workers + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise SourceError(
                f"{place}: a process that read it was stopped: close other programs, try again"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _leave_ctrl_c() -> None:
    """Ctrl-C is for the process that started this one, and which then ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
