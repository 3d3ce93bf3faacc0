"""Attribution: does a classifier of real messages name the person behind a generated reply?

Two classifiers, so that a caricature that pleases one of them does not pass: character
n-grams (the strongest single feature of short messages, arXiv 2003.11545), and words with
features of style, on which nothing is ever tuned.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from myna.evaluation.measure import (
    Estimate,
    Item,
    Measure,
    Signed,
    SignedText,
    bootstrap,
    few_items_note,
    mean,
)

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence

MIN_TRAINING_TURNS = 100
"""Fewer real turns of a person than this cannot be told from others' (arXiv 2008.01533)."""
MAX_TRAINING_TURNS = 3000
"""Turns of one person that a classifier is trained on; more change little and cost minutes."""

NAMED = {"clone": "named", "ceiling": "really"}
"""The shares of a person's replies, and of their real turns, that a classifier recognises."""

_FUNCTION_WORDS = (
    *("the", "a", "an", "and", "or", "but", "if", "so", "of", "to", "in", "on", "at", "for"),
    *("with", "from", "by", "as", "it", "its", "this", "that", "i", "you", "we", "he", "she"),
    *("they", "me", "my", "your", "our", "is", "are", "was", "were", "be", "been", "do", "does"),
    *("did", "have", "has", "had", "not", "no", "yes"),
)


def train_character_classifier(turns: Sequence[SignedText]) -> Any:
    """A logistic regression over TF-IDF of character 3- to 5-grams."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    vectors = TfidfVectorizer(
        analyzer="char", ngram_range=(3, 5), sublinear_tf=True, max_features=100_000, min_df=2
    )
    model = make_pipeline(
        vectors, LogisticRegression(C=10, class_weight="balanced", max_iter=300, tol=1e-3)
    )
    return model.fit([_framed(turn.text) for turn in turns], [turn.person for turn in turns])


def train_style_classifier(turns: Sequence[SignedText]) -> Any:
    """A logistic regression over words, function words and counts of punctuation and case."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    words = TfidfVectorizer(sublinear_tf=True, max_features=20_000, min_df=2)
    style = make_pipeline(FunctionTransformer(_style_table), StandardScaler())
    model = make_pipeline(
        make_union(words, style),
        LogisticRegression(C=1, class_weight="balanced", max_iter=300, tol=1e-3),
    )
    return model.fit([turn.text for turn in turns], [turn.person for turn in turns])


def measure(evidence: Evidence) -> list[Measure]:
    """Attribution of the clone's replies and the base's, beside real turns of the test split."""
    return measure_attribution(
        evidence.train, evidence.real, evidence.replies, evidence.base_replies
    )


def measure_attribution(
    train: Sequence[SignedText],
    real: Sequence[SignedText],
    clone: Sequence[Signed],
    base: Sequence[Signed],
) -> list[Measure]:
    """Attribution by both classifiers, normalised between chance and the ceiling.

    Args:
        train: real turns of the train split.
        real: real turns of the test split: the ceiling.
        clone: replies of the clone to moments of the test split.
        base: replies of the base to the same moments.
    """
    people = _people_with_enough(train)
    if len(people) < 2:
        return []
    chosen = _balanced([turn for turn in train if turn.person in people])
    found = []
    for name, title, fit, frame in (
        ("who_said_it", "Who said it, by letters", train_character_classifier, _framed),
        ("who_said_it_style", "Who said it, by words", train_style_classifier, str),
    ):
        model = fit(chosen)
        rights = {
            which: _recognised(model, [t for t in turns if t.person in people], frame)
            for which, turns in (("ceiling", real), ("clone", clone), ("base", base))
        }
        found.append(_normalised(name, title, people, rights))
    return found


def _normalised(
    name: str, title: str, people: list[str], rights: dict[str, list[tuple[Signed, bool]]]
) -> Measure:
    chance = 1 / len(people)
    accuracy = {
        which: bootstrap(some, [turn.conversation for turn, _ in some], _balanced_accuracy)
        for which, some in rights.items()
    }
    ceiling = accuracy["ceiling"]
    counts = ceiling.low > chance  # else the real people cannot be told apart at all

    def scaled(value: float) -> float:
        return (value - chance) / (ceiling.value - chance) if counts else math.nan

    def estimate(which: str) -> Estimate | None:
        given = accuracy[which]
        if not given.items:
            return None
        return Estimate(scaled(given.value), scaled(given.low), scaled(given.high), given.items)

    shares = {
        person: {
            which: Estimate(float(np.mean([right for _, right in own])), items=len(own))
            for which in NAMED
            if (own := [entry for entry in rights[which] if entry[0].person == person])
        }
        for person in people
    }
    by_person = {
        person: {
            **{key: replace(share, value=scaled(share.value)) for key, share in own.items()},
            **{NAMED[key]: share for key, share in own.items()},
        }
        for person, own in shares.items()
    }
    notes = few_items_note("replies of the clone", accuracy["clone"].items)
    own_turns = Counter(turn.person for turn, _ in rights["clone"])
    # Everybody's turns together weigh the same, as in balanced accuracy.
    items = tuple(
        Item(turn.person, turn.conversation, scaled(right) / n, 1 / n)
        for turn, right in rights["clone"]
        if (n := own_turns[turn.person])
    )
    if not counts:
        notes += ("real messages of these people cannot be told apart either: no figure",)
    return Measure(
        name,
        title,
        "real",
        estimate("clone") or Estimate(math.nan),
        f"(balanced accuracy - chance {chance:.2f}) / (that of real test messages "
        f"{ceiling.value:.2f} - chance): 0 is chance, 1 is as recognisable as the real people",
        floor=estimate("base"),
        ceiling=Estimate(1.0, items=ceiling.items),
        people=by_person,
        unit="score",
        notes=notes,
        items=items if counts else (),
    )


def _recognised(model: Any, turns: Sequence[Signed], frame: Any) -> list[tuple[Signed, bool]]:
    if not turns:
        return []
    named = model.predict([frame(turn.text) for turn in turns])
    return [(turn, bool(turn.person == name)) for turn, name in zip(turns, named, strict=True)]


def _balanced_accuracy(some: Sequence[tuple[Signed, bool]]) -> float:
    """Mean over people of the share of their turns that are recognised."""
    rights, all_turns = Counter[str](), Counter[str]()
    for turn, right in some:
        all_turns[turn.person] += 1
        rights[turn.person] += right
    return mean([rights[person] / count for person, count in all_turns.items()])


def _people_with_enough(train: Sequence[SignedText]) -> list[str]:
    counts: dict[str, int] = {}
    for turn in train:
        counts[turn.person] = counts.get(turn.person, 0) + 1
    return sorted(person for person, count in counts.items() if count >= MIN_TRAINING_TURNS)


def _balanced(turns: Sequence[SignedText]) -> list[SignedText]:
    """The newest turns of each person, at most `MAX_TRAINING_TURNS` of one."""
    by_person: dict[str, list[SignedText]] = {}
    for turn in turns:
        by_person.setdefault(turn.person, []).append(turn)
    return [turn for own in by_person.values() for turn in own[-MAX_TRAINING_TURNS:]]


def _framed(text: str) -> str:
    """A text with marks at its ends, so that n-grams tell how messages begin and end."""
    return f"^{text}$"


def _style_table(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """A row of style features for each text: lengths, case, punctuation, function words."""
    return np.array([_style_features(text) for text in texts], dtype=np.float64)


def _style_features(text: str) -> list[float]:
    words = re.findall(r"\w+", text.lower())
    letters = [sign for sign in text if sign.isalpha()]
    size = max(len(text), 1)
    return [
        math.log1p(len(text)),
        math.log1p(len(words)),
        float(text.count("\n")),
        sum(map(len, words)) / max(len(words), 1),
        sum(sign.isupper() for sign in letters) / max(len(letters), 1),
        float(text[:1].isupper()),
        sum(sign.isdigit() for sign in text) / size,
        *(text.count(sign) / size for sign in ".,!?:;'\"-()"),
        float(text.rstrip().endswith(tuple(".!?"))),
        *(words.count(word) / max(len(words), 1) for word in _FUNCTION_WORDS),
    ]
