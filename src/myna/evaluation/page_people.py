"""The people on an evaluation's page: whose words fit whose name, and a card for each person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from myna.evaluation.measure import Estimate, Measure
from myna.evaluation.report import is_known, number, written
from myna.evaluation.style import Gap, largest_gaps

MAX_CARDS = 20
STYLE_NAMES = (
    "message_length", "messages_per_turn", "emoji", "capitals", "punctuation", "typos",
    "laughter", "greetings",
)  # fmt: skip


def people_section(measures: Sequence[Measure]) -> str:
    """The heat table of names, and a card for each person."""
    by_name = {measure.name: measure for measure in measures}
    heat = _heat(by_name["true_name"]) if "true_name" in by_name else ""
    people = [*by_name["bits_per_character"].people] if "bits_per_character" in by_name else []
    gaps = largest_gaps(measures)
    cards = "".join(_card(person, by_name, gaps.get(person)) for person in people[:MAX_CARDS])
    if cards:
        cards = (
            "<section><h2>Person by person</h2><p>Grey is the clone, blue the person. "
            "The system line is samples.system in myna.toml.</p>"
            f'<div class="people">{cards}</div></section>'
        )
    return heat + cards


def _heat(measure: Measure) -> str:
    """Each person's real words under each name: the strongest colour of a row is the likeliest."""
    names = list(measure.people)
    head = "".join(f"<th><span>{escape(name)}</span></th>" for name in names)
    rows = "".join(_heat_row(name, names, measure.people[name]) for name in names)
    return (
        "<section><h2>Whose words are these?</h2><p>Bits per character of each person’s real words "
        "under each name; less is likelier. In each row the strongest colour should be in the "
        "frame: the person’s own name.</p>"
        f'<div class="card wide"><table class="heat"><tr><th>real words of</th>{head}</tr>{rows}'
        "</table></div></section>"
    )


def _heat_row(name: str, names: Sequence[str], own: Mapping[str, Estimate]) -> str:
    values = [own[f"as {other}"].value for other in names]
    best, worst = min(values), max(values)
    cells = []
    for other, value in zip(names, values, strict=True):
        share = (worst - value) / (worst - best) if worst > best else 0.5
        classes = " ".join(["own"] * (other == name) + ["best"] * (value == best))
        title = f"words of {name} under the name of {other}: {value:.3f} bits"
        cells.append(
            f'<td class="{classes}" style="--heat:{share:.2f}" title="{escape(title)}">'
            f"{value:.2f}</td>"
        )
    return f"<tr><th>{escape(name)}</th>{''.join(cells)}</tr>"


def _card(person: str, by_name: Mapping[str, Measure], gaps: Sequence[Gap] | None) -> str:
    facts = "".join(
        f"<div><dt>{title}</dt><dd>{value}</dd></div>"
        for title, value in _facts(person, by_name).items()
    )
    style = "".join(
        _pair(by_name[name], by_name[name].people[person])
        for name in STYLE_NAMES
        if name in by_name and person in by_name[name].people
    )
    advice = ""
    if gaps:
        lines = "".join(
            f"<li><b>{escape(gap.feature)}</b>{escape(_figures(gap))}<br>{escape(gap.remedy)}</li>"
            for gap in gaps
        )
        advice = f"<h4>Largest gaps, and what changes them</h4><ol>{lines}</ol>"
    elif gaps is not None and style:
        advice = '<p class="none">No gap in style beyond chance.</p>'
    return (
        f'<article class="card person"><h3>{escape(person)}</h3><dl>{facts}</dl>'
        f'<div class="pairs">{style}</div>{advice}</article>'
    )


def _figures(gap: Gap) -> str:
    return f": {gap.clone}, really {gap.real}" if gap.clone else ""


def _facts(person: str, by_name: Mapping[str, Measure]) -> dict[str, str]:
    """The main figures of a person, as HTML."""
    facts = {}
    bits = by_name["bits_per_character"].people[person]
    facts["bits per character"] = (
        f"{written(bits.get('clone'), 'bits')} "
        f"<small>base {written(bits.get('floor'), 'bits')}</small>"
    )
    for name, title, clone, real in (
        ("who_said_it", "recognised", "named", "really"),
        ("style_distance", "distance in style", "clone", "ceiling"),
        ("copied_replies", "replies that copy", "clone", "ceiling"),
    ):
        own = by_name[name].people.get(person, {}) if name in by_name else {}
        unit = "score" if name == "style_distance" else "share"
        if is_known(own.get(clone)):
            facts[title] = (
                f"{number(own[clone].value, unit)} "
                f"<small>really {written(_bare(own.get(real)), unit)}</small>"
            )
    return facts


def _pair(measure: Measure, own: Mapping[str, Estimate]) -> str:
    """A bar of the clone's mean over a bar of the person's."""
    clone, real = own["clone"], own["ceiling"]
    top = max(clone.value, real.value)
    if not is_known(clone) or not is_known(real) or top == 0:
        return ""
    bars = "".join(
        f'<span class="bar {kind}"><i style="width:{100 * estimate.value / top:.0f}%"></i></span>'
        f"<span>{number(estimate.value, measure.unit)}</span>"
        for kind, estimate in (("clone", clone), ("ceiling", real))
    )
    return f'<div class="pair"><span class="name">{escape(measure.title)}</span>{bars}</div>'


def _bare(estimate: Estimate | None) -> Estimate | None:
    return Estimate(estimate.value) if estimate else None
