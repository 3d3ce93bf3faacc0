"""Ctrl-C, and what a cluster sends before it takes a machine away: end well."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from myna.errors import TrainingError


@dataclass
class Wish:
    """Whether somebody wants the run to end."""

    stop: bool = False


@contextmanager
def asked_to_stop() -> Iterator[Wish]:
    """Hear a first Ctrl-C (or SIGTERM) without being cut off; a second one cuts.

    Elsewhere than in the main thread no signals can be heard: they do what they did.
    """
    wish = Wish()
    before: dict[int, Any] = {}

    def heard(number: int, _frame: FrameType | None) -> None:
        wish.stop = True
        signal.signal(number, before[number])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, heard)
    except ValueError:
        before = {}
    try:
        yield wish
    except KeyboardInterrupt:
        raise TrainingError("stopped; `myna train` goes on from the last checkpoint") from None
    finally:
        for heard_one, handler in before.items():
            signal.signal(heard_one, handler)
