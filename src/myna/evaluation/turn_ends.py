"""Turn ends: are turns as long as the person's, and do they end by themselves?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from myna.evaluation.measure import (
    Estimate,
    Measure,
    Signed,
    SignedText,
    bootstrap,
    items_of,
    mean,
)

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence
    from myna.evaluation.moments import GeneratedReply


def measure(evidence: Evidence) -> list[Measure]:
    """Turn ends: the clone's replies beside real turns of the test split."""
    return measure_turn_ends(evidence.replies, evidence.real)


def measure_turn_ends(clone: Sequence[GeneratedReply], real: Sequence[SignedText]) -> list[Measure]:
    """Share of replies that the limit cut, messages per turn and characters per message.

    Args:
        clone: replies of the clone.
        real: real turns of the test split.
    """
    conversations = [turn.conversation for turn in clone]
    cut = [float(reply.is_cut) for reply in clone]
    return [
        Measure(
            "cut_by_limit",
            "Replies cut by the limit of tokens",
            "lower",
            bootstrap(cut, conversations, mean),
            "share of replies that ended at max_new_tokens instead of by the model's own choice",
            ceiling=Estimate(0.0, items=len(real)),
            items=items_of(clone, cut),
        ),
        _beside_real(
            "messages_per_turn",
            "Messages per turn",
            "mean number of messages that a person sends before somebody else speaks",
            lambda text: float(len(text.split("\n"))),
            clone,
            real,
        ),
        _beside_real(
            "characters_per_message",
            "Characters per message",
            "mean number of characters of a message",
            lambda text: mean([float(len(line)) for line in text.split("\n")]),
            clone,
            real,
        ),
    ]


def _beside_real(
    name: str,
    title: str,
    definition: str,
    figure: Callable[[str], float],
    clone: Sequence[Signed],
    real: Sequence[Signed],
) -> Measure:
    def estimate(turns: Sequence[Signed]) -> Estimate:
        return bootstrap(
            [figure(turn.text) for turn in turns], [turn.conversation for turn in turns], mean
        )

    people = sorted({turn.person for turn in clone})
    return Measure(
        name,
        title,
        "real",
        estimate(clone),
        definition,
        ceiling=estimate(real),
        people={
            person: {
                "clone": estimate([turn for turn in clone if turn.person == person]),
                "ceiling": estimate([turn for turn in real if turn.person == person]),
            }
            for person in people
        },
        unit="count",
        items=items_of(clone, [figure(turn.text) for turn in clone]),
    )
