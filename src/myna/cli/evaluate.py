"""`myna evaluate`: how good the clone is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._terminal import Adapter, Json, bar, console, emit, here, say

if TYPE_CHECKING:
    from myna.workspace import Workspace

NAME = "evaluate"


def command(
    ctx: typer.Context,
    adapter: Adapter = DEFAULT_ADAPTER,
    items: Annotated[
        int, typer.Option(min=10, help="Replies that are measured, drawn evenly over the personas.")
    ] = 120,
    rooms: Annotated[
        int, typer.Option(min=0, help="Rooms in which the clones talk among themselves.")
    ] = 10,
    json_: Json = False,
) -> None:
    """Measure how good a clone is on the test split: likelihood, voice, rooms."""
    workspace = here(ctx)
    report = measured(workspace, adapter, items=items, rooms=rooms)
    if json_:
        emit(report)
    else:
        show(report)
        say(f"With pictures: {workspace.reports / adapter}.html")
        say("Next: myna chat")


def measured(space: Workspace, name: str, **size: int) -> dict[str, Any]:
    """The report: the last one where it still holds, else a new one."""
    from dataclasses import asdict

    from myna import stages, workspace
    from myna.evaluation.measure import Size

    wanted = Size(**size)
    report: dict[str, Any] | None = workspace.read_json(space.reports / f"{name}.json")
    inputs = stages.evaluate_inputs(space, name)
    if report and not workspace.stale(report["manifest"], inputs, asdict(wanted)):
        say("nothing has changed since this was measured")
        return report
    say("loading torch")
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    from myna.evaluation import run as stage

    with bar(MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        tasks: dict[str, Any] = {}

        def update(what: str, done: int, count: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=count)
                say(f"{what}: {count}")
            progress.update(tasks[what], completed=done)

        return stage.run(space, name, say, update, wanted)


def show(report: dict[str, Any]) -> None:
    """Print a report as two tables: bits per character by person, then every other figure."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="Bits per character on the test split (lower is better)", title_justify="left"
    )
    for column in ("person", "replies", "base", "clone", "change"):
        table.add_column(column, justify="left" if column == "person" else "right")
    everyone = {**report, "person": "everyone"}
    for row in (everyone, *report["people"]):
        table.add_row(
            Text(row["person"]),
            f"{row['replies']:,}",
            f"{row['base']:.3f}",
            f"{row['clone']:.3f}",
            f"{row['change']:+.1%}",
            end_section=row is everyone,
        )
    console().print(table)
    low, high = report["interval"]
    console().print(f"95 % interval of the change over everyone: {low:+.1%} to {high:+.1%}")
    table = Table(title="Voice and rooms", title_justify="left")
    for column in ("figure", "clone", "base", "real text", "better"):
        table.add_column(column, justify="left" if column in ("figure", "better") else "right")
    for measure in report["measures"]:
        figures = (_written(measure[key], measure["unit"]) for key in ("clone", "floor", "ceiling"))
        table.add_row(measure["title"], *figures, _BETTER[measure["better"]])
    console().print(table)
    for measure in report["measures"]:
        for note in measure["notes"]:
            console().print(f"{measure['title']}: {note}", style="dim")


_BETTER = {"higher": "higher", "lower": "lower", "real": "as real text"}


def _written(estimate: dict[str, Any] | None, unit: str) -> str:
    from myna.evaluation.measure import Estimate
    from myna.evaluation.report import written

    if estimate is None or estimate["value"] is None:
        return "–"
    nan = float("nan")
    low, high = (nan if estimate[side] is None else estimate[side] for side in ("low", "high"))
    return written(Estimate(estimate["value"], low, high), unit)
