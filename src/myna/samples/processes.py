"""Work shared out to the machine's cores, in other processes where that pays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from myna import workers
from myna.errors import WorkspaceError

FROM = 100_000
"""Messages from which other processes have begun before this one would be done."""

MOST = 8

T = TypeVar("T")
R = TypeVar("R")


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
            yield from workers.in_order(submitted, self.workers + 1)
        except BrokenProcessPool as error:
            raise WorkspaceError(
                "a process that prepared messages was stopped: close other programs, try again"
            ) from error


@contextmanager
def crew(messages: int) -> Iterator[Crew]:
    """The processes for so many messages, for as long as they are needed."""
    count = min(workers.cores(), MOST)
    if messages < FROM or count < 2:
        yield Crew()
        return
    with workers.pool(count) as executor:
        yield Crew(executor, count)
