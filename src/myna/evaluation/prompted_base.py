"""The base model with a description of the person and examples in its prompt.

The rival that needs no training: how much of the clone does a good prompt buy?
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from myna.evaluation.identification import bits_of
from myna.evaluation.measure import Estimate, Measure, bootstrap, few_items_note
from myna.evaluation.moments import find_moments
from myna.persona.prompt import PromptBuilder, PromptMessage

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence
    from myna.evaluation.moments import Moment
    from myna.persona.clone import Clone
    from myna.persona.scenes import Scene

EXAMPLES = 4
"""Past exchanges that a prompt shows."""
TYPICAL_WORDS = 8
_WAYS = ("base model", "with description and examples", "clone")


@dataclass(frozen=True)
class Exchange:
    """A turn of a persona, and the turn before it."""

    before: tuple[str, str]
    reply: tuple[str, str]


class Examples:
    """Finds a person's past exchanges that are like a moment, by TF-IDF cosine."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.exchanges = exchanges
        self._vectors = TfidfVectorizer(sublinear_tf=True)
        self._known = self._vectors.fit_transform([e.before[1] for e in exchanges])

    def like(self, text: str) -> list[Exchange]:
        """The most similar exchanges, the most similar last."""
        scores = (self._known @ self._vectors.transform([text]).T).toarray()[:, 0]
        return [self.exchanges[i] for i in np.argsort(scores, kind="stable")[-EXAMPLES:]]


class PersonalPrompts:
    """Prompts that show a base a description of a person and past exchanges of theirs."""

    def __init__(self, messages: pl.DataFrame, personas: Sequence[str]) -> None:
        """Learn them from the prepared messages of the train split."""
        found: dict[str, list[Exchange]] = {}
        for moment in find_moments(messages, personas):
            last = moment.scene.before[-1]
            exchange = Exchange((last.person, last.text), (moment.person, moment.reply.text))
            found.setdefault(moment.person, []).append(exchange)
        usable = {person: own for person, own in found.items() if any(e.before[1] for e in own)}
        self.examples = {person: Examples(own) for person, own in usable.items()}
        self.descriptions = describe({p: [e.reply[1] for e in own] for p, own in usable.items()})

    def builder(self, clone: Clone, scene: Scene) -> PromptBuilder:
        """The prompt before the turn of `scene.next_person`."""
        person, prompt_format = scene.next_person, clone.format
        first, *others = prompt_format.samples.system_lines
        described = self.descriptions[person].replace("{", "{{").replace("}", "}}")
        samples = prompt_format.samples.model_copy(
            update={"system": [f"{first} {described}", *others]}
        )
        builder = scene.prompt_builder(
            replace(prompt_format, samples=samples), clone.tokenizer, clone.engine.context
        )
        shown = self.examples[person].like(scene.before[-1].text)
        said = [entry for e in shown for entry in (e.before, e.reply)]
        builder.messages[:0] = [PromptMessage(author, text) for author, text in said]
        return builder


def measure(evidence: Evidence) -> list[Measure]:
    """Bits per character of replies: base, base with a description and examples, clone."""
    prompts = PersonalPrompts(evidence.split("train"), evidence.personas)
    moments = [moment for moment in evidence.moments if moment.person in prompts.examples]
    if not moments:
        return []

    def bits(_: int, moment: Moment) -> list[float]:
        base, clone = evidence.base_scorer, evidence.scorer
        return [
            _bits(base, moment, _plain(base, moment)),
            _bits(base, moment, prompts.builder(base, moment.scene)),
            _bits(clone, moment, _plain(clone, moment)),
        ]

    rows = evidence.gather("base with examples", moments, bits)
    return [measure_ways(moments, rows)]


def describe(texts: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """A sentence on how each person writes: length, and the words that set them apart.

    Args:
        texts: turns of each person.
    """
    words = {p: Counter(" ".join(own).lower().split()) for p, own in texts.items()}
    everyone = sum(words.values(), Counter[str]())
    total = everyone.total()
    described = {}
    for person, own in words.items():
        size = own.total()
        # Log-odds with the others' counts as prior (Monroe et al. 2008).
        odds = {
            word: math.log((n + 1) / (size + 1)) - math.log((everyone[word] + 1) / (total + 1))
            for word, n in own.items()
            if n > 2
        }
        typical = sorted(odds, key=lambda word: -odds[word] * math.sqrt(own[word]))
        length = size / max(len(texts[person]), 1)
        described[person] = (
            f"{person} writes about {length:.0f} words at a time and often says: "
            f"{', '.join(typical[:TYPICAL_WORDS])}."
        )
    return described


def _plain(clone: Clone, moment: Moment) -> PromptBuilder:
    return moment.scene.prompt_builder(clone.format, clone.tokenizer, clone.engine.context)


def _bits(clone: Clone, moment: Moment, builder: PromptBuilder) -> float:
    return bits_of(clone, builder, moment.person, moment.reply.text)


def measure_ways(moments: Sequence[Moment], rows: Sequence[Sequence[float]]) -> Measure:
    """The figures of the three ways on the same replies.

    Args:
        moments: the replies.
        rows: bits of each by base, base with examples, and clone.
    """
    both: list[Any] = [
        (row, len(moment.reply.text))
        for row, moment in zip(rows, moments, strict=True)
        if not any(map(math.isnan, row))
    ]
    conversations = [
        moment.conversation
        for row, moment in zip(rows, moments, strict=True)
        if not any(map(math.isnan, row))
    ]

    def way(i: int) -> Estimate:
        return bootstrap(
            both,
            conversations,
            lambda some: sum(row[i] for row, _ in some) / sum(size for _, size in some),
        )

    base, prompted, clone = map(way, range(len(_WAYS)))
    return Measure(
        "prompted_base",
        "Clone against prompted base",
        "lower",
        clone,
        "bits per character of the drawn replies after at most six turns; the examples are "
        f"the person's {EXAMPLES} past exchanges that are most like the moment (TF-IDF), in the "
        "train split",
        floor=base,
        unit="bits",
        references={_WAYS[1]: prompted},
        section="likelihood",
        notes=few_items_note("real replies", len(both)),
    )
