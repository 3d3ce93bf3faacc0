"""Turns: consecutive messages of one author."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One message of a turn (or a piece of a very long one)."""

    text: str
    trained: bool = False
    message: int | None = None
    """Row of the message that this is the last piece of; None for context brought along."""


@dataclass(frozen=True)
class Turn:
    """What one person says until somebody else speaks.

    `ends` is False for all but the last piece of a turn that is longer than a window.
    """

    person: str
    parts: tuple[Part, ...]
    ends: bool = True


def merge(lines: Iterable[tuple[str, Part]]) -> list[Turn]:
    """Turns from (person, part) in order."""
    turns: list[Turn] = []
    gathered: list[Part] = []
    speaker = ""
    for person, part in lines:
        if gathered and person != speaker:
            turns.append(Turn(speaker, tuple(gathered)))
            gathered = []
        speaker = person
        gathered.append(part)
    if gathered:
        turns.append(Turn(speaker, tuple(gathered)))
    return turns
