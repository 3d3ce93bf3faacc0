"""The page of a learning curve: a picture of both axes, and the answer for each person."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from myna.preparing.html_reports import document

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 14, 34
"""Margins of a picture, in its own units."""
AXES = {"chats": "share of the chats", "minutes": "share of the minutes"}
COLOURS = 6
"""Colours of people; later ones begin again."""

STYLE = """
:root { --c0: #2f6fc6; --c1: #b07a0c; --c2: #24855a; --c3: #c0453c; --c4: #7a52b3; --c5: #55606f; }
@media (prefers-color-scheme: dark) { :root { --c0: #74a9f5; --c1: #e0ac3f; --c2: #53bd86;
  --c3: #ee7d72; --c4: #b697ea; --c5: #a3adba; } }
figure { margin: 0; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1rem; }
svg { width: 100%; height: auto; font-size: 11px; } svg text { fill: var(--soft); }
.grid { stroke: var(--line); } .line { fill: none; stroke: var(--own); stroke-width: 1.6; }
.everyone { stroke-width: 3; } .ahead { stroke-dasharray: 4 4; } .dot { fill: var(--own); }
.spread { stroke: var(--own); stroke-width: 1.2; } .legend { display: flex; flex-wrap: wrap;
  gap: .2rem 1.2rem; font-size: .88rem; } .legend i { display: inline-block; width: 1.1rem;
  height: .22rem; margin-right: .4rem; vertical-align: .2rem; background: var(--own); }
dt { font-weight: 600; } dd { margin: 0 0 .5rem; }
"""


def page(data: dict[str, Any], ahead: float) -> str:
    """A learning curve as a page that loads nothing from elsewhere.

    Args:
        data: of a curve, as `curve.run` gives it.
        ahead: the share that is predicted.
    """
    title = f"What would help '{data['adapter']}'?"
    people = [*data["people"]]
    answers = "".join(
        f"<dt>{escape(_name(person))}</dt><dd>{escape(answer)}</dd>"
        for person, answer in data["answers"].items()
    )
    legend = "".join(
        f'<span style="--own:var(--c{i % COLOURS})"><i></i>{escape(_name(person))}</span>'
        for i, person in enumerate(people)
    )
    pictures = "".join(
        f'<figure class="card"><figcaption>Bits per character by {heading}</figcaption>'
        f"{_picture(data, axis, ahead)}</figure>"
        for axis, heading in AXES.items()
    )
    return document(
        title,
        STYLE,
        f"<header><h1>{escape(title)}</h1><p>Bits per character of real replies that it has never "
        f"seen; lower is better. Dashed: what {ahead:g} times as much is expected to give, with "
        f'its 95&nbsp;% interval.</p></header><p class="legend">{legend}</p>'
        f'<section class="pictures">{pictures}</section>'
        f'<section class="card"><dl>{answers}</dl></section>',
    )


def _name(person: str) -> str:
    return person or "everyone"


def _picture(data: dict[str, Any], axis: str, ahead: float) -> str:
    """The losses of everyone and each person along an axis, as SVG."""
    shares = [*data["shares"], ahead]
    lines = [_losses(found[axis]) for found in data["people"].values()]
    values = [v for loss, spread in lines for v in (*loss, *spread) if not math.isnan(v)]
    if not values:
        return "<p>No figures.</p>"
    low, high = min(values), max(values)
    margin = (high - low) * 0.06 or 0.05
    low, high = low - margin, high + margin

    def x(share: float) -> float:
        first, last = math.log(shares[0]), math.log(shares[-1])
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log(share) - first) / (last - first)

    def y(loss: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / (high - low)

    drawn = [_grid([x(share) for share in shares], shares, low, high)]
    for i, (losses, spread) in enumerate(lines):
        points = [(x(share), y(loss)) for share, loss in zip(shares, losses, strict=True)]
        known = [point for point in points if not math.isnan(point[1])]
        end = [] if math.isnan(points[-1][1]) else known[-1:]
        measured = known[: len(known) - len(end)]
        kind = "line everyone" if i == 0 else "line"
        dots = "".join(f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in known)
        whisker = ""
        if not any(map(math.isnan, spread)):
            top, bottom = (f"{y(end):.1f}" for end in reversed(spread))
            at = f"{x(ahead):.1f}"
            whisker = f'<line class="spread" x1="{at}" x2="{at}" y1="{top}" y2="{bottom}"/>'
        drawn.append(
            f'<g style="--own:var(--c{i % COLOURS})">{_path(measured, kind)}'
            f"{_path([*measured[-1:], *end], f'{kind} ahead')}{dots}{whisker}</g>"
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Bits per character by {AXES[axis]}">{"".join(drawn)}</svg>'
    )


def _losses(found: dict[str, Any]) -> tuple[list[float], tuple[float, float]]:
    """The losses at each share and at the one ahead, and the interval of the last."""
    losses = [math.nan if loss is None else float(loss) for loss in found["losses"]]
    change = {
        key: math.nan if found["ahead"][key] is None else float(found["ahead"][key])
        for key in ("value", "low", "high")
    }
    last = losses[-1]
    ends = (last * (1 + change["low"]), last * (1 + change["high"]))
    return [*losses, last * (1 + change["value"])], ends


def _path(points: Sequence[tuple[float, float]], kind: str) -> str:
    places = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    return f'<polyline class="{kind}" points="{places}"/>' if len(points) > 1 else ""


def _grid(places: Sequence[float], shares: Sequence[float], low: float, high: float) -> str:
    """Lines and labels: shares below, bits at the left."""
    down = HEIGHT - BOTTOM
    made = [
        f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{down}"/>'
        f'<text x="{at:.1f}" y="{down + 18}" text-anchor="middle">{share:.3g}</text>'
        for at, share in zip(places, shares, strict=True)
    ]
    for step in range(5):
        loss, at = high - (high - low) * step / 4, TOP + (down - TOP) * step / 4
        made.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{loss:.2f}</text>'
        )
    return "".join(made)
