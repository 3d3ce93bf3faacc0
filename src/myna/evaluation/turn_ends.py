"""Turn ends: do turns end by themselves?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from myna.evaluation.measure import Estimate, Measure, bootstrap, items_of, mean

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence
    from myna.evaluation.moments import GeneratedReply


def measure(evidence: Evidence) -> list[Measure]:
    """Turn ends of the clone's replies and the base's."""
    return [measure_turn_ends(evidence.replies, evidence.base_replies)]


def measure_turn_ends(clone: Sequence[GeneratedReply], base: Sequence[GeneratedReply]) -> Measure:
    """The share of replies that the limit of tokens cut; of real turns it is none."""

    def cut(some: Sequence[GeneratedReply]) -> Estimate:
        flags = [float(reply.is_cut) for reply in some]
        return bootstrap(flags, [reply.conversation for reply in some], mean)

    return Measure(
        "cut_by_limit",
        "Replies cut by the limit",
        "lower",
        cut(clone),
        "share of replies that ended at chat.max_new_tokens instead of by the model's own choice",
        floor=cut(base) if base else None,
        ceiling=Estimate(0.0),
        section="style",
        items=items_of(clone, [float(reply.is_cut) for reply in clone]),
    )
