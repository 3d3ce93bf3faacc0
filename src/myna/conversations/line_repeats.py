"""Lines that repeat one of those just before, exactly or nearly.

Loops of small models go from speaker to speaker with a word changed here and there, so the
comparison is by character trigrams, and with everybody's lines.
"""

from __future__ import annotations

from collections.abc import Sequence

REPEAT_WINDOW = 12
"""Lines before a line in which it may have stood already."""
NEAR_JACCARD = 0.8
"""Jaccard similarity of character trigrams above which two lines are nearly the same."""
SHORT_WORDS = 3
"""The most words of a short line, such as a greeting, which people repeat far more often."""


def is_short(line: str) -> bool:
    """True for a line of few words."""
    return len(line.split()) <= SHORT_WORDS


def is_repeat(line: str, before: Sequence[str]) -> bool:
    """True where a line equals one of those before, or nearly."""
    plain = _plain(line)
    trigrams = _trigrams(plain)
    return any(plain == (other := _plain(text)) or _near(trigrams, other) for text in before)


def repeated_lines(lines: Sequence[str]) -> list[bool]:
    """True for each line that repeats one of the twelve before, exactly or nearly."""
    plain = [_plain(line) for line in lines]
    trigrams = [_trigrams(line) for line in plain]
    return [
        any(
            plain[i] == plain[j] or _jaccard_above(trigrams[i], trigrams[j])
            for j in range(max(0, i - REPEAT_WINDOW), i)
        )
        for i in range(len(plain))
    ]


def may_become_repeat(start: str, before: Sequence[str]) -> bool:
    """True where a line that begins so can still turn out to repeat one of those before.

    With k trigrams that another line of n lacks, the similarity to it is at most n / (n + k).
    """
    begun = _trigrams(_plain(start), ended=False)
    return any(
        len(begun - other) * NEAR_JACCARD <= len(other) * (1 - NEAR_JACCARD)
        for other in (_trigrams(_plain(text)) for text in before)
    )


def _near(trigrams: set[str], other: str) -> bool:
    return _jaccard_above(trigrams, _trigrams(other))


def _jaccard_above(one: set[str], other: set[str]) -> bool:
    smaller, larger = sorted((len(one), len(other)))
    if smaller <= NEAR_JACCARD * larger:
        return False
    common = len(one & other)
    return common > NEAR_JACCARD * (smaller + larger - common)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _trigrams(plain: str, *, ended: bool = True) -> set[str]:
    padded = f"  {plain}{' ' * ended}"
    return {padded[i : i + 3] for i in range(len(padded) - 2)}
