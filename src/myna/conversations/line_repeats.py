"""Lines that say again what was just said: repeats and echoes.

Loops of small models go from speaker to speaker with a word changed here and there. A repeat
is a line that stood before, exactly or nearly, by character trigrams. An echo is a line made
of what was said, in whichever order: most of its word pairs are in lines before. Both are
looked for in everybody's lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

REPEAT_WINDOW = 12
"""Lines before a line in which it may have stood already."""
NEAR_JACCARD = 0.8
"""Jaccard similarity of character trigrams above which two lines are nearly the same."""
SHORT_WORDS = 3
"""The most words of a short line, such as a greeting, which people repeat far more often."""
ECHO_WINDOW = 24
"""Lines before a line in which its word pairs may have stood already."""
ECHO_SHARE = 0.4
"""The share of word pairs above which a line is an echo. In the air-to-ground transcripts of
Apollo 11 and 13 one longer line of six is above it; in rooms of a small clone, 59 of 100 were."""
HEAD_PAIRS = 12
"""The first word pairs of a line, by which it is known as an echo: a clone's line is shown once
these have passed."""

Pair = tuple[str, str]

_WORD = re.compile(r"[\w'’]+")
_LAST_WORD = re.compile(r"[\w'’]+$")


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


def word_pairs(line: str) -> list[Pair]:
    """The pairs of words that follow each other in a line, without case and punctuation."""
    words = _WORD.findall(line.lower())
    return [*pairwise(words)]


def is_echo(line: str, said: Collection[Pair]) -> bool:
    """True for a line of four words or more of which most word pairs were said before.

    Pairs that stood earlier in the line count as well; only its first `HEAD_PAIRS` are looked
    at.
    """
    pairs = word_pairs(line)[:HEAD_PAIRS]
    return not is_short(line) and len(pairs) - _new(pairs, said) > ECHO_SHARE * len(pairs)


def may_become_echo(start: str, said: Collection[Pair]) -> bool:
    """True where a line that begins so can still turn out to be an echo."""
    pairs = _whole_pairs(start)
    if len(pairs) == HEAD_PAIRS:
        return is_echo(start, said)
    return HEAD_PAIRS - _new(pairs, said) > ECHO_SHARE * HEAD_PAIRS


def has_head(start: str) -> bool:
    """True where what a line begins with decides if it is an echo."""
    return len(_whole_pairs(start)) == HEAD_PAIRS


def said_again(lines: Sequence[str]) -> list[bool]:
    """True for each line that is a repeat or an echo of those before."""
    repeats = repeated_lines(lines)
    pairs = [word_pairs(line) for line in lines]
    said: Counter[Pair] = Counter()
    found = []
    for i, line in enumerate(lines):
        found.append(repeats[i] or is_echo(line, said))
        said.update(pairs[i])
        for pair in pairs[i - ECHO_WINDOW] if i >= ECHO_WINDOW else ():
            said[pair] -= 1
            if not said[pair]:
                del said[pair]
    return found


def _whole_pairs(start: str) -> list[Pair]:
    """The first pairs of an unfinished line, without a word at its end that may grow."""
    return word_pairs(_LAST_WORD.sub("", start))[:HEAD_PAIRS]


def _new(pairs: Iterable[Pair], said: Collection[Pair]) -> int:
    """The number of different pairs that were not said."""
    return len({pair for pair in pairs if pair not in said})


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
