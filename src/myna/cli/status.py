"""`myna status`: the state of each stage, and the next command."""

from __future__ import annotations

from dataclasses import asdict

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._terminal import Adapter, Json, find_workspace, one_line, print_json

NAME = "status"
MARKS = {"done": "✓", "stale": "!", "unfinished": "…", "missing": "·"}


def command(ctx: typer.Context, adapter: Adapter = DEFAULT_ADAPTER, as_json: Json = False) -> None:
    """Print the state of each stage, why one is stale, and the next command."""
    from myna import stages

    workspace = find_workspace(ctx)
    states = stages.status(workspace, adapter)
    next_command = stages.next_command(states)
    if as_json:
        print_json(
            {
                "workspace": str(workspace.root),
                "stages": [asdict(stage) for stage in states],
                "next": next_command,
            }
        )
        return
    typer.echo(one_line(f"{workspace.root}"))
    for stage in states:
        summary = one_line(stage.summary)
        typer.echo(f"  {MARKS[stage.state]} {stage.name:<9} {stage.state:<10} {summary}")
        for reason in stage.reasons:
            typer.echo(one_line(f"      because {reason}"))
    typer.echo(one_line(f"next: {next_command}"))
