"""`myna evaluate`: bits per character on the test split, base against clone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._terminal import (
    Adapter,
    Json,
    console,
    find_workspace,
    note,
    print_json,
    progress_bar,
)

if TYPE_CHECKING:
    from myna.workspace import Workspace

NAME = "evaluate"


def command(ctx: typer.Context, adapter: Adapter = DEFAULT_ADAPTER, as_json: Json = False) -> None:
    """Evaluate the clone against its base on the test split."""
    report = evaluate_if_stale(find_workspace(ctx), adapter)
    if as_json:
        print_json(report)
    else:
        print_report(report)
        note("Next: myna chat")


def evaluate_if_stale(workspace: Workspace, name: str) -> dict[str, Any]:
    """Return the stored report if it is current, else evaluate."""
    from myna import stages
    from myna.workspace import read_json, stale_reasons

    report: dict[str, Any] | None = read_json(workspace.reports / f"{name}.json")
    if report and not stale_reasons(
        report["manifest"], stages.evaluate_inputs(workspace, name), {}
    ):
        note("nothing has changed since the last evaluation")
        return report
    note("loading torch")
    from rich.progress import TimeRemainingColumn

    from myna.evaluation import run

    with progress_bar(TimeRemainingColumn()) as progress:
        tasks = {model: progress.add_task(f"evaluating the {model}") for model in ("base", "clone")}
        return run.run(
            workspace,
            name,
            note,
            lambda model, done, total: progress.update(tasks[model], completed=done, total=total),
        )


def print_report(report: dict[str, Any]) -> None:
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
