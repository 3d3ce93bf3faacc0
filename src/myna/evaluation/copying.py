"""Verbatim copying: how much of what a clone says stands word for word in the training chats.

Real people repeat themselves, and the chat's formulas, too; so the same is counted in real
turns of the test split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from myna.evaluation.measure import (
    Estimate,
    Measure,
    Signed,
    SignedText,
    bootstrap,
    few_items_note,
    items_of,
    mean,
)

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence

COPIED_WORDS = 8
"""A run of so many words of a training turn is a copy."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""The base of rolling hashes modulo 2**64; odd, so that it loses nothing."""


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return re.findall(r"[\w'’]+", text.lower())


def longest_copies(texts: Sequence[str], training: Iterable[str]) -> list[int]:
    """For each text the words of the longest run that stands in a training turn.

    Every run of n words has a rolling hash; n grows until no run is left. Words that no text
    has separate the training turns, so memory is 8 bytes for each training word.

    Args:
        texts: generated or real turns.
        training: turns of the train split.
    """
    vocabulary: dict[str, int] = {}
    ours = _numbers(texts, lambda word: vocabulary.setdefault(word, len(vocabulary) + 1))
    theirs = _numbers(training, lambda word: vocabulary.get(word, 0))
    owner = np.repeat(np.arange(len(texts)), [len(words_of(text)) + 1 for text in texts])
    longest = np.zeros(len(texts), np.int64)
    our_hashes, their_hashes, n = ours, theirs, 1
    while True:
        known = np.unique(their_hashes[their_hashes > 0])
        found = (our_hashes > 0) & np.isin(our_hashes, known)
        if not found.any():
            return [int(size) for size in longest]
        longest[owner[: len(found)][found]] = n
        our_hashes = _extended(np.where(found, our_hashes, 0), ours, n)
        their_hashes = _extended(their_hashes, theirs, n)
        n += 1


def measure(evidence: Evidence) -> list[Measure]:
    """Verbatim copies of the train split: clone, base, and the real turns of the same moments."""
    return measure_copying(
        evidence.replies,
        evidence.base_replies,
        [moment.reply for moment in evidence.moments],
        [turn.text for turn in evidence.all_train],
    )


def measure_copying(
    clone: Sequence[Signed],
    base: Sequence[Signed],
    real: Sequence[SignedText],
    training: Sequence[str],
) -> list[Measure]:
    """The share of replies that copy, and the longest copy.

    Args:
        clone: replies of the clone.
        base: replies of the base.
        real: the real turns that `clone` answers in place of.
        training: turns of everybody in the train split.
    """
    groups: list[Sequence[Signed]] = [clone, base, real]
    runs = longest_copies([turn.text for turns in groups for turn in turns], training)
    left = iter(runs)
    ours, theirs, really = ([(turn, next(left)) for turn in turns] for turns in groups)
    people = sorted({turn.person for turn in clone})
    notes = few_items_note("replies of the clone", len(clone))

    def flags(some: Sequence[Any]) -> list[float]:
        return [float(size >= COPIED_WORDS) for _, size in some]

    def share(some: Sequence[Any]) -> Estimate:
        return bootstrap(flags(some), [turn.conversation for turn, _ in some], mean)

    def longest(some: Sequence[Any]) -> Estimate:
        return Estimate(float(max((size for _, size in some), default=0)), items=len(some))

    def by_person(figure: Any) -> dict[str, dict[str, Estimate]]:
        return {
            person: {
                kind: figure([entry for entry in some if entry[0].person == person])
                for kind, some in (("clone", ours), ("ceiling", really))
            }
            for person in people
        }

    def made(name: str, title: str, better: Any, unit: Any, definition: str, of: Any) -> Measure:
        return Measure(
            name,
            title,
            better,
            of(ours),
            definition,
            floor=of(theirs) if base else None,
            ceiling=of(really),
            people=by_person(of),
            unit=unit,
            notes=notes,
            section="privacy",
            items=items_of([turn for turn, _ in ours], flags(ours)) if of is share else (),
        )

    return [
        made(
            "copied_replies",
            "Replies that copy",
            "lower",
            "share",
            f"share of replies with {COPIED_WORDS} words or more in a row that stand so in a turn "
            "of the train split; real text: the real turns of the same moments",
            share,
        ),
        made(
            "longest_copy",
            "Longest copy, in words",
            "lower",
            "count",
            "words of the longest run that a reply shares with a turn of the train split, upper "
            "and lower case and punctuation aside (the base answers half as many moments)",
            longest,
        ),
    ]


def _numbers(texts: Iterable[str], number: Any) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """The words of all texts as numbers from 1, with a 0 behind each text."""
    return np.fromiter(
        (n for text in texts for n in (*map(number, words_of(text)), 0)), dtype=np.uint64
    )


def _extended(
    hashes: np.ndarray[Any, np.dtype[np.uint64]],
    words: np.ndarray[Any, np.dtype[np.uint64]],
    n: int,
) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Hashes of runs of n + 1 words, of those of n words; 0 where a run is broken."""
    following = words[n:]
    before = hashes[: len(following)]
    longer = before * _FACTOR + following
    whole = (before > 0) & (following > 0)
    return np.where(whole, np.maximum(longer, np.uint64(1)), np.uint64(0))
