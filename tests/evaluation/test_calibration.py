"""Temperatures fitted to the validation split."""

from __future__ import annotations

import pytest

from myna.config import Chat, PersonaSampling
from myna.evaluation.calibration import choose


def test_each_person_gets_the_temperature_at_which_they_are_nearest() -> None:
    made = choose(
        {
            0.6: {"Ana": 0.1, "Ben": 0.5},
            0.9: {"Ana": 0.4, "Ben": 0.2},
        }
    )
    assert made.chosen == {"Ana": 0.6, "Ben": 0.9}
    assert made.distances["Ana"] == {0.6: 0.1, 0.9: 0.4}


def test_one_persons_chance_does_not_outweigh_everybody() -> None:
    near = {"Ana": 0.29, "Ben": 0.6, "Cy": 0.6}
    far = {"Ana": 0.30, "Ben": 0.2, "Cy": 0.2}
    assert choose({0.6: near, 0.9: far}).chosen == {"Ana": 0.9, "Ben": 0.9, "Cy": 0.9}


def test_what_is_fitted_gives_way_to_what_is_set() -> None:
    fitted = {"Ana": PersonaSampling(temperature=0.6), "Ben": PersonaSampling(temperature=0.75)}
    chat = Chat().with_calibration(fitted)
    assert chat.sampling(0, "Ana").temperature == 0.6
    assert chat.sampling(0, "Cy").temperature == Chat().temperature
    assert Chat(temperature=0.5).with_calibration(fitted).sampling(0, "Ana").temperature == 0.5
    own = Chat(personas={"Ben": PersonaSampling(temperature=1.1)}).with_calibration(fitted)
    assert own.sampling(0, "Ben").temperature == 1.1
    assert own.sampling(0, "Ana").temperature == 0.6


def test_a_room_may_set_its_own_temperature() -> None:
    chat = Chat().with_calibration({"Ana": PersonaSampling(temperature=0.6)})
    changed = chat.with_changes({"temperature": 0.9})
    assert changed.sampling(0, "Ana").temperature == pytest.approx(0.9)
