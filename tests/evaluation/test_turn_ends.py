"""Turns: those that the limit cuts, and lines that were drawn again."""

from __future__ import annotations

import pytest

from myna.evaluation.moments import GeneratedReply
from myna.evaluation.turn_ends import measure_redraws, measure_turn_ends


def test_the_share_of_replies_cut_by_the_limit_stands_beside_that_of_the_base() -> None:
    clone = [GeneratedReply("Ana", "soup", n, is_cut=n == 0) for n in range(4)]
    base = [GeneratedReply("Ana", "soup", n, is_cut=True) for n in range(2)]
    measure = measure_turn_ends(clone, base)
    assert measure.clone.value == 0.25
    assert measure.floor is not None
    assert measure.floor.value == 1


def test_redraws_are_counted_for_the_lines_that_were_said() -> None:
    rooms = [
        [GeneratedReply("Ana", "soup\nbread", 0, redraws=1), GeneratedReply("Ben", "tea", 0)],
        [GeneratedReply("Ben", "", 1, redraws=3), GeneratedReply("Ana", "soup", 1)],
    ]
    assert measure_redraws(rooms).clone.value == pytest.approx(100 * 4 / 4)
