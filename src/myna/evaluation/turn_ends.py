"""Turns: do they end by themselves, and how often is a line drawn again?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from myna.evaluation.measure import Estimate, Item, Measure, bootstrap, items_of, mean
from myna.evaluation.moments import GeneratedReply, lines_of_turns

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence


def measure(evidence: Evidence) -> list[Measure]:
    """Turn ends of the clone's replies and the base's, and redraws in rooms."""
    ends = measure_turn_ends(evidence.replies, evidence.base_replies)
    return [ends, measure_redraws(evidence.room_turns)] if evidence.room_turns else [ends]


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


def measure_redraws(rooms: Sequence[Sequence[GeneratedReply]]) -> Measure:
    """Lines that the guard against loops drew again, for 100 lines that were said."""
    found = [
        Item("", i, 100.0 * sum(turn.redraws for turn in room), float(len(lines_of_turns(room))))
        for i, room in enumerate(rooms)
    ]

    def per_line(items: Sequence[Item]) -> float:
        return sum(item.value for item in items) / (sum(item.weight for item in items) or math.nan)

    return Measure(
        "redraws",
        "Redraws in 100 lines",
        "lower",
        bootstrap(found, range(len(found)), per_line),
        "lines in rooms that were rejected because they said again what was just said, for 100 "
        "that were said: how much of the work against loops is the guard's",
        section="rooms",
        unit="count",
        items=tuple(found),
        is_detail=True,
    )
