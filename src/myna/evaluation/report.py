"""An evaluation's report: one object, of which the table, the JSON file and the page are views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape
from typing import Any

from myna.conversations.line_repeats import repeated_lines
from myna.evaluation.measure import Estimate, Measure
from myna.evaluation.moments import Room
from myna.evaluation.room_metrics import has_collapsed
from myna.evaluation.verdict import find_faults
from myna.preparing.html_reports import document

MAX_EXAMPLES = 12
"""Replies that the page shows."""
MAX_ROOMS = 4

BETTER = {
    "higher": "higher is better",
    "lower": "lower is better",
    "real": "nearer to real text is better",
}


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


def written(estimate: Estimate | None, unit: str, sign: str = "") -> str:
    """A figure for people, with its interval where it has one; with `sign` "+", a signed one."""
    if estimate is None or math.isnan(estimate.value):
        return "–"
    text = _number(estimate.value, unit, sign)
    if math.isnan(estimate.low) or estimate.low == estimate.high:
        return text
    low, high = (_number(value, unit, sign) for value in (estimate.low, estimate.high))
    return f"{text} ({low} to {high})"


def page(report: Report) -> str:
    """The report as a page: faults, every measure on its scale, replies and rooms."""
    title = f"How good is '{report.adapter}'?"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _faults(report),
        *(f'<p class="note">Not measured: {escape(note)}</p>' for note in report.notes),
        *(_measure(measure) for measure in report.measures),
        _replies(report.examples[:MAX_EXAMPLES]),
        *(_room(room) for room in report.rooms[:MAX_ROOMS]),
    ]
    return document(title, _STYLE, "".join(parts))


_STYLE = """
.measure { margin-top: 1rem; }
.measure h2 { margin: 0 0 .2rem; }
.scale { display: grid; grid-template-columns: minmax(7rem, 13rem) 1fr minmax(7rem, 14rem);
  gap: .3rem .8rem; align-items: center; margin-top: .7rem; font-variant-numeric: tabular-nums; }
.track { position: relative; height: .8rem; background: var(--line); border-radius: .4rem; }
.track i { position: absolute; left: 0; height: 100%; border-radius: .4rem; min-width: .2rem;
  background: #98a1ad; }
.clone i { background: #2f8f5b; } .ceiling i { background: #4c86d9; }
.track b { position: absolute; top: .3rem; height: .2rem; background: var(--ink); opacity: .6; }
.fault { border-left: .3rem solid #c2571a; } .sound { border-left: .3rem solid #2f8f5b; }
.fault, .sound { margin-top: 1rem; padding-left: .9rem; }
details { margin-top: .6rem; color: var(--soft); } td, th { padding: .15rem .8rem .15rem 0; }
.wide { overflow-x: auto; } .figures td + td, .figures th + th { text-align: right; }
.said td { vertical-align: top; white-space: pre-wrap; } .real { color: #4c86d9; }
.room p { margin: .1rem 0; } .again { opacity: .55; }
"""


def _faults(report: Report) -> str:
    faults = find_faults(report.measures)
    if not faults:
        return '<section class="card sound"><p>No fault found by these figures.</p></section>'
    return "".join(
        f'<section class="card fault"><h2>{escape(fault.name.capitalize())}</h2>'
        f"<p>{escape(fault.text)}.<br>{escape(fault.remedy)}</p></section>"
        for fault in faults
    )


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
        if estimate is not None and not math.isnan(estimate.value)
    }


def _measure(measure: Measure) -> str:
    lines = lines_of(measure)
    top = max([1.0 if measure.unit == "share" else 0.0, *(_high(e) for _, e in lines.values())])
    if measure.name == "bits_change":
        lines = {"clone": ("clone", measure.clone)}
    scale = "".join(
        f"<span>{escape(name)}</span>"
        f'<div class="track {kind}"><i style="width:{_percent(abs(estimate.value), top)}"></i>'
        f"{_whisker(estimate, top)}</div><span>{escape(written(estimate, measure.unit))}</span>"
        for name, (kind, estimate) in lines.items()
    )
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in measure.notes)
    return (
        f'<section class="card measure"><h2>{escape(measure.title)}</h2>'
        f'<p>{BETTER[measure.better]}</p><div class="scale">{scale}</div>{notes}'
        f"<details><summary>people and definition</summary>{_people(measure)}"
        f"<p>{escape(measure.definition)}</p></details></section>"
    )


def _people(measure: Measure) -> str:
    """A table of the figures of each person."""
    columns = list(dict.fromkeys(key for own in measure.people.values() for key in own))
    if not columns:
        return ""
    names = {"floor": measure.floor_name, "ceiling": "real text"}
    head = "".join(f"<th>{escape(names.get(key, key))}</th>" for key in columns)
    rows = "".join(
        f"<tr><td>{escape(person)}</td>"
        + "".join(
            f"<td>{escape(written(own.get(key), _unit(key, measure)))}</td>" for key in columns
        )
        + "</tr>"
        for person, own in measure.people.items()
    )
    return (
        f'<div class="wide"><table class="figures"><tr><th>person</th>{head}</tr>{rows}'
        "</table></div>"
    )


def _unit(key: str, measure: Measure) -> str:
    """The unit of a person's figure: bits under another name, else the measure's."""
    return "bits" if key.startswith("as ") else measure.unit


def _replies(examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    rows = "".join(
        f"<tr><td>{escape(e.before)}</td><td><b>{escape(e.person)}</b></td>"
        f'<td>{escape(e.clone)}</td><td class="real">{escape(e.real)}</td></tr>'
        for e in examples
    )
    return (
        '<h2>Replies</h2><div class="card wide"><table class="said"><tr><th>said before</th>'
        f"<th>person</th><th>clone</th><th>really said</th></tr>{rows}</table></div>"
    )


def _room(room: Room) -> str:
    lines = "".join(
        f"<p{' class=again' if again else ''}><b>{escape(person)}</b>: {escape(text)}</p>"
        for (person, text), again in zip(
            room, repeated_lines([text for _, text in room]), strict=True
        )
    )
    fate = " that collapsed" if has_collapsed(room) else ""
    return f'<h2>A room of clones{fate}</h2><div class="card room">{lines}</div>'


def _whisker(estimate: Estimate, top: float) -> str:
    if math.isnan(estimate.low) or estimate.value < 0:
        return ""
    width = _percent(max(estimate.high - max(estimate.low, 0), 0), top)
    return f'<b style="left:{_percent(estimate.low, top)};width:{width}"></b>'


def _percent(value: float, top: float) -> str:
    return f"{min(max(value / top, 0), 1) * 100 if top else 0:.1f}%"


def _high(estimate: Estimate) -> float:
    return estimate.value if math.isnan(estimate.high) else max(estimate.high, estimate.value)


def _number(value: float, unit: str, sign: str = "") -> str:
    if unit == "share":
        return f"{value:{sign}.1%}"
    return f"{value:{sign}.3f}" if unit == "bits" else f"{value:{sign}.2f}"


def without_nan(data: Any) -> Any:
    """JSON data with null where a figure is not known."""
    if isinstance(data, float) and math.isnan(data):
        return None
    if isinstance(data, dict):
        return {key: without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [without_nan(value) for value in data]
    return data
