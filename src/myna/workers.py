"""Worker processes, one for each core, that share a stage's work."""

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

T = TypeVar("T")
R = TypeVar("R")

MIN_MESSAGES = 100_000
"""Fewer messages are done before worker processes have started."""

MAX_WORKERS = 8


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes; tasks that have not started when the block ends are cancelled."""
    # Not forked: a fork copies the locks of polars' threads, which may be held.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_init_worker) as executor:
        try:
            yield executor
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def in_order(submitted: Iterable[Future[R]], max_waiting: int) -> Iterator[R]:
    """The results in order; at most `max_waiting` futures are drawn ahead of them.

    Raises:
        BrokenProcessPool: the system stopped a process.
    """
    waiting: deque[Future[R]] = deque()
    for future in submitted:
        waiting.append(future)
        if len(waiting) > max_waiting:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _init_worker() -> None:
    """Leave Ctrl-C to the process that started this one, which then ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # One thread for each process: they are as many as the cores. Set before polars is imported.
    os.environ["POLARS_MAX_THREADS"] = "1"


@dataclass(frozen=True)
class WorkerPool:
    """Worker processes; without an executor, this process does the work itself."""

    executor: ProcessPoolExecutor | None = None
    workers: int = 1

    def map(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """The results of a function for each task, in order; few tasks wait at a time.

        Args:
            function: of a module, or a `partial` of one, as other processes call it by name.
            tasks: drawn while earlier ones are worked on.

        Raises:
            WorkspaceError: the system stopped a process, most likely for want of memory.
        """
        if self.executor is None:
            yield from map(function, tasks)
            return
        submitted = (self.executor.submit(function, task) for task in tasks)
        try:
            yield from in_order(submitted, self.workers + 1)
        except BrokenProcessPool as error:
            raise WorkspaceError(
                "the system stopped a worker process, most likely for want of memory: close other "
                "programs and try again"
            ) from error


@contextmanager
def worker_pool(messages: int) -> Iterator[WorkerPool]:
    """A pool for so many messages."""
    count = min(cores(), MAX_WORKERS)
    if messages < MIN_MESSAGES or count < 2:
        yield WorkerPool()
        return
    with pool(count) as executor:
        yield WorkerPool(executor, count)
