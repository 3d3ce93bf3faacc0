"""The guard against loops: a line that was just said is drawn again.

Each repeat in a prompt makes the next one likelier (Xu et al. 2022, arXiv 2206.02369), so a
line that is rejected is never stored. People repeat themselves, too: the guard lets pass as
many repeats as are in the person's real lines, short ones and longer ones counted apart.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from myna.artifacts import SpeakingHabits
from myna.conversations.line_repeats import (
    REPEAT_WINDOW,
    is_repeat,
    is_short,
    may_become_repeat,
    repeated_lines,
)
from myna.persona.prompt import PromptMessage

COUNTED_LINES = 24
"""The latest lines in which repeats are counted against the real rate."""
HOTTER = 0.2
"""Added to the temperature with each new draw."""


@dataclass
class LineGuard:
    """Decides about each line of a turn.

    Attributes:
        lines: the room's latest lines of anybody, then those of the turn.
        habits: of the person who speaks.
        rng: decides if a repeat passes.
        redraws: number of lines rejected so far.
    """

    lines: list[str]
    habits: SpeakingHabits
    rng: random.Random
    redraws: int = 0

    def rejects(self, line: str) -> bool:
        """True for a repeat that is one too many."""
        if not line.strip() or not is_repeat(line, self._recent):
            return False
        short = is_short(line)
        rate = self.habits.short_repeats if short else self.habits.long_repeats
        counted = self.lines[-COUNTED_LINES - REPEAT_WINDOW :]
        repeated = [
            flag
            for flag, own in zip(repeated_lines(counted), counted, strict=True)
            if is_short(own) == short
        ][-COUNTED_LINES:]
        return self.rng.random() >= rate * (len(repeated) + 1) - sum(repeated)

    def may_reject(self, start: str) -> bool:
        """True where a line that begins so may still be rejected."""
        return may_become_repeat(start, self._recent)

    def accept(self, line: str) -> None:
        """Take a line that was said."""
        if line.strip():
            self.lines.append(line)

    @property
    def _recent(self) -> list[str]:
        return self.lines[-REPEAT_WINDOW:]


def line_guard(
    messages: Iterable[PromptMessage],
    habits: SpeakingHabits,
    *,
    max_redraws: int,
    seed: int | None,
) -> LineGuard | None:
    """The guard of a turn after these messages; None where nothing is drawn again."""
    if not max_redraws:
        return None
    latest = [*messages][-COUNTED_LINES - REPEAT_WINDOW :]
    lines = [line for message in latest for line in message.text.split("\n") if line]
    return LineGuard(lines, habits, random.Random(seed))
