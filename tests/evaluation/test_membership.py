"""Membership inference: by the ratio of losses, against what the base alone tells."""

from __future__ import annotations

import math

import polars as pl
import pytest

from myna.evaluation.membership import Sample, auc, measure_membership, samples_of


def samples(gain: float) -> list[Sample]:
    """Texts that are hard by themselves or not; members gain by training."""
    return [
        Sample(member, n, person, 100, base := 100.0 + 10 * (n % 7), base * (1 - gain * member))
        for member in (True, False)
        for n in range(40)
        for person in ("", "Ana")
    ]


def test_a_clone_that_learned_texts_by_heart_gives_them_away() -> None:
    measure = measure_membership(samples(0.2))
    assert measure.clone.value == 1
    assert measure.people["Ana"]["clone"].value == 1
    assert measure.references["by the base's loss alone"].value == pytest.approx(0.5)
    alone = measure.references["by the clone's loss alone"].value
    assert 0.5 < alone < 1  # easy texts and learned ones look alike


def test_a_clone_that_learned_none_by_heart_is_at_chance() -> None:
    measure = measure_membership(samples(0.0))
    assert measure.clone.value == pytest.approx(0.5)
    assert measure.clone.low <= 0.5 <= measure.clone.high


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    def sample(member: bool, ratio: float) -> Sample:
        return Sample(member, 0, "", 1, 1.0, ratio)

    some = [sample(True, 0.5), sample(True, 0.9), sample(False, 0.7), sample(False, 0.9)]
    assert auc(some, lambda s: s.ratio) == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert math.isnan(auc(some[:2], lambda s: s.ratio))


def test_replies_of_a_sample_are_taken_together_and_by_person() -> None:
    bits = pl.DataFrame(
        {"sample": [0, 0, 1], "person": ["Ana", "Ben", "Ana"], "characters": [10, 20, 5],
         "bits": [30.0, 40.0, 10.0]}
    )  # fmt: skip
    clone = bits.with_columns(pl.col("bits") / 2)
    found = samples_of(pl.Series([7, 8]), bits, clone, is_member=True)
    assert [(s.conversation, s.person, s.base, s.clone) for s in found] == [
        (7, "", 70, 35), (7, "Ana", 30, 15), (7, "Ben", 40, 20), (8, "", 10, 5), (8, "Ana", 10, 5),
    ]  # fmt: skip
