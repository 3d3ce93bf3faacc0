"""In-jokes: does a clone use its group's own words as often as the group does?

The group's words are those that it has far more often than the base's language: log-odds
ratios with an informative prior (Monroe, Colaresi & Quinn 2008, "Fightin' Words", section
3.3). The prior is the language that the base's tokenizer was made for: a word's tokens, each
as frequent as its rank among the tokens says (Zipf's law; merges are ranked by frequency).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from myna.evaluation.copying import COPIED_WORDS, longest_copies, words_of
from myna.evaluation.measure import Estimate, Measure, Signed, bootstrap, few_items_note

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence
    from myna.rendering.tokenizer import Tokenizer

PRIOR_WORDS = 10_000.0
"""The weight of the prior, in words (the sum of its counts)."""
MIN_SCORE = 1.96
"""Standard deviations of the log-odds above which a word is the group's."""
MIN_TURNS = 5
MAX_SHARE = 0.01
"""A word in more of the turns is no in-joke, but the group's everyday language."""
MAX_TERMS = 200
SHOWN = 12


def term_prior(tokenizer: Tokenizer) -> Callable[[str], float]:
    """The probability of a word in the base's language, by the ranks of its tokens."""

    def probability(word: str) -> float:
        forms = (tokenizer.encode(f" {form}").ids for form in (word, word.capitalize()))
        return max(math.prod(0.1 / (token + 3) for token in ids) for ids in forms)

    return probability


def find_terms(
    texts: Sequence[str], prior: Callable[[str], float], names: Collection[str] = ()
) -> list[str]:
    """The group's rare terms, the most telling first.

    Args:
        texts: turns of the train split.
        prior: the probability of a word in the base's language.
        names: words that are left out, such as people's names.
    """
    counts, turns = Counter[str](), Counter[str]()
    for text in texts:
        words = words_of(text)
        counts.update(words)
        turns.update(set(words))
    total = counts.total()
    scores: dict[str, float] = {}
    for word, count in counts.items():
        rare = MIN_TURNS <= turns[word] <= max(MAX_SHARE * len(texts), MIN_TURNS)
        if not rare or word in names or not re.fullmatch(r"[^\W\d_]\w+", word):
            continue
        expected = PRIOR_WORDS * prior(word)
        ours = math.log((count + expected) / (total + PRIOR_WORDS - count - expected))
        theirs = math.log(expected / (PRIOR_WORDS - expected))
        # The prior is given, so only the group's own count is uncertain.
        scores[word] = (ours - theirs) * math.sqrt(count + expected)
    found = [word for word, score in scores.items() if score > MIN_SCORE]
    return sorted(found, key=lambda word: -scores[word])[:MAX_TERMS]


def measure(evidence: Evidence) -> list[Measure]:
    """In-jokes in the clone's replies, the base's, and real turns of the same moments."""
    training = [turn.text for turn in evidence.all_train]
    people = evidence.messages["person"].unique()
    names = {word for person in people for word in words_of(person)}
    terms = find_terms(training, term_prior(evidence.tokenizer), names)
    if not terms:
        return []
    real = [moment.reply for moment in evidence.moments]
    return [measure_terms(terms, evidence.replies, evidence.base_replies, real, training)]


def measure_terms(
    terms: Sequence[str],
    clone: Sequence[Signed],
    base: Sequence[Signed],
    real: Sequence[Signed],
    training: Sequence[str],
) -> Measure:
    """Uses of the terms per thousand words; turns that copy the train split are left out.

    Args:
        terms: as `find_terms` gives them.
        clone: replies of the clone.
        base: replies of the base.
        real: real turns of the same moments.
        training: turns of the train split.
    """
    known = set(terms)
    texts = [turn.text for turns in (clone, base, real) for turn in turns]
    copies = {
        text
        for text, run in zip(texts, longest_copies(texts, training), strict=True)
        if run >= COPIED_WORDS
    }

    def rate(some: Sequence[Signed]) -> Estimate:
        own = [turn for turn in some if turn.text not in copies]
        words = [words_of(turn.text) for turn in own]
        uses = [(sum(word in known for word in turn), len(turn)) for turn in words]
        return bootstrap(uses, [turn.conversation for turn in own], _per_thousand)

    people = sorted({turn.person for turn in clone})
    return Measure(
        "in_jokes",
        "In-jokes in 1,000 words",
        "real",
        rate(clone),
        f"uses of {len(terms)} rare terms of the group per thousand words, such as "
        f"{', '.join(terms[:SHOWN])}; terms: in at least {MIN_TURNS} training turns and at most "
        f"{MAX_SHARE:.0%} of them, log-odds ratio against the base's language over {MIN_SCORE} "
        "standard deviations (Monroe et al. 2008; prior: ranks of the base's tokens); turns with "
        f"{COPIED_WORDS} words copied from the train split are left out",
        floor=rate(base) if base else None,
        ceiling=rate(real),
        people={
            person: {
                "clone": rate([turn for turn in clone if turn.person == person]),
                "ceiling": rate([turn for turn in real if turn.person == person]),
            }
            for person in people
        },
        unit="count",
        notes=few_items_note("replies of the clone", len(clone)),
    )


def _per_thousand(uses: Sequence[tuple[int, int]]) -> float:
    words = sum(size for _, size in uses)
    return 1000 * sum(count for count, _ in uses) / words if words else math.nan
