"""Progress of long works: bars on a terminal, and a line now and then without one.

Whatever takes longer than a moment says at once what it does, and then how far it is and how
long it has taken or will take.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from myna.cli._terminal import note, progress_bar

SECONDS_BETWEEN_LINES = 20.0
"""Without a terminal, progress is told this often."""


class Update(Protocol):
    """Tells how far a work is: its name, what is done, and all there is to do (None: unknown)."""

    def __call__(self, what: str, done: float = 0, total: float | None = None) -> None:
        """Show it; a new name begins the next work."""


@contextmanager
def progress(*columns: Any, unit: str = "", transient: bool = False) -> Iterator[Update]:
    """A function that shows the progress of one work after the other.

    Args:
        columns: of the bar, behind its name; by default what is done of all.
        unit: of what is counted, behind the numbers of lines.
        transient: the bar is gone when it is done.
    """
    with progress_bar(*(columns or default_columns()), transient=transient) as bars:
        lines = ProgressLines(unit) if bars.disable else None
        tasks: dict[str, Any] = {}

        def update(what: str, done: float = 0, total: float | None = None) -> None:
            if lines is not None:
                lines.update(what, done, total)
                return
            if what not in tasks:
                for task in tasks.values():  # an unknown end is reached by the next work
                    if bars.tasks[task].total is None:
                        bars.update(task, total=1, completed=1)
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        try:
            yield update
        finally:
            if lines is not None:
                lines.close()


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say what is being done, and how long it has taken so far, until it is done."""
    from rich.progress import TimeElapsedColumn

    with progress(TimeElapsedColumn(), transient=True) as update:
        update(what)
        yield


def default_columns() -> list[Any]:
    """Done of all, and the time left, or that so far where the end is unknown."""
    from rich.progress import MofNCompleteColumn, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text

    class Count(ProgressColumn):
        """Done of all, where the end is known."""

        def render(self, task: Task) -> Text:
            """See rich."""
            return MofNCompleteColumn().render(task) if task.total else Text("")

    class Left(ProgressColumn):
        """The time left, or that so far."""

        def render(self, task: Task) -> Text:
            """See rich."""
            if task.total:
                return TimeRemainingColumn(elapsed_when_finished=True).render(task)
            return Text(duration(task.elapsed or 0), style="progress.elapsed")

    return [Count(), Left()]


class ProgressLines:
    """Progress as lines: one when a work begins, and one from time to time."""

    def __init__(self, unit: str = "") -> None:
        self._unit = f" {unit}" if unit else ""
        self._lock = threading.Lock()
        self._what = ""
        self._done, self._total = 0.0, None  # type: float, float | None
        self._begun = self._told = time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._tell_now_and_then, daemon=True)
        self._thread.start()

    def update(self, what: str, done: float = 0, total: float | None = None) -> None:
        """Take note of the state of a work; a new one is told at once."""
        with self._lock:
            self._done, self._total = done, total
            if what == self._what:
                return
            self._what = what
            self._begun = self._told = time.monotonic()
        note(f"{what}: {total:,.0f}{self._unit}" if total else what)

    def close(self) -> None:
        """Tell nothing any more."""
        self._closed.set()
        self._thread.join()

    def line(self) -> str:
        """The state of the work, with the time so far and an estimate of the time left."""
        with self._lock:
            passed = time.monotonic() - self._begun
            done, total = self._done, self._total
            if not total:
                return f"{self._what}: {duration(passed)} so far"
            left = f", about {duration(passed * (total - done) / done)} left" if done else ""
            return (
                f"{self._what}: {done:,.0f} of {total:,.0f}{self._unit} ({done / total:.0%}){left}"
            )

    def _tell_now_and_then(self) -> None:
        while not self._closed.wait(min(1.0, SECONDS_BETWEEN_LINES)):
            if self._what and time.monotonic() - self._told >= SECONDS_BETWEEN_LINES:
                self._told = time.monotonic()
                note(self.line())


def duration(seconds: float) -> str:
    """A duration for people: 40 s, 3 min, 2 h 5 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
