"""The screen of `myna evaluate --against`: two adapters side by side."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from myna.cli._terminal import console, print_json
from myna.stages import report_inputs
from myna.workspace import read_json, stale_reasons

if TYPE_CHECKING:
    from myna.workspace import Workspace

DETAILED = "bits_per_character"
"""The measure whose differences are printed for each person; --json has those of all."""


def are_measured_alike(*adapters: tuple[Workspace, str]) -> bool:
    """True if every adapter has a report of its present weights, all of the same size."""
    reports = [read_json(space.reports / f"{name}.json") for space, name in adapters]
    sizes = [report["manifest"]["settings"] for report in reports if report]
    return len(sizes) == len(adapters) and all(
        size == sizes[0] and not stale_reasons(report["manifest"], inputs, size)
        for size, report, inputs in zip(
            sizes, reports, (report_inputs(*adapter) for adapter in adapters), strict=True
        )
    )


def print_comparison(
    ours: tuple[Workspace, str], theirs: tuple[Workspace, str], *, as_json: bool
) -> None:
    """Print the paired differences of two measured adapters.

    Args:
        ours: workspace and name of the adapter.
        theirs: the same of the one that it is compared with.
        as_json: print one JSON document instead of a table.

    Raises:
        WorkspaceError: they cannot be compared.
    """
    from myna.evaluation.against import compare, load_measures
    from myna.evaluation.report import without_nan, written

    differences, notes = compare(load_measures(*ours), load_measures(*theirs))
    name, other = ours[1], theirs[1]
    if theirs[0] != ours[0]:
        other = f"{theirs[0].root.name}:{other}"
    if as_json:
        measures = [difference.plain() for difference in differences]
        print_json(
            without_nan({"this": name, "other": other, "measures": measures, "notes": notes})
        )
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Side by side, on the same items", title_justify="left")
    for column in ("figure", name, other, "difference (95 % interval)", "better"):
        table.add_column(Text(column), justify="left" if column == "figure" else "right")
    winners = {"this": name, "other": other, "": "open"}
    for found in differences:
        measure, unit = found.measure, found.measure.unit
        table.add_row(
            Text(measure.title + (" (distance from real text)" if found.is_distance else "")),
            written(replace(measure.clone, low=math.nan), unit),
            written(replace(found.other, low=math.nan), unit),
            written(found.difference, unit, "+"),
            Text(winners[found.better]),
        )
        if measure.name == DETAILED:
            for person, own in found.people.items():
                table.add_row(Text(f"  {person}"), "", "", written(own, unit, "+"), "")
    console().print(table)
    for line in notes:
        console().print(line, style="dim")
