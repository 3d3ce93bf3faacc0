"""What the commands share: where they work, and how they print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from myna.workspace import Workspace

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting of myna.toml."),
]
Adapter = Annotated[str, typer.Option("--adapter", metavar="NAME", help="The trained adapter.")]

COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "red", "bright_cyan", "bright_yellow")


def here(ctx: typer.Context) -> Workspace:
    """The workspace to work in."""
    from myna.workspace import find

    return find(Path(ctx.obj or "."))


def say(line: str) -> None:
    """A note, on standard error."""
    typer.echo(line, err=True)


def emit(data: Any) -> None:
    """A report as JSON, on standard output."""
    json.dump(data, sys.stdout, indent=1, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def console(*, err: bool = False) -> Console:
    """A rich console that never reads markup or emoji codes out of chat text."""
    from rich.console import Console

    return Console(stderr=err, markup=False, emoji=False, highlight=False, soft_wrap=True)


def bar(*columns: Any) -> Progress:
    """A progress bar on standard error; without a terminal nothing is drawn."""
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


def colour_of(people: list[str]) -> dict[str, str]:
    """A colour for each person."""
    return {person: COLOURS[i % len(COLOURS)] for i, person in enumerate(people)}


def share(part: int, whole: int) -> str:
    """A percentage for people."""
    return f"{part / whole:.1%}" if whole else "–"
