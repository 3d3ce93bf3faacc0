"""The guard against loops: a line that says again what was just said is drawn again.

Each repeat in a prompt makes the next one likelier (Xu et al. 2022, arXiv 2206.02369), so a
line that is rejected is never stored. People repeat themselves, too: the guard lets pass as
many repeats and echoes as are in the person's real lines, short lines and longer ones counted
apart.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from myna.artifacts import SpeakingHabits
from myna.config import Sampling
from myna.conversations.line_repeats import (
    ECHO_WINDOW,
    REPEAT_WINDOW,
    Pair,
    has_head,
    is_echo,
    is_repeat,
    is_short,
    may_become_echo,
    may_become_repeat,
    said_again,
    word_pairs,
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
    _pairs: tuple[list[str], set[Pair]] | None = None

    def rejects(self, line: str) -> bool:
        """True for a repeat or an echo that is one too many."""
        if not line.strip():
            return False
        if not is_repeat(line, self.lines[-REPEAT_WINDOW:]) and not is_echo(line, self._said()):
            return False
        short = is_short(line)
        rate = self.habits.short_repeats if short else self.habits.long_repeats
        counted = self.lines[-COUNTED_LINES - ECHO_WINDOW :]
        again = [
            flag
            for flag, own in zip(said_again(counted), counted, strict=True)
            if is_short(own) == short
        ][-COUNTED_LINES:]
        return self.rng.random() >= rate * (len(again) + 1) - sum(again)

    def may_reject(self, start: str) -> bool:
        """True where a line that begins so may still be rejected."""
        return may_become_echo(start, self._said()) or may_become_repeat(
            start, self.lines[-REPEAT_WINDOW:]
        )

    def can_decide(self, start: str) -> bool:
        """True where a line that begins so is rejected or not, whatever follows."""
        return has_head(start)

    def accept(self, line: str) -> None:
        """Take a line that was said."""
        if line.strip():
            self.lines.append(line)

    def _said(self) -> set[Pair]:
        """The word pairs of the latest lines."""
        latest = self.lines[-ECHO_WINDOW:]
        if self._pairs is None or self._pairs[0] != latest:
            self._pairs = latest, {pair for line in latest for pair in word_pairs(line)}
        return self._pairs[1]


def line_guard(
    messages: Iterable[PromptMessage], habits: SpeakingHabits | None, sampling: Sampling
) -> LineGuard | None:
    """The guard of a turn after these messages, by the habits of the person who speaks.

    None where nothing is drawn again, or the habits are not known.
    """
    if habits is None or not sampling.max_redraws:
        return None
    latest = [*messages][-COUNTED_LINES - ECHO_WINDOW :]
    lines = [line for message in latest for line in message.text.split("\n") if line]
    return LineGuard(lines, habits, random.Random(sampling.seed))
