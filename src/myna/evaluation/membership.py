"""Membership inference: can the texts that a clone was trained on be told from others?

The attack orders samples by the loss of the clone over that of its base (Carlini et al. 2021,
arXiv 2012.07805, section 5.2: a reference model takes out how hard a text is by itself), and
calls the lowest ones training text. By the clone's loss alone it is the attack of Yeom et al.
2018 (arXiv 1709.01604).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from myna.evaluation.measure import Estimate, Measure, bootstrap, few_items_note

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence


@dataclass(frozen=True)
class Sample:
    """The replies of one person in a sample, or of everybody.

    Attributes:
        is_member: True if the clone was trained on it.
        conversation: its conversation.
        person: whose replies; empty for everybody.
        characters: of the replies.
        base: their bits by the base.
        clone: their bits by the clone.
    """

    is_member: bool
    conversation: int
    person: str
    characters: int
    base: float
    clone: float

    @property
    def ratio(self) -> float:
        """The clone's loss over the base's."""
        return self.clone / self.base

    @property
    def loss(self) -> float:
        """The clone's bits per character."""
        return self.clone / self.characters

    @property
    def base_loss(self) -> float:
        """The base's bits per character."""
        return self.base / self.characters


def measure(evidence: Evidence) -> list[Measure]:
    """Samples of the train split against as many of the test split."""
    samples = [
        sample
        for is_member, table, (base, clone) in (
            (True, evidence.train_samples, evidence.train_bits),
            (False, evidence.test_samples, evidence.bits),
        )
        for sample in samples_of(table["conversation"], base, clone, is_member=is_member)
    ]
    return [measure_membership(samples)]


def samples_of(
    conversations: pl.Series, base: pl.DataFrame, clone: pl.DataFrame, *, is_member: bool
) -> list[Sample]:
    """Everybody's replies of each sample, and each person's.

    Args:
        conversations: of each sample.
        base: bits of the replies by the base, as `likelihood.reply_bits` gives them.
        clone: the same by the clone, in the same order.
        is_member: True if the clone was trained on them.
    """
    both = base.with_columns(clone=clone["bits"])
    sums = pl.col("characters").sum(), pl.col("bits").sum(), pl.col("clone").sum()
    own = both.group_by("sample", "person").agg(*sums)
    whole = both.group_by("sample").agg(*sums).with_columns(person=pl.lit(""))
    rows = pl.concat([whole.select(own.columns), own]).sort("sample", "person")
    return [
        Sample(is_member, int(conversations[sample]), person, characters, bits, clone_bits)
        for sample, person, characters, bits, clone_bits in rows.iter_rows()
        if characters and bits > 0
    ]


def measure_membership(samples: Sequence[Sample]) -> Measure:
    """The area under the curve of the attack, of everybody and of each person."""

    def area(some: Sequence[Sample], score: Callable[[Sample], float]) -> Estimate:
        clusters = [(sample.is_member, sample.conversation) for sample in some]
        return bootstrap(some, clusters, lambda drawn: auc(drawn, score))

    whole = [sample for sample in samples if not sample.person]
    members = sum(sample.is_member for sample in whole)
    fewest = min(members, len(whole) - members)
    return Measure(
        "membership",
        "Telling training text from other text (AUC)",
        "lower",
        area(whole, lambda sample: sample.ratio),
        "probability that a sample of the train split has a lower ratio of the clone's loss to "
        "the base's than one of the test split (Carlini et al. 2021, arXiv 2012.07805); by loss "
        "alone: Yeom et al. 2018; the base has seen neither, so its loss shows how much the "
        "splits differ by themselves",
        floor=Estimate(0.5),
        floor_name="chance",
        people={
            person: {
                "clone": area([s for s in samples if s.person == person], lambda s: s.ratio),
            }
            for person in sorted({sample.person for sample in samples} - {""})
        },
        unit="score",
        section="privacy",
        references={
            "by the clone's loss alone": area(whole, lambda sample: sample.loss),
            "by the base's loss alone": area(whole, lambda sample: sample.base_loss),
        },
        notes=few_items_note("samples of a split", fewest),
    )


def auc(samples: Sequence[Sample], score: Callable[[Sample], float]) -> float:
    """Probability that a member scores below another sample, ties as half; NaN without both.

    The area under the receiver's curve, as the Mann-Whitney statistic (Hanley & McNeil 1982).
    """
    ours = np.sort([score(sample) for sample in samples if sample.is_member])
    others = np.array([score(sample) for sample in samples if not sample.is_member])
    if not len(ours) or not len(others):
        return math.nan
    below = np.searchsorted(ours, others, "left")
    up_to = np.searchsorted(ours, others, "right")
    return float((below + up_to).sum() / 2 / len(ours) / len(others))
