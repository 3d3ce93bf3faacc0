"""Is the real reply the likeliest: under its author's name, and among ten replies?

The likelihood of a real reply under each persona's name tells if the model has learned
people, or only the room's voice. Which of ten replies was really said tells if it follows
the conversation.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from myna.evaluation.measure import Estimate, Item, Measure, bootstrap, few_items_note, mean

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence
    from myna.evaluation.moments import Moment
    from myna.persona.clone import Clone
    from myna.persona.prompt import PromptBuilder

CANDIDATES = 10
MAX_NAMES = 8
"""The most personas whose names a reply is put under: each costs a pass."""


@dataclass(frozen=True)
class Scored:
    """A real reply, as a model sees it.

    Attributes:
        person: its author.
        conversation: its conversation.
        characters: of its text.
        by_name: bits of the text under each persona's name.
        rank: place of the real reply among the candidates, 1 is the likeliest.
    """

    person: str
    conversation: int
    characters: int
    by_name: dict[str, float]
    rank: int

    @property
    def is_own(self) -> bool:
        """True where no other name makes the reply as likely."""
        return all(
            self.by_name[self.person] < bits
            for name, bits in self.by_name.items()
            if name != self.person
        )

    @property
    def gain(self) -> float:
        """Bits that the true name saves, against the mean of the other names."""
        others = [bits for name, bits in self.by_name.items() if name != self.person]
        return mean(others) - self.by_name[self.person]


def measure(evidence: Evidence) -> list[Measure]:
    """Real replies under every persona's name, and among ten candidates."""
    names = _names(evidence)
    moments = [moment for moment in evidence.moments if moment.person in names]
    candidates = [draw_candidates(moment, evidence, i) for i, moment in enumerate(moments)]

    def scored(kind: str) -> list[Scored]:
        def score(i: int, moment: Moment) -> dict[str, Any]:
            clone = evidence.scorer if kind == "clone" else evidence.base_scorer
            return score_moment(clone, moment, names, candidates[i]).__dict__

        return [Scored(**e) for e in evidence.gather(f"names by the {kind}", moments, score)]

    clone, base = scored("clone"), scored("base")
    return [
        *(measure_names(clone, base, names) if len(names) > 1 else []),
        *measure_ranks(clone, base),
    ]


def bits_of(clone: Clone, builder: PromptBuilder, person: str, text: str) -> float:
    """Bits of a turn's text after the prompt of a person; NaN where the prompt was trimmed."""
    prompt, whole = builder.prompt(person), builder.prompt(person, text)
    if whole[: len(prompt)] != prompt:
        return math.nan
    return -sum(clone.engine_for(person).score(prompt, whole[len(prompt) :])) / math.log(2)


def score_moment(
    clone: Clone, moment: Moment, names: Sequence[str], candidates: Sequence[str]
) -> Scored:
    """Score a real reply under each name, and among the candidates, which it is the first of.

    Candidates are ranked by bits per character.
    """
    builder = moment.scene.prompt_builder(clone.format, clone.tokenizer, clone.engine.context)
    text = moment.reply.text
    bits = [bits_of(clone, builder, moment.person, candidate) for candidate in candidates]
    by_name = {
        name: bits[0] if name == moment.person else bits_of(clone, builder, name, text)
        for name in names
    }
    each = [b / len(candidate) for b, candidate in zip(bits, candidates, strict=True)]
    rank = 1 + sum(other <= each[0] for other in each[1:])
    return Scored(moment.person, moment.conversation, len(text), by_name, rank)


def draw_candidates(moment: Moment, evidence: Evidence, seed: int) -> list[str]:
    """The real reply, then nine other test turns of about its length: four of the same person."""
    rng = random.Random(seed)
    text = moment.reply.text
    own, others = set[str](), set[str]()
    for turn in evidence.real:
        (own if turn.person == moment.person else others).add(turn.text)
    chosen = [text]
    for pool, count in ((own, (CANDIDATES - 1) // 2), (others, CANDIDATES)):
        near = sorted(pool - set(chosen), key=lambda other: (abs(len(other) - len(text)), other))
        near = near[: 4 * count]
        chosen += rng.sample(near, min(count, len(near), CANDIDATES - len(chosen)))
    return chosen


def measure_names(
    clone: Sequence[Scored], base: Sequence[Scored], names: Sequence[str]
) -> list[Measure]:
    """Share of replies that are likeliest under the true name, and the bits that it saves."""

    def share(some: Sequence[Scored]) -> Estimate:
        return bootstrap([float(s.is_own) for s in some], [s.conversation for s in some], mean)

    def gain(some: Sequence[Scored]) -> Estimate:
        return bootstrap([s.gain for s in some], [s.conversation for s in some], mean)

    def per_character(person: str, name: str) -> Estimate:
        own = [s for s in clone if s.person == person]
        characters = sum(s.characters for s in own)
        bits = sum(s.by_name[name] for s in own)
        return Estimate(bits / characters if characters else math.nan, items=len(own))

    notes = few_items_note("real replies", len(clone))
    return [
        Measure(
            "true_name",
            "Likeliest under own name",
            "higher",
            share(clone),
            "share of real replies whose words have more bits under every other persona's name",
            floor=share(base),
            people={
                name: {
                    "clone": share([s for s in clone if s.person == name]),
                    **{f"as {other}": per_character(name, other) for other in names},
                }
                for name in names
            },
            references={"chance": Estimate(1 / len(names))},
            notes=notes,
            items=_items(clone, lambda s: float(s.is_own)),
            section="likelihood",
        ),
        Measure(
            "name_gain",
            "Bits that the name saves",
            "higher",
            gain(clone),
            "bits of a real reply under the other personas' names (mean) less those under the "
            "author's",
            floor=gain(base),
            unit="bits",
            notes=notes,
            items=_items(clone, lambda s: s.gain),
            section="likelihood",
        ),
    ]


def measure_ranks(clone: Sequence[Scored], base: Sequence[Scored]) -> list[Measure]:
    """Choosing the real reply of ten: mean reciprocal rank and hit rate."""

    def of(some: Sequence[Scored], figure: Any) -> Estimate:
        return bootstrap([figure(s) for s in some], [s.conversation for s in some], mean)

    notes = few_items_note("real replies", len(clone))
    people = sorted({s.person for s in clone})
    made = []
    for name, title, figure, chance, formula in (
        (
            "real_of_ten",
            "Real reply chosen of ten",
            lambda s: float(s.rank == 1),
            1 / CANDIDATES,
            "share of real replies with fewer bits per character than nine other test turns of "
            "about their length, four of them by the same person",
        ),
        (
            "reciprocal_rank",
            "Rank of it, reciprocal",
            lambda s: 1 / s.rank,
            sum(1 / rank for rank in range(1, CANDIDATES + 1)) / CANDIDATES,
            "mean of 1 / rank of the real reply among the same ten (Voorhees 1999)",
        ),
    ):
        made.append(
            Measure(
                name,
                title,
                "higher",
                of(clone, figure),
                formula,
                floor=of(base, figure),
                people={
                    person: {"clone": of([s for s in clone if s.person == person], figure)}
                    for person in people
                },
                references={"chance": Estimate(chance)},
                unit="share" if name == "real_of_ten" else "score",
                notes=notes,
                items=_items(clone, figure),
                section="likelihood",
            )
        )
    return made


def _items(some: Sequence[Scored], figure: Callable[[Scored], float]) -> tuple[Item, ...]:
    return tuple(Item(s.person, s.conversation, figure(s)) for s in some)


def _names(evidence: Evidence) -> list[str]:
    """The personas with the most test turns."""
    counts = dict.fromkeys(evidence.personas, 0)
    for turn in evidence.real:
        counts[turn.person] += 1
    spoke = [person for person in counts if counts[person]]
    return sorted(spoke, key=lambda person: -counts[person])[:MAX_NAMES]
