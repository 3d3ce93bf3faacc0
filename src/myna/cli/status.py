"""`myna status`: what is there, what is stale and why, what to type next."""

from __future__ import annotations

from dataclasses import asdict

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._terminal import Adapter, Json, emit, here

NAME = "status"
MARKS = {"done": "✓", "stale": "!", "unfinished": "…", "missing": "·"}


def command(ctx: typer.Context, adapter: Adapter = DEFAULT_ADAPTER, json_: Json = False) -> None:
    """Say what is done, what is stale and why, what to type next."""
    from myna import stages

    workspace = here(ctx)
    found = stages.status(workspace, adapter)
    following = stages.next_command(found)
    if json_:
        emit(
            {
                "workspace": str(workspace.root),
                "stages": [asdict(stage) for stage in found],
                "next": following,
            }
        )
        return
    typer.echo(f"{workspace.root}")
    for stage in found:
        typer.echo(f"  {MARKS[stage.state]} {stage.name:<9} {stage.state:<10} {stage.summary}")
        for reason in stage.reasons:
            typer.echo(f"      because {reason}")
    typer.echo(f"next: {following}")
