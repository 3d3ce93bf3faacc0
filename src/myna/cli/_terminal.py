"""Options, notes, reports and progress bars that all commands share."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from myna.config import Settings
    from myna.workspace import Workspace

Json = Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting; repeatable."),
]
Adapter = Annotated[str, typer.Option("--adapter", metavar="NAME", help="The adapter to use.")]

COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "red", "bright_cyan", "bright_yellow")


def find_workspace(ctx: typer.Context) -> Workspace:
    """The workspace of this command: of --folder, or of the current folder."""
    from myna.workspace import find

    return find(Path(ctx.obj or "."))


def open_workspace(ctx: typer.Context, assignments: list[str] | None) -> tuple[Workspace, Settings]:
    """The workspace of this command, and its settings with those of --set."""
    from myna.config import override

    workspace = find_workspace(ctx)
    return workspace, override(workspace.settings(), assignments or [])


def note(line: str) -> None:
    """Print a line on standard error."""
    typer.echo(line, err=True)


def print_json(data: Any) -> None:
    """Print a report as JSON on standard output."""
    json.dump(data, sys.stdout, indent=1, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def console(*, err: bool = False) -> Console:
    """A rich console that prints markup and emoji codes in chat text as they are."""
    from rich.console import Console

    return Console(stderr=err, markup=False, emoji=False, highlight=False, soft_wrap=True)


def progress_bar(*columns: Any) -> Progress:
    """A progress bar on standard error; draws nothing without a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn

    screen = console(err=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        console=screen,
        transient=False,
        disable=not screen.is_terminal,
    )


def person_colours(people: list[str]) -> dict[str, str]:
    """A colour for each person."""
    return {person: COLOURS[i % len(COLOURS)] for i, person in enumerate(people)}
