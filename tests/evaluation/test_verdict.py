"""Faults are called by the right name, and a sound clone has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from myna.evaluation.measure import Estimate, Measure
from myna.evaluation.verdict import find_faults


def made(name: str, clone: float, **given: Any) -> Measure:
    """A measure with a narrow interval around the clone's figure."""
    estimate = Estimate(clone, clone - 0.02, clone + 0.02, 120)
    kinds = {key: Estimate(value) for key, value in given.items()}
    return Measure(name, name, "real", estimate, "", **kinds)  # type: ignore[arg-type]


SOUND = {
    measure.name: measure
    for measure in (
        made("bits_change", -0.12),
        made("who_said_it", 0.8, floor=0.1, ceiling=1.0),
        made("who_said_it_style", 0.75, floor=0.1, ceiling=1.0),
        replace(made("true_name", 0.7), references={"chance": Estimate(0.25)}),
        made("repeats", 0.06, ceiling=0.05),
        made("echoes", 0.2, ceiling=0.15),
        made("collapsed", 0.0, ceiling=0.0),
        made("distinct_2", 0.9, ceiling=0.92),
        made("copied_replies", 0.02, ceiling=0.03),
        made("membership", 0.55, floor=0.5),
        made("leaked_strings", 0.0, floor=0.0),
        made("assistant_leak", 0.01, floor=0.5, ceiling=0.0),
        made("cut_by_limit", 0.01, ceiling=0.0),
    )
}

BAD: dict[str, list[Measure]] = {
    "overfitted": [made("bits_change", 0.08)],  # 30 epochs on 20 messages
    "untrained": [made("bits_change", -0.003)],  # one step
    "memorised": [made("membership", 0.8, floor=0.5)],
    "caricature": [
        made("who_said_it", 1.3, floor=0.1, ceiling=1.0),
        made("who_said_it_style", 0.5, floor=0.1, ceiling=1.0),
        made("distinct_2", 0.6, ceiling=0.92),
    ],
    "copies": [made("copied_replies", 0.7, ceiling=0.03)],
    "swapped": [
        made("who_said_it", -0.4, floor=0.1, ceiling=1.0),
        replace(made("true_name", 0.05), references={"chance": Estimate(0.25)}),
    ],
    "loops": [made("repeats", 0.5, ceiling=0.05), made("collapsed", 0.4, ceiling=0.0)],
    "leaks": [made("leaked_strings", 0.01, floor=0.0)],
    "assistant": [made("assistant_leak", 0.3, floor=0.5, ceiling=0.0)],
    "endless": [made("cut_by_limit", 0.4, ceiling=0.0)],
}


def faults(*changed: Measure) -> list[str]:
    """The names of the faults of a sound clone with these figures instead of its own."""
    measures = {**SOUND, **{measure.name: measure for measure in changed}}
    return [fault.name for fault in find_faults([*measures.values()])]


def test_a_sound_clone_has_no_fault() -> None:
    assert faults() == []


@pytest.mark.parametrize("name", BAD)
def test_each_kind_of_bad_clone_is_called_by_its_name(name: str) -> None:
    assert faults(*BAD[name]) == [name]


@pytest.mark.parametrize("name", BAD)
def test_a_fault_says_what_to_do(name: str) -> None:
    (fault,) = find_faults([*{**SOUND, **{m.name: m for m in BAD[name]}}.values()])
    assert fault.text
    assert fault.remedy
    assert not fault.remedy.endswith(".")  # the views end sentences


def test_one_of_the_caricatures_signs_is_enough_beside_the_first() -> None:
    typical, uneven, poor = BAD["caricature"]
    assert faults(typical, uneven) == ["caricature"]
    assert faults(replace(typical, clone=Estimate(1.2, 0.6, 1.4)), poor) == ["caricature"]
    assert faults(poor) == []  # dull, but not more typical than the person


def test_only_a_clone_that_is_surely_worse_than_its_base_is_overfitted() -> None:
    assert faults(made("bits_change", 0.01)) == ["untrained"]  # by chance: one step did it
    assert faults(made("bits_change", 0.03)) == ["overfitted"]


def test_a_secret_said_once_is_memorised_and_one_said_often_only_by_chance_is_not() -> None:
    def exposure(once: float, overall: float) -> Measure:
        measure = made("exposure", overall, floor=1.4)
        return replace(measure, references={"inserted once": Estimate(once, once - 1, once + 1)})

    assert faults(exposure(once=5.0, overall=6.0)) == ["memorised"]
    assert faults(exposure(once=1.5, overall=5.0)) == []  # sixteen times over, any number sticks
    assert "5.0 bits" in find_faults([exposure(once=5.0, overall=6.0)])[0].text


def test_nothing_measured_is_no_fault() -> None:
    assert find_faults([]) == []


def test_the_gravest_fault_comes_first() -> None:
    assert faults(*BAD["endless"], *BAD["overfitted"]) == ["overfitted", "endless"]


def test_rooms_that_only_echo_are_loops_though_no_line_stands_twice() -> None:
    assert faults(made("echoes", 0.6, ceiling=0.15)) == ["loops"]
