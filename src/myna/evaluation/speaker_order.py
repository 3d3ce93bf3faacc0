"""Turn-taking: does the model know who speaks next?"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from myna.artifacts import TurnTaking
from myna.evaluation.measure import (
    Estimate,
    Measure,
    bootstrap,
    few_items_note,
    items_of,
    mean,
)

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence
    from myna.evaluation.moments import Moment

LEAST = 1e-4
"""The least probability that a log-loss is taken of."""
SURE = 0.7
"""Probability that round-robin gives to who has been silent the longest."""


def measure(evidence: Evidence) -> list[Measure]:
    """Log-loss of the real next speaker: clone, base, frequency and round-robin."""
    moments = evidence.all_moments
    drawn = random.Random(0).sample(moments, min(evidence.size.items, len(moments)))
    if not any(len(candidates(moment)) > 1 for moment in drawn):
        return []  # two people take turns: nothing to foretell

    def foretold(kind: str) -> list[float]:
        def probability(_: int, moment: Moment) -> float:
            clone = evidence.base_scorer if kind == "base" else evidence.scorer
            if kind != "clone":  # the clone's weights are of no other model
                clone = replace(clone, turn_taking=TurnTaking())
            builder = moment.scene.prompt_builder(
                clone.format, clone.tokenizer, clone.engine.context
            )
            among = candidates(moment)
            return clone.speaker_probabilities(builder, among)[moment.person]

        return evidence.gather(f"next speaker by the {kind}", drawn, probability)

    frequency = Counter(turn.person for turn in evidence.all_train)
    return [
        measure_order(
            drawn,
            {
                "clone": foretold("clone"),
                "model alone": foretold("model alone"),
                "base model": foretold("base"),
                "frequency": [by_frequency(moment, frequency) for moment in drawn],
                "round-robin": [by_silence(moment) for moment in drawn],
            },
        )
    ]


def candidates(moment: Moment) -> list[str]:
    """Everybody in the conversation but the last speaker."""
    last = moment.scene.before[-1].person
    everyone = dict.fromkeys([*moment.scene.people, moment.person])
    return [person for person in everyone if person != last]


def by_frequency(moment: Moment, counts: Mapping[str, int]) -> float:
    """Probability of the real next speaker by turns in the train split, each plus one."""
    among = candidates(moment)
    total = sum(counts.get(person, 0) + 1 for person in among)
    return (counts.get(moment.person, 0) + 1) / total


def by_silence(moment: Moment) -> float:
    """Probability of the real next speaker, where mostly who was silent longest speaks."""
    among = candidates(moment)
    if len(among) == 1:
        return 1.0
    said = {message.person: i for i, message in enumerate(moment.scene.before)}
    recent = [person for person in among if person in said] or among
    due = min(recent, key=lambda person: said.get(person, -1))
    return SURE if moment.person == due else (1 - SURE) / (len(among) - 1)


def measure_order(moments: Sequence[Moment], given: Mapping[str, Sequence[float]]) -> Measure:
    """The mean log-loss of each way of foretelling the next speaker, in bits."""
    conversations = [moment.conversation for moment in moments]

    def bits(probabilities: Sequence[float]) -> list[float]:
        return [-math.log2(max(p, LEAST)) for p in probabilities]

    def loss(probabilities: Sequence[float]) -> Estimate:
        return bootstrap(bits(probabilities), conversations, mean)

    references = {name: loss(given[name]) for name in ("model alone", "base model", "round-robin")}
    return Measure(
        "next_speaker",
        "Who speaks next, log-loss",
        "lower",
        loss(given["clone"]),
        "bits of the real next speaker's probability, the last speaker left out; model alone: "
        "without weights from the validation split; frequency: "
        f"turns in the train split; round-robin: {SURE:.0%} for who was silent the longest",
        floor=loss(given["frequency"]),
        floor_name="frequency",
        unit="bits",
        references=references,
        section="rooms",
        notes=few_items_note("turns", len(moments)),
        items=items_of([moment.reply for moment in moments], bits(given["clone"])),
    )
