"""An evaluation's page: faults first, every figure on its way from the base to real text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from myna.conversations.line_repeats import repeated_lines
from myna.evaluation.measure import Estimate, Measure
from myna.evaluation.moments import Room
from myna.evaluation.page_people import people_section
from myna.evaluation.page_style import STYLE
from myna.evaluation.report import (
    SECTIONS,
    Example,
    Report,
    gathered_notes,
    grade,
    lines_of,
    number,
    written,
)
from myna.evaluation.room_metrics import has_collapsed
from myna.evaluation.verdict import find_faults
from myna.preparing.html_reports import document

MAX_EXAMPLES = 12
"""Replies that the page shows."""
MAX_ROOMS = 4
MARGIN = 0.06
"""Free space at both ends of a scale, as a share of it."""

BETTER = {
    "higher": "Higher is better.",
    "lower": "Lower is better.",
    "real": "Best where it is nearest to real text.",
}
GRADE_WORDS = {"good": "close to real text", "fair": "on its way", "poor": "far from real text"}


def page(report: Report) -> str:
    """The report as a page that loads nothing from elsewhere."""
    title = f"How good is '{report.adapter}'?"
    parts = [
        f"<header><h1>{escape(title)}</h1><p>{_summary(report.measures)}</p></header>",
        _faults(report.measures),
        _KEY,
        *(_section(name, heading, report.measures) for name, heading in SECTIONS.items()),
        people_section(report.measures),
        _replies(report.examples[:: max(1, len(report.examples) // MAX_EXAMPLES)]),
        _rooms(report.rooms[:MAX_ROOMS]),
        _limits(report),
    ]
    return document(title, STYLE, "".join(parts))


_KEY = (
    '<p class="key"><span><i class="mark clone good"></i>clone, with its 95&nbsp;% interval</span>'
    '<span><i class="mark floor"></i>base model, or chance</span>'
    '<span><i class="mark ceiling"></i>real text</span>'
    '<span><b class="good">green</b> close to real text</span>'
    '<span><b class="fair">amber</b> on its way</span>'
    '<span><b class="poor">red</b> far from it</span>'
    "<span>Select a figure to see what it means.</span></p>"
)


def _summary(measures: Sequence[Measure]) -> str:
    """The grades of all figures as a sentence."""
    grades = [grade(measure) for measure in measures if not measure.is_detail]
    counts = {name: sum(name == own for own in grades) for name in GRADE_WORDS}
    known = sum(counts.values())
    if not known:
        return "Measured on chats that it has never seen."
    words = ", ".join(f"{count} {GRADE_WORDS[name]}" for name, count in counts.items() if count)
    return f"Measured on chats that it has never seen. Of {known} figures: {words}."


def _faults(measures: Sequence[Measure]) -> str:
    faults = find_faults(measures)
    if not faults:
        return '<section class="fault sound"><h2>No fault found by these figures</h2></section>'
    return "".join(
        f'<section class="fault"><h2>{escape(fault.name.capitalize())}</h2>'
        f"<p>{escape(_sentence(fault.text))} <b>{escape(_sentence(fault.remedy))}</b></p></section>"
        for fault in faults
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _section(name: str, heading: str, measures: Sequence[Measure]) -> str:
    """The figures of a section; its details behind a fold."""
    own = [m for m in measures if m.section == name and not math.isnan(m.clone.value)]
    shown = "".join(_row(measure) for measure in own if not measure.is_detail)
    details = "".join(_row(measure) for measure in own if measure.is_detail)
    if not shown:
        return ""
    more = f"<details class=more><summary>More figures</summary>{details}</details>"
    return (
        f'<section><h2>{escape(heading)}</h2><div class="card rows">{shown}'
        f"{more if details else ''}</div></section>"
    )


def _row(measure: Measure) -> str:
    """A figure: its title, its picture and its value; behind a fold what it means."""
    lines = lines_of(measure)
    beside = "".join(
        f"<span>{escape(name)} {written(estimate, measure.unit)}</span>"
        for name, (kind, estimate) in lines.items()
        if kind != "clone"
    )
    notes = "".join(f"<p>{escape(_sentence(note))}</p>" for note in measure.notes)
    value = escape(number(measure.clone.value, measure.unit))
    return (
        f'<details class="row"><summary><span class="name">{escape(measure.title)}</span>'
        f'{_strip(measure, lines)}<b class="value {grade(measure)}">{value}</b></summary>'
        f'<div class="meaning"><p class="beside"><span>clone '
        f"{escape(written(measure.clone, measure.unit))}</span>{beside}</p>"
        f"<p>{escape(_sentence(measure.definition))} {BETTER[measure.better]}</p>{notes}"
        f"{_people(measure)}</div></details>"
    )


def _strip(measure: Measure, lines: Mapping[str, tuple[str, Estimate]]) -> str:
    """The figures of a measure as marks on one scale."""
    values = [estimate.value for _, estimate in lines.values()]
    edges = [
        edge for edge in (measure.clone.low, measure.clone.high, *values) if not math.isnan(edge)
    ]
    low, high = min(0.0, *edges), max(edges)
    if measure.unit == "share" and low >= 0:
        high = max(high, 0.05)
    width = (high - low) or 1.0
    low, width = low - MARGIN * width, width * (1 + 2 * MARGIN)

    def at(value: float) -> str:
        return f"{100 * (value - low) / width:.1f}%"

    interval = ""
    if measure.clone.low < measure.clone.high:
        size = 100 * (measure.clone.high - measure.clone.low) / width
        interval = (
            f'<i class="interval {grade(measure)}" '
            f'style="left:{at(measure.clone.low)};width:{size:.1f}%"></i>'
        )
    order = sorted(lines.items(), key=lambda line: line[1][0] == "clone")
    marks = "".join(
        f'<i class="mark {kind} {grade(measure) if kind == "clone" else ""}" '
        f'style="left:{at(estimate.value)}" '
        f'title="{escape(name)}: {escape(written(estimate, measure.unit))}"></i>'
        for name, (kind, estimate) in order
    )
    return f'<span class="strip">{interval}{marks}</span>'


def _people(measure: Measure) -> str:
    """A table of the figures of each person."""
    columns = [
        key
        for key in dict.fromkeys(key for own in measure.people.values() for key in own)
        if not key.startswith("as ")  # the picture of names has those
    ]
    if not columns:
        return ""
    names = {"floor": measure.floor_name, "ceiling": "real text"}
    head = "".join(f"<th>{escape(names.get(key, key))}</th>" for key in columns)
    rows = "".join(
        f"<tr><td>{escape(person)}</td>"
        + "".join(f"<td>{escape(written(own.get(key), measure.unit))}</td>" for key in columns)
        + "</tr>"
        for person, own in measure.people.items()
    )
    return f'<div class="wide"><table><tr><th>person</th>{head}</tr>{rows}</table></div>'


def _replies(examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    cards = "".join(
        f'<article class="card reply"><p class="before">{escape(e.before)}</p>'
        f'<div><p class="said"><b>{escape(e.person)}, the clone</b><span>{escape(e.clone)}</span>'
        f'</p><p class="said really"><b>{escape(e.person)}, really</b>'
        f"<span>{escape(e.real)}</span></p></div></article>"
        for e in examples[:MAX_EXAMPLES]
    )
    return f'<section><h2>What it answers</h2><div class="replies">{cards}</div></section>'


def _rooms(rooms: Sequence[Room]) -> str:
    if not rooms:
        return ""
    cards = "".join(map(_room, rooms))
    return (
        "<section><h2>Clones among themselves</h2><p>Faded lines repeat one of the twelve before."
        f'</p><div class="rooms">{cards}</div></section>'
    )


def _room(room: Room) -> str:
    lines = "".join(
        f"<p{' class=again' if again else ''}><b>{escape(person)}</b> {escape(text)}</p>"
        for (person, text), again in zip(
            room, repeated_lines([text for _, text in room]), strict=True
        )
    )
    fate = '<p class="fate">This room collapsed.</p>' if has_collapsed(room) else ""
    return f'<article class="card room">{lines}{fate}</article>'


def _limits(report: Report) -> str:
    """The notes of all figures, and what could not be measured."""
    lines = [
        *gathered_notes(report.measures),
        *(f"not measured: {note}" for note in report.notes),
    ]
    if not lines:
        return ""
    entries = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<section><h2>What limits these figures</h2><ul class="limits">{entries}</ul></section>'
