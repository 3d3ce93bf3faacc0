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

import numpy as np

REPEAT_WINDOW = 12
"""Lines before a line in which it may have stood already."""
NEAR_JACCARD = 0.8
"""Jaccard similarity of character trigrams above which two lines are nearly the same."""
MANY_LINES = 200
"""Lines from which on pairs are sorted out all at once, before any is compared."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
"""Spreads the bits of a number over its upper ones (Knuth's multiplicative hashing)."""
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


def repeated_lines(lines: Sequence[str], rooms: Sequence[int] | None = None) -> list[bool]:
    """True for each line that repeats one of the twelve before, exactly or nearly.

    Args:
        lines: in order.
        rooms: the number of each line's room, where lines of several follow one another.
    """
    plain = [_plain(line) for line in lines]
    if len(plain) < MANY_LINES:
        pairs = [(i, j) for i in range(len(plain)) for j in range(max(0, i - REPEAT_WINDOW), i)]
    else:
        pairs = _similar_pairs(plain)
    known: dict[int, set[str]] = {}

    def trigrams(line: int) -> set[str]:
        if line not in known:
            known[line] = _trigrams(plain[line])
        return known[line]

    repeated = [False] * len(plain)
    for i, j in pairs:
        if not repeated[i] and (rooms is None or rooms[i] == rooms[j]):
            repeated[i] = plain[i] == plain[j] or _jaccard_above(trigrams(i), trigrams(j))
    return repeated


def _similar_pairs(plain: list[str]) -> list[tuple[int, int]]:
    """Pairs (later, earlier) of lines near one another that may be nearly the same.

    Of each line the trigrams are counted, and marked as one of 256 bits each. Two sets of n
    trigrams together with a Jaccard similarity above J differ in fewer than n (1 - J) / (1 + J),
    and each bit that differs is at least one of those.
    """
    texts = "".join(f"  {line} " for line in plain)
    signs = np.frombuffer(texts.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    ends = np.cumsum([len(line) + 3 for line in plain])
    starts = ends - [len(line) + 3 for line in plain]
    line_of = np.repeat(np.arange(len(plain)), ends - starts)
    is_inside = np.arange(len(signs)) < np.repeat(ends - 2, ends - starts)
    codes = signs << 42 | np.roll(signs, -1) << 21 | np.roll(signs, -2)
    codes, line_of = codes[is_inside], line_of[is_inside]
    order = np.lexsort((codes, line_of))
    codes, line_of = codes[order], line_of[order]
    is_new = np.ones(len(codes), bool)
    is_new[1:] = (codes[1:] != codes[:-1]) | (line_of[1:] != line_of[:-1])
    codes, line_of = codes[is_new], line_of[is_new]
    counts = np.bincount(line_of, minlength=len(plain))
    bit = codes * _MIX >> np.uint64(56)
    marks = np.zeros((len(codes), 4), np.uint64)
    marks[np.arange(len(codes)), bit >> np.uint64(6)] = np.uint64(1) << (bit & np.uint64(63))
    marks = np.bitwise_or.reduceat(marks, np.cumsum(counts) - counts)
    found: list[tuple[int, int]] = []
    for lag in range(1, min(REPEAT_WINDOW + 1, len(plain))):
        differ = np.bitwise_count(marks[lag:] ^ marks[:-lag]).sum(axis=1)
        most = (counts[lag:] + counts[:-lag]) * ((1 - NEAR_JACCARD) / (1 + NEAR_JACCARD))
        later = np.flatnonzero(differ <= most + 1e-9) + lag
        found += zip(later.tolist(), (later - lag).tolist(), strict=True)
    return found


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


def said_again(lines: Sequence[str], rooms: Sequence[int] | None = None) -> list[bool]:
    """True for each line that is a repeat or an echo of those before; `rooms` as above."""
    repeats = repeated_lines(lines, rooms)
    pairs = [word_pairs(line) for line in lines]
    said: Counter[Pair] = Counter()
    found = []
    first = 0  # line of the room
    for i, line in enumerate(lines):
        if rooms and rooms[i] != rooms[i - 1]:
            first = i
            said.clear()
        found.append(repeats[i] or is_echo(line, said))
        said.update(pairs[i])
        for pair in pairs[i - ECHO_WINDOW] if i >= first + ECHO_WINDOW else ():
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
