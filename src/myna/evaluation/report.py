"""Views of an evaluation: rows for the terminal, plain data for JSON, and a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from myna.evaluation.measure import Estimate, Measure
from myna.preparing.html_reports import document

MAX_EXAMPLES = 12
"""Replies and lines of rooms that the page shows."""

_WORDS = {"higher": "higher is better", "lower": "lower is better", "real": "as in real text"}
_STYLE = """
.measure { margin-top: 1rem; }
.measure h2 { margin: 0 0 .2rem; }
.scale { display: grid; grid-template-columns: 9rem 1fr 9rem; gap: .3rem .8rem; align-items: center;
  margin-top: .7rem; font-variant-numeric: tabular-nums; }
.track { position: relative; height: .8rem; background: var(--line); border-radius: .4rem; }
.track i { position: absolute; height: 100%; border-radius: .4rem; min-width: .25rem; }
.clone i { background: #2f8f5b; } .floor i { background: #98a1ad; }
.ceiling i { background: #4c86d9; }
.track b { position: absolute; top: .3rem; height: .2rem; background: var(--ink); opacity: .55; }
details { margin-top: .6rem; color: var(--soft); } td, th { padding: .15rem .8rem .15rem 0; }
td + td, th + th { text-align: right; } pre { white-space: pre-wrap; margin: 0; }
.real { color: #4c86d9; }
"""


def plain(measures: Sequence[Measure]) -> list[dict[str, Any]]:
    """The measures as JSON data; what cannot be computed is null."""
    cleaned: list[dict[str, Any]] = _without_nan([asdict(measure) for measure in measures])
    return cleaned


def written(estimate: Estimate | None, unit: str) -> str:
    """A figure for people, with its interval where it has one."""
    if estimate is None or math.isnan(estimate.value):
        return "–"
    text = _number(estimate.value, unit)
    if math.isnan(estimate.low) or estimate.low == estimate.high:
        return text
    return f"{text} ({_number(estimate.low, unit)} to {_number(estimate.high, unit)})"


def page(
    title: str,
    bits: Mapping[str, Any],
    measures: Sequence[Measure],
    replies: Sequence[tuple[str, str, str, str]],
    rooms: Sequence[Sequence[tuple[str, str]]],
) -> str:
    """The page: every measure with its scale, then examples.

    Args:
        title: heading.
        bits: bits per character of base and clone: base, clone, change, interval, people.
        measures: in the order in which they are shown.
        replies: (last message before, person, what the clone said, what was really said).
        rooms: lines that the clones said among themselves.
    """
    parts = [f"<h1>{escape(title)}</h1>", _bits(bits)]
    parts += [_measure(measure) for measure in measures]
    if replies:
        rows = "".join(
            f"<tr><td>{escape(before)}</td><td><b>{escape(person)}</b></td>"
            f'<td>{escape(said)}</td><td class="real">{escape(real)}</td></tr>'
            for before, person, said, real in replies[:MAX_EXAMPLES]
        )
        parts.append(
            '<h2>Replies</h2><div class="card"><table><tr><th>said before</th><th>person</th>'
            f"<th>clone</th><th>really said</th></tr>{rows}</table></div>"
        )
    for room in rooms[:2]:
        lines = "\n".join(f"<b>{escape(person)}</b>: {escape(text)}" for person, text in room)
        parts.append(f'<h2>A room of clones</h2><pre class="card">{lines}</pre>')
    return document(title, _STYLE, "".join(parts))


def _bits(bits: Mapping[str, Any]) -> str:
    """Bits per character of everyone and of each person, as a table."""
    rows = "".join(
        f"<tr><td>{escape(row['person'])}</td><td>{row['replies']:,}</td><td>{row['base']:.3f}</td>"
        f"<td>{row['clone']:.3f}</td><td>{row['change']:+.1%}</td></tr>"
        for row in ({**bits, "person": "everyone"}, *bits["people"])
    )
    low, high = bits["interval"]
    return (
        '<section class="card measure"><h2>Bits per character of real replies</h2>'
        "<p>lower is better: how surprised the model is by what people really said</p><table>"
        "<tr><th>person</th><th>replies</th><th>base model</th><th>clone</th><th>change</th></tr>"
        f"{rows}</table><p>95 % interval of the change: {low:+.1%} to {high:+.1%}</p></section>"
    )


def _measure(measure: Measure) -> str:
    figures = {
        "clone": measure.clone,
        "floor": measure.floor,
        "ceiling": measure.ceiling,
    }
    names = {"clone": "clone", "floor": "base model", "ceiling": "real text"}
    there = {k: e for k, e in figures.items() if e is not None and not math.isnan(e.value)}
    top = max([1.0 if measure.unit == "share" else 0.0, *(_high(e) for e in there.values())])
    scale = "".join(
        f"<span>{names[key]}</span>"
        f'<div class="track {key}"><i style="width:{_percent(estimate.value, top)}"></i>'
        f"{_whisker(estimate, top)}</div><span>{escape(written(estimate, measure.unit))}</span>"
        for key, estimate in there.items()
    )
    people = "".join(
        f"<tr><td>{escape(person)}</td>"
        + "".join(
            f"<td>{escape(written(own.get(k), measure.unit))}</td>" for k in ("clone", "ceiling")
        )
        + "</tr>"
        for person, own in measure.people.items()
    )
    table = (
        f"<table><tr><th>person</th><th>clone</th><th>real text</th></tr>{people}</table>"
        if people
        else ""
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in measure.notes)
    return (
        f'<section class="card measure"><h2>{escape(measure.title)}</h2>'
        f'<p>{_WORDS[measure.better]}</p><div class="scale">{scale}</div>{notes}'
        f"<details><summary>people and definition</summary>{table}"
        f"<p>{escape(measure.definition)}</p></details></section>"
    )


def _whisker(estimate: Estimate, top: float) -> str:
    if math.isnan(estimate.low):
        return ""
    width = _percent(max(estimate.high - estimate.low, 0), top)
    return f'<b style="left:{_percent(estimate.low, top)};width:{width}"></b>'


def _percent(value: float, top: float) -> str:
    return f"{min(max(value / top, 0), 1) * 100 if top else 0:.1f}%"


def _high(estimate: Estimate) -> float:
    return estimate.value if math.isnan(estimate.high) else max(estimate.high, estimate.value)


def _number(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:.3f}" if unit == "bits" else f"{value:.2f}"


def _without_nan(data: Any) -> Any:
    if isinstance(data, float) and math.isnan(data):
        return None
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_nan(value) for value in data]
    return data
