"""Metrics of rooms in which clones talk among themselves, beside real stretches of a chat.

A room is a list of (person, line) in order; a turn of several messages is several lines.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from myna.evaluation.measure import Estimate, Measure, bootstrap, few_items_note, mean

REPEAT_WINDOW = 12
"""Lines before a line in which it may have stood already."""
NEAR_JACCARD = 0.8
"""Jaccard similarity of character trigrams above which two lines are nearly the same."""
COLLAPSED_REPEATS = 0.3
COLLAPSED_TURN_LINES = 12

Line = tuple[str, str]
Room = Sequence[Line]


def repeated_lines(room: Room) -> list[bool]:
    """True for each line that repeats one of the twelve before, exactly or nearly."""
    texts = [_plain(text) for _, text in room]
    trigrams = [_trigrams(text) for text in texts]
    return [
        any(
            texts[i] == texts[j] or _jaccard(trigrams[i], trigrams[j]) > NEAR_JACCARD
            for j in range(max(0, i - REPEAT_WINDOW), i)
        )
        for i in range(len(texts))
    ]


def longest_turn(room: Room) -> int:
    """Lines of the longest turn."""
    return max(
        (len(list(lines)) for _, lines in groupby(room, key=lambda line: line[0])), default=0
    )


def has_collapsed(room: Room) -> bool:
    """True where over 30 % of lines are repeats, or a turn has over twelve lines."""
    return (
        mean([float(repeated) for repeated in repeated_lines(room)]) > COLLAPSED_REPEATS
        or longest_turn(room) > COLLAPSED_TURN_LINES
    )


def distinct(rooms: Iterable[Room], n: int) -> float:
    """Share of different word n-grams among all (distinct-n, Li et al. 2016, arXiv 1510.03055)."""
    grams = [
        gram for room in rooms for _, text in room for gram in _word_ngrams(text.lower().split(), n)
    ]
    return len(set(grams)) / len(grams) if grams else math.nan


def self_bleu(rooms: Sequence[Room], n: int = 3) -> float:
    """Mean share of a line's word n-grams that stand in other lines too.

    After self-BLEU (Zhu et al. 2018, arXiv 1802.01886), by one order of n-grams and without a
    brevity penalty, as lines of a chat are short.
    """
    lines = [set(_word_ngrams(text.lower().split(), n)) for room in rooms for _, text in room]
    counts = Counter(gram for line in lines for gram in line)
    return mean([mean([float(counts[gram] > 1) for gram in line]) for line in lines if line])


def speaking_shares(rooms: Iterable[Room]) -> dict[str, float]:
    """Each person's share of turns."""
    turns = Counter(
        person for room in rooms for person, _ in groupby(room, key=lambda line: line[0])
    )
    return {person: count / turns.total() for person, count in turns.items()}


def measure_rooms(clones: Sequence[Room], real: Sequence[Room]) -> list[Measure]:
    """All metrics of clones' rooms, beside real stretches of about the same length."""
    notes = few_items_note("rooms", len(clones)) if len(clones) < 5 else ()
    shares, real_shares = speaking_shares(clones), speaking_shares(real)
    return [
        Measure(
            "repeats",
            "Lines that repeat one of the twelve before",
            "real",
            _share_of_lines(clones),
            "share of lines that equal one of the twelve lines before, or whose character "
            f"trigrams have a Jaccard similarity above {NEAR_JACCARD}",
            ceiling=_share_of_lines(real),
            notes=notes,
        ),
        Measure(
            "collapsed",
            "Rooms that collapsed",
            "lower",
            bootstrap(clones, range(len(clones)), lambda some: mean([*map(has_collapsed, some)])),
            "share of rooms in which over 30 % of lines are repeats or a turn has over 12 lines",
            ceiling=bootstrap(
                real, range(len(real)), lambda some: mean([*map(has_collapsed, some)])
            ),
            notes=notes,
        ),
        Measure(
            "distinct_2",
            "Different pairs of words (distinct-2)",
            "real",
            bootstrap(clones, range(len(clones)), lambda some: distinct(some, 2)),
            "different word bigrams over all word bigrams (arXiv 1510.03055)",
            ceiling=bootstrap(real, range(len(real)), lambda some: distinct(some, 2)),
            unit="score",
        ),
        Measure(
            "self_bleu",
            "Words shared with other lines (self-BLEU-3)",
            "real",
            bootstrap(clones, range(len(clones)), self_bleu),
            "mean share of a line's word trigrams that stand in another line (after 1802.01886)",
            ceiling=bootstrap(real, range(len(real)), self_bleu),
            unit="score",
        ),
        Measure(
            "speaking_shares",
            "Turns per person, distance from the real shares",
            "lower",
            Estimate(
                sum(
                    abs(shares.get(person, 0) - real_shares.get(person, 0))
                    for person in shares | real_shares
                )
                / 2,
                items=len(clones),
            ),
            "total variation distance between the shares of turns in the clones' rooms and real",
            people={
                person: {
                    "clone": Estimate(shares.get(person, 0.0)),
                    "ceiling": Estimate(real_shares.get(person, 0.0)),
                }
                for person in sorted(shares | real_shares)
            },
        ),
    ]


def _share_of_lines(rooms: Sequence[Room]) -> Estimate:
    flags = [(repeated, i) for i, room in enumerate(rooms) for repeated in repeated_lines(room)]
    return bootstrap([float(repeated) for repeated, _ in flags], [room for _, room in flags], mean)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _trigrams(text: str) -> set[str]:
    padded = f"  {text} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)}


def _jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 0.0


def _word_ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
