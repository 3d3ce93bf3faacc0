"""Other processes, one for each core, that share a stage's work."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from myna.errors import WorkspaceError

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


FROM = 100_000
"""Messages from which other processes have begun before this one would be done."""

MOST = 8

T = TypeVar("T")


@dataclass(frozen=True)
class Crew:
    """Who does the work: this process, or others."""

    pool: ProcessPoolExecutor | None = None
    workers: int = 1

    def each(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """What a function makes of each task, in order; few tasks wait at a time.

        Args:
            function: of a module, or a `partial` of one, as other processes call it by name.
            tasks: made while earlier ones are worked on.

        Raises:
            WorkspaceError: the system stopped a process, most likely for want of memory.
        """
        if self.pool is None:
            yield from map(function, tasks)
            return
        submitted = (self.pool.submit(function, task) for task in tasks)
        try:
            yield from in_order(submitted, self.workers + 1)
        except BrokenProcessPool as error:
            raise WorkspaceError(
                "a process that prepared messages was stopped: close other programs, try again"
            ) from error


@contextmanager
def crew(messages: int) -> Iterator[Crew]:
    """The processes for so many messages, for as long as they are needed."""
    count = min(cores(), MOST)
    if messages < FROM or count < 2:
        yield Crew()
        return
    with pool(count) as executor:
        yield Crew(executor, count)
