"""An evaluation's report: one object, of which table, JSON and page are views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from myna.evaluation.measure import Estimate, Measure
from myna.evaluation.moments import Room

SECTIONS = {
    "likelihood": "Does it expect what they say?",
    "voice": "Does it sound like them?",
    "style": "Does it write like them?",
    "rooms": "Does it hold a conversation?",
    "privacy": "Does it keep secrets?",
}
"""The parts of a report, in order."""

GOOD, FAIR = 2 / 3, 1 / 3
"""Shares of the way from the floor to real text from which a figure is good, or fair."""


@dataclass(frozen=True)
class Example:
    """A reply of the clone beside the real one, and the message before."""

    before: str
    person: str
    clone: str
    real: str


@dataclass(frozen=True)
class Report:
    """An evaluation.

    Attributes:
        adapter: its name.
        measures: every figure, in the order in which it is shown.
        notes: metrics that could not be taken, and why.
        examples: replies beside real ones.
        rooms: lines that the clones said among themselves.
    """

    adapter: str
    measures: list[Measure]
    notes: list[str] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    rooms: list[Room] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """The figures as JSON data, the measures by their names; what is not known is null."""
        measures = {measure.name: measure_data(measure) for measure in self.measures}
        return {"adapter": self.adapter, "measures": measures, "notes": self.notes}


def measure_data(measure: Measure) -> dict[str, Any]:
    """A measure as JSON data, without its items; what is not known is null."""
    data: dict[str, Any] = without_nan(asdict(replace(measure, items=())))
    del data["items"]
    return data


def measures_of(data: dict[str, Any]) -> list[Measure]:
    """The measures of a report's JSON data."""

    def estimate(given: dict[str, Any] | None) -> Estimate | None:
        if given is None:
            return None
        known: Any = {key: math.nan if value is None else value for key, value in given.items()}
        return Estimate(**known)

    def several(given: dict[str, Any]) -> dict[str, Any]:
        return {key: estimate(value) for key, value in given.items()}

    return [
        Measure(
            **{
                **entry,
                **{key: estimate(entry[key]) for key in ("clone", "floor", "ceiling")},
                "references": several(entry["references"]),
                "people": {person: several(own) for person, own in entry["people"].items()},
                "notes": tuple(entry["notes"]),
            }
        )
        for entry in data["measures"].values()
    ]


Grade = Literal["good", "fair", "poor", ""]


def grade(measure: Measure) -> Grade:
    """A figure's place on the way from its floor to real text; "" where nothing can be said.

    Good: two thirds of the way, fair: one third. Without a floor, or with one that is better
    than real text, the way is the larger of both figures. An interval that holds floor and
    real text says nothing.
    """
    clone, real = measure.clone, measure.ceiling
    if math.isnan(clone.value) or real is None or math.isnan(real.value):
        return ""
    if clone.value == real.value or (measure.better == "lower" and clone.value < real.value):
        return "good"
    floor = measure.floor.value if measure.floor else math.nan
    sign = {"higher": 1, "lower": -1, "real": 0}[measure.better]
    if sign * (floor - real.value) > 0:
        floor = math.nan
    if math.isnan(floor):
        is_open = clone.low <= real.value <= clone.high
        whole = max(abs(clone.value), abs(real.value))
    else:
        is_open = clone.low <= min(floor, real.value) and clone.high >= max(floor, real.value)
        whole = abs(floor - real.value)
    way = 1 - abs(clone.value - real.value) / whole if whole else 0.0
    if way >= GOOD:
        return "good"
    return "" if is_open else "fair" if way >= FAIR else "poor"


def is_known(estimate: Estimate | None) -> bool:
    """True where there is a figure."""
    return estimate is not None and not math.isnan(estimate.value)


def written(estimate: Estimate | None, unit: str, sign: str = "") -> str:
    """A figure for people, with its interval where it has one: `12% (8–17)`.

    With `sign` "+", as a difference: `+1.2% (−0.3 to +2.7)`.
    """
    if estimate is None or not is_known(estimate):
        return "–"
    if math.isnan(estimate.low) or estimate.low == estimate.high:
        return number(estimate.value, unit, sign)
    digits = _digits(estimate.value, unit)
    low, high = (_fixed(value, unit, digits, sign) for value in (estimate.low, estimate.high))
    dash = " to " if sign or estimate.low < 0 else "–"
    return f"{number(estimate.value, unit, sign)} ({low}{dash}{high})"


def number(value: float, unit: str, sign: str = "") -> str:
    """A number for people, with two or three digits; a share as per cent."""
    return _fixed(value, unit, _digits(value, unit), sign) + ("%" if unit == "share" else "")


def _digits(value: float, unit: str) -> int:
    """Digits behind the point."""
    if unit in ("bits", "score"):
        return 2
    size = abs(value) * (100 if unit == "share" else 1)
    is_whole = size == 0 or (unit == "count" and size == round(size))
    return 0 if is_whole or size >= 10 else 1


def _fixed(value: float, unit: str, digits: int, sign: str = "") -> str:
    return f"{value * (100 if unit == 'share' else 1):{sign}.{digits}f}".replace("-", "−")


def lines_of(measure: Measure) -> dict[str, tuple[str, Estimate]]:
    """The figures of a measure by their names, each with its kind, as far as they are known."""
    entries = {
        "clone": ("clone", measure.clone),
        measure.floor_name: ("floor", measure.floor),
        "real text": ("ceiling", measure.ceiling),
        **{name: ("reference", estimate) for name, estimate in measure.references.items()},
    }
    return {
        name: (kind, estimate)
        for name, (kind, estimate) in entries.items()
        if estimate is not None and is_known(estimate)
    }


def gathered_notes(measures: Sequence[Measure]) -> list[str]:
    """The notes of all measures, each once, with the figures that it limits."""
    titles: dict[str, list[str]] = {}
    for measure in measures:
        for note in measure.notes:
            titles.setdefault(note, []).append(measure.title)
    return [
        f"{of[0]}: {note}" if len(of) == 1 else f"{note} ({len(of)} figures)"
        for note, of in titles.items()
    ]


def without_nan(data: Any) -> Any:
    """JSON data with null where a figure is not known."""
    if isinstance(data, float) and math.isnan(data):
        return None
    if isinstance(data, dict):
        return {key: without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [without_nan(value) for value in data]
    return data
