"""Real replies under every name and among ten candidates."""

from __future__ import annotations

import pytest

from myna.evaluation.identification import Scored, measure_names, measure_ranks


def scored(person: str, ana: float, ben: float, rank: int = 1, conversation: int = 0) -> Scored:
    return Scored(person, conversation, 10, {"Ana": ana, "Ben": ben}, rank)


def test_a_model_that_knows_its_people_finds_replies_likeliest_under_the_true_name() -> None:
    knows = [scored("Ana", 20, 30, conversation=n) for n in range(3)]
    knows += [scored("Ben", 28, 20, conversation=n) for n in range(3)]
    confuses = [scored("Ana", 30, 20), scored("Ben", 20, 20)]
    share, gain = measure_names(knows, confuses, ["Ana", "Ben"])
    assert share.clone.value == 1
    assert share.floor is not None
    assert share.floor.value == 0  # as likely under both names is not known
    assert share.references["chance"].value == 0.5
    assert gain.clone.value == pytest.approx(9)


def test_the_matrix_has_bits_per_character_under_each_name() -> None:
    some = [scored("Ana", 20, 30), scored("Ana", 10, 20)]
    share, _ = measure_names(some, some, ["Ana", "Ben"])
    assert share.people["Ana"]["as Ana"].value == pytest.approx(1.5)
    assert share.people["Ana"]["as Ben"].value == pytest.approx(2.5)


def test_the_rank_of_the_real_reply_is_measured_beside_chance() -> None:
    first, third = scored("Ana", 1, 2, rank=1), scored("Ana", 1, 2, rank=3)
    hits, ranks = measure_ranks([first, third], [third, third])
    assert hits.clone.value == 0.5
    assert hits.floor is not None
    assert hits.floor.value == 0
    assert hits.references["chance"].value == pytest.approx(0.1)
    assert ranks.clone.value == pytest.approx((1 + 1 / 3) / 2)
    assert ranks.references["chance"].value == pytest.approx(0.2929, abs=1e-4)
