"""The screen of `myna evaluate --curve`: what would help?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from myna.artifacts import AdapterInfo
from myna.cli._terminal import console, note, print_json

if TYPE_CHECKING:
    from myna.evaluation.evidence import Progress
    from myna.workspace import Workspace


def make(
    workspace: Workspace, name: str, size: dict[str, int], progress: Progress
) -> dict[str, Any]:
    """Make the learning curve of an adapter; says beforehand how long it takes.

    Args:
        workspace: with the adapter.
        name: of the adapter.
        size: fields of `myna.evaluation.measure.Size`.
        progress: called with the name of a work, the number of items done, and of all.
    """
    from myna.evaluation import curve
    from myna.evaluation.measure import Size

    seconds = curve.expected_seconds(AdapterInfo.load(workspace, name))
    time = "" if math.isnan(seconds) else f", about {max(1, round(seconds / 60))} min of training"
    count = len(curve.SHARES) * len(curve.AXES)
    note(f"{count} small adapters{time}. Ctrl-C stops it, and the same command goes on from there.")
    return curve.run(workspace, name, Size(**size), note, progress)  # type: ignore[arg-type]


def print_curve(data: dict[str, Any], *, as_json: bool) -> None:
    """Print a learning curve as a table with an answer for each person, or as JSON."""
    from myna.evaluation.report import without_nan, written

    if as_json:
        print_json(without_nan(data))
        return
    from rich.table import Table
    from rich.text import Text

    from myna.evaluation import curve
    from myna.evaluation.measure import Estimate

    for axis in curve.AXES:
        title = f"Bits per character by share of the {axis} (lower is better)"
        table = Table(title=title, title_justify="left")
        shares = [f"{share:.3g}" for share in data["shares"]]
        for column in ("person", "base", *shares, f"{curve.AHEAD:g} times as much", "missed"):
            table.add_column(column, justify="left" if column == "person" else "right")
        for person, forecasts in data["people"].items():
            found = forecasts[axis]
            table.add_row(
                Text(person or "everyone"),
                f"{data['base'][person]:.3f}",
                *(f"{loss:.3f}" for loss in found["losses"]),
                written(Estimate(**found["ahead"]), "share", "+"),
                f"{found['missed']:+.1%}",
            )
        console().print(table)
    console().print(
        "missed: how far the same fit, made without the last size, was off it", style="dim"
    )
    for person, advice in data["answers"].items():
        console().print(f"{person or 'everyone'}: {advice}")
