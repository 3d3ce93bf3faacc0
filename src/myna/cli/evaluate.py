"""`myna evaluate`: how good a clone is, on the test split."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

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

SECONDS_BETWEEN_NOTES = 20.0
"""Without a terminal, progress is told this often."""


def command(
    ctx: typer.Context,
    adapter: Adapter = DEFAULT_ADAPTER,
    items: Annotated[
        int, typer.Option(min=10, help="Replies that are measured, drawn evenly over the personas.")
    ] = 120,
    rooms: Annotated[
        int, typer.Option(min=0, help="Rooms in which the clones talk among themselves.")
    ] = 10,
    full: Annotated[
        bool, typer.Option("--full", help="Every metric, on the whole test split.")
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="[PATH:]NAME",
            help="Compare with another adapter, of this or another workspace of the same chats.",
        ),
    ] = None,
    curve: Annotated[
        bool,
        typer.Option(
            "--curve", help="Train small adapters: would more chats help, or more minutes?"
        ),
    ] = False,
    blind: Annotated[
        bool, typer.Option("--blind", help="Play: which of two replies is the real one?")
    ] = False,
    player: Annotated[
        str, typer.Option(metavar="NAME", help="With --blind: who plays; results are added up.")
    ] = "Me",
    private: Annotated[
        bool, typer.Option("--private", help="With --blind: chats of two people as well.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure how good a clone is: likelihood, voice, rooms."""
    workspace = find_workspace(ctx)
    size = {"items": items, "rooms": rooms, "full": full}
    if against is not None:
        from myna.cli import _comparison

        both = (workspace, adapter), _comparison.find_other(workspace, against)
        sources = [ctx.get_parameter_source(option) for option in size]
        is_given = any(source is not None and source.name == "COMMANDLINE" for source in sources)
        if is_given or not _comparison.are_measured_alike(*both):
            for space, name in both:
                evaluate_if_stale(space, name, **size)
        _comparison.print_comparison(*both, as_json=as_json)
        return
    if curve:
        from myna.cli import _learning_curve

        with progress_told() as update:
            found = _learning_curve.make(workspace, adapter, size, update)
        _learning_curve.print_curve(found, as_json=as_json)
        return
    if blind:
        from myna.cli import _blind_game

        if not _blind_game.has_deck(workspace, adapter):
            evaluate_if_stale(workspace, adapter, **size)
        _blind_game.run(workspace, adapter, player, private=private, as_json=as_json)
        return
    report = evaluate_if_stale(workspace, adapter, **size)
    if as_json:
        print_json(report)
    else:
        print_report(report)
        note(f"With pictures and samples: {workspace.reports / adapter}.html")
        note("Next: myna chat")


def evaluate_if_stale(workspace: Workspace, name: str, **size: int) -> dict[str, Any]:
    """Return the stored report if it is current, else evaluate.

    `size` are fields of `myna.evaluation.measure.Size`.
    """
    from dataclasses import asdict

    from myna import stages
    from myna.evaluation.measure import Size
    from myna.workspace import read_json, stale_reasons

    wanted = Size(**size)  # type: ignore[arg-type]
    report: dict[str, Any] | None = read_json(workspace.reports / f"{name}.json")
    inputs = stages.evaluate_inputs(workspace, name)
    if report and not stale_reasons(report["manifest"], inputs, asdict(wanted)):
        note("nothing has changed since the last evaluation")
        return report
    note("loading torch")
    from myna.evaluation import run

    with progress_told() as update:
        return run.run(workspace, name, note, update, wanted)


@contextmanager
def progress_told() -> Iterator[Callable[[str, int, int], None]]:
    """A function that shows the progress of works by their names, in bars or in lines."""
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    with progress_bar(MofNCompleteColumn(), TimeRemainingColumn()) as bars:
        tasks: dict[str, Any] = {}
        told = time.monotonic()

        def update(what: str, done: int, total: int) -> None:
            nonlocal told
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
                if bars.disable:
                    note(f"{what}: {total:,}")
            elif bars.disable and time.monotonic() - told > SECONDS_BETWEEN_NOTES:
                told = time.monotonic()
                note(f"{what}: {done:,} of {total:,}")
            bars.update(tasks[what], completed=done)

        yield update


def print_report(report: dict[str, Any]) -> None:
    """Print a report on one screen: people, then every other figure, then its faults."""
    from rich.table import Table
    from rich.text import Text

    from myna.evaluation.report import lines_of, measures_of, written
    from myna.evaluation.verdict import find_faults

    measures = measures_of(report)
    by_name = {measure.name: measure for measure in measures}
    bits, change = by_name["bits_per_character"], by_name["bits_change"]
    title = "Bits per character on the test split (lower is better)"
    table = Table(title=title, title_justify="left")
    for column in ("person", "replies", "base", "clone", "change"):
        table.add_column(column, justify="left" if column == "person" else "right")
    rows = [("everyone", bits.floor, bits.clone, change.clone)]
    for person, own in bits.people.items():
        rows.append((person, own["floor"], own["clone"], change.people[person]["clone"]))
    for i, (person, base, clone, changed) in enumerate(rows):
        figures = (written(base, "bits"), written(clone, "bits"), f"{changed.value:+.1%}")
        table.add_row(Text(person), f"{clone.items:,}", *figures, end_section=not i)
    console().print(table)
    low, high = change.clone.low, change.clone.high
    console().print(f"95 % interval of the change over everyone: {low:+.1%} to {high:+.1%}")
    table = Table(title="Voice and rooms", title_justify="left")
    for column in ("figure", "clone", "base", "real text"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for measure in measures:
        if measure in (bits, change):
            continue
        lines = dict(lines_of(measure).values())
        kinds = ("clone", "floor", "ceiling")
        table.add_row(measure.title, *(written(lines.get(kind), measure.unit) for kind in kinds))
    console().print(table)
    for measure in measures:
        for line in measure.notes:
            console().print(f"{measure.title}: {line}", style="dim")
    for line in report["notes"]:
        console().print(f"not measured: {line}", style="dim")
    for fault in find_faults(measures):
        console().print(f"{fault.name}: {fault.text}. {fault.remedy}.", style="yellow")
