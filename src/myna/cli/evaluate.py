"""`myna evaluate`: how good the clone is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._terminal import Adapter, Json, bar, console, emit, here, say

if TYPE_CHECKING:
    from myna.workspace import Workspace

NAME = "evaluate"


def command(ctx: typer.Context, adapter: Adapter = DEFAULT_ADAPTER, json_: Json = False) -> None:
    """Measure the clone against its base on the test split."""
    report = measured(here(ctx), adapter)
    if json_:
        emit(report)
    else:
        show(report)
        say("Next: myna chat")


def measured(space: Workspace, name: str) -> dict[str, Any]:
    """The report: that of before where it still holds, else a new one."""
    from myna import stages, workspace

    report: dict[str, Any] | None = workspace.read_json(space.reports / f"{name}.json")
    if report and not workspace.stale_reasons(
        report["manifest"], stages.evaluate_inputs(space, name), {}
    ):
        say("nothing has changed since this was measured")
        return report
    say("loading torch")
    from rich.progress import TimeRemainingColumn

    from myna.evaluation import run as stage

    with bar(TimeRemainingColumn()) as progress:
        tasks = {who: progress.add_task(f"measuring the {who}") for who in ("base", "clone")}
        return stage.run(
            space,
            name,
            say,
            lambda who, done, all_: progress.update(tasks[who], completed=done, total=all_),
        )


def show(report: dict[str, Any]) -> None:
    """Print a report as a table."""
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
