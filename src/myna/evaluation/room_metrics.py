"""Metrics of rooms in which clones talk among themselves, beside real stretches of a chat.

A room is a list of (person, line) in order; a turn of several messages is several lines.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from myna.conversations.line_repeats import (
    ECHO_SHARE,
    ECHO_WINDOW,
    NEAR_JACCARD,
    SHORT_WORDS,
    is_short,
    repeated_lines,
    said_again,
)
from myna.evaluation.measure import Estimate, Item, Measure, Signed, bootstrap, mean
from myna.evaluation.moments import Room

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence

COLLAPSED_REPEATS = 0.3
COLLAPSED_TURN_LINES = 12
MIN_ROOMS = 10
"""Fewer rooms than this are reported with a note that says so."""


def longest_turn(room: Room) -> int:
    """Lines of the longest turn."""
    return max(
        (len(list(lines)) for _, lines in groupby(room, key=lambda line: line[0])), default=0
    )


def has_collapsed(room: Room) -> bool:
    """True where over 30 % of lines are repeats, or a turn has over twelve lines."""
    return (
        mean([float(repeated) for repeated in repeated_lines([text for _, text in room])])
        > COLLAPSED_REPEATS
        or longest_turn(room) > COLLAPSED_TURN_LINES
    )


def distinct(room: Room, n: int, words: int | None = None) -> float:
    """Share of different word n-grams among all (distinct-n, Li et al. 2016, arXiv 1510.03055).

    It falls with length: compare rooms by as many `words`, counted from the first.
    """
    grams: list[tuple[str, ...]] = []
    left = math.inf if words is None else words
    for _, text in room:
        line = text.lower().split()[: None if words is None else int(left)]
        left -= len(line)
        grams += _word_ngrams(line, n)
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


def speaker_entropy(room: Room) -> float:
    """Entropy in bits of who speaks next, given who spoke last; 0 where turns go round."""
    turns = [person for person, _ in groupby(room, key=lambda line: line[0])]
    pairs = Counter(pairwise(turns))
    before = Counter(turns[:-1])
    total = sum(pairs.values())
    return -sum(n / total * math.log2(n / before[pair[0]]) for pair, n in pairs.items()) + 0.0


def measure(evidence: Evidence) -> list[Measure]:
    """All metrics of rooms in which the clones talk among themselves."""
    if not evidence.rooms:
        return []
    return measure_rooms(evidence.rooms, evidence.stretches, evidence.real)


def measure_rooms(
    clones: Sequence[Room], stretches: Sequence[Room], real: Sequence[Signed]
) -> list[Measure]:
    """All metrics of clones' rooms, beside real stretches and the real shares of turns.

    Args:
        clones: rooms in which personas talk among themselves.
        stretches: real lines, for each room as many.
        real: real turns of the personas.
    """
    notes = (f"only {len(clones)} rooms, so read it with care",) if len(clones) < MIN_ROOMS else ()
    shared: dict[str, Any] = {"notes": notes, "section": "rooms"}
    sizes = [min(_words(a), _words(b)) for a, b in zip(clones, stretches, strict=True)]

    def by_room(figure: Callable[[Room], float], **given: Any) -> dict[str, Any]:
        return by_pair([figure(room) for room in clones], [figure(r) for r in stretches], **given)

    def by_pair(ours: list[float], theirs: list[float], **given: Any) -> dict[str, Any]:
        known = [not math.isnan(value) for value in ours]
        items = tuple(
            Item("", i, value if is_known else 0.0, float(is_known))
            for i, (value, is_known) in enumerate(zip(ours, known, strict=True))
        )
        means = {"clone": _mean(ours), "ceiling": _mean(theirs), "items": items}
        return {**means, **shared, **given}

    def distinct_n(n: int) -> dict[str, Any]:
        ours, theirs = (
            [distinct(room, n, size) for room, size in zip(rooms, sizes, strict=True)]
            for rooms in (clones, stretches)
        )
        return by_pair(ours, theirs, unit="score")

    return [
        *_line_measures(clones, stretches, shared),
        Measure(
            "collapsed",
            "Rooms that collapsed",
            "lower",
            definition=f"share of rooms in which over {COLLAPSED_REPEATS:.0%} of lines are "
            f"repeats, or a turn has over {COLLAPSED_TURN_LINES} lines",
            **by_room(lambda room: float(has_collapsed(room))),
        ),
        Measure(
            "longest_turn",
            "Longest turn, in lines",
            "real",
            definition="mean over rooms of the lines of the longest turn",
            **by_room(lambda room: float(longest_turn(room)), unit="count"),
        ),
        *(
            Measure(
                f"distinct_{n}",
                f"Different {what}",
                "real",
                definition=f"distinct-{n}: different word {n}-grams over all, mean over rooms, "
                "each cut to as many words as its real stretch (arXiv 1510.03055)",
                **distinct_n(n),
            )
            for n, what in ((1, "words"), (2, "word pairs"))
        ),
        Measure(
            "self_bleu",
            "Words of other lines",
            "real",
            definition="self-BLEU-3: share of a line's word trigrams in other lines (1802.01886)",
            **by_room(lambda room: self_bleu([room]), unit="score"),
        ),
        Measure(
            "speaker_entropy",
            "Openness of who is next",
            "real",
            definition="entropy in bits of the next speaker given the last one, mean over rooms",
            **by_room(speaker_entropy, unit="bits"),
        ),
        _shares(clones, real, notes),
    ]


def _line_measures(
    clones: Sequence[Room], stretches: Sequence[Room], shared: dict[str, Any]
) -> list[Measure]:
    """Lines that say again what was just said."""
    return [
        _lines_measure(
            "repeats",
            "Repeated lines",
            "share of lines that equal one of the twelve lines before, or whose character "
            f"trigrams have a Jaccard similarity above {NEAR_JACCARD}",
            _repeats,
            *(clones, stretches, shared),
        ),
        _lines_measure(
            "echoes",
            "Lines that echo others",
            f"share of lines of over {SHORT_WORDS} words that repeat one before, or of whose first "
            f"word pairs more than {ECHO_SHARE:.0%} stand in the {ECHO_WINDOW} lines before",
            _echoes,
            *(clones, stretches, shared),
        ),
    ]


def _lines_measure(
    name: str,
    title: str,
    definition: str,
    flags: Callable[[Room], list[bool]],
    clones: Sequence[Room],
    stretches: Sequence[Room],
    shared: dict[str, Any],
) -> Measure:
    """The share of a room's lines that are flagged."""

    def share(rooms: Sequence[Room]) -> Estimate:
        found = [(float(flag), i) for i, room in enumerate(rooms) for flag in flags(room)]
        return bootstrap([flag for flag, _ in found], [i for _, i in found], mean)

    return Measure(
        name,
        title,
        "real",
        definition=definition,
        clone=share(clones),
        ceiling=share(stretches),
        **shared,
        items=tuple(
            Item("", i, float(sum(own)), float(len(own)))
            for i, own in enumerate(map(flags, clones))
        ),
    )


def _shares(clones: Sequence[Room], real: Sequence[Signed], notes: tuple[str, ...]) -> Measure:
    """Turns by person: the distance between the rooms' shares and the real ones."""
    shares = speaking_shares(clones)
    counts = Counter(turn.person for turn in real)
    real_shares = {person: count / counts.total() for person, count in counts.items()}
    everyone = sorted(real_shares, key=lambda person: -real_shares[person])

    def distance(rooms: Sequence[Room]) -> float:
        own = speaking_shares(rooms)
        return sum(abs(own.get(p, 0) - real_shares.get(p, 0)) for p in own | real_shares) / 2

    return Measure(
        "speaking_shares",
        "Distance of turn shares",
        "lower",
        bootstrap(clones, range(len(clones)), distance),
        "total variation distance between the shares of turns of each person, rooms to real",
        people={
            person: {
                "clone": Estimate(shares.get(person, 0.0)),
                "ceiling": Estimate(real_shares[person]),
            }
            for person in everyone
        },
        notes=notes,
        section="rooms",
    )


def _repeats(room: Room) -> list[bool]:
    return repeated_lines([text for _, text in room])


def _echoes(room: Room) -> list[bool]:
    lines = [text for _, text in room]
    flags = zip(said_again(lines), lines, strict=True)
    return [flag for flag, line in flags if not is_short(line)]


def _mean(values: list[float]) -> Estimate:
    known = [value for value in values if not math.isnan(value)]
    return bootstrap(known, range(len(known)), mean)


def _words(room: Room) -> int:
    return sum(len(text.split()) for _, text in room)


def _word_ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
