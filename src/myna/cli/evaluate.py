"""`myna evaluate`: how good a clone is, on the test split."""

from __future__ import annotations

import math
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._progress import progress, working
from myna.cli._terminal import (
    Adapter,
    Json,
    console,
    find_workspace,
    note,
    print_json,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from myna.evaluation.measure import Measure
    from myna.workspace import Workspace

NAME = "evaluate"

MAX_PEOPLE = 8
"""People with a row of their own."""
GRADES = {"good": "green", "fair": "yellow", "poor": "red", "": ""}
"""Colours of figures by their grades."""


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
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="First fit each persona's temperature to validation."),
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
    if calibrate:
        calibrate_sampling(workspace, adapter)
    if against is not None:
        sources = [ctx.get_parameter_source(option) for option in size]
        is_given = any(source is not None and source.name == "COMMANDLINE" for source in sources)
        _compare(workspace, adapter, against, size, measure_again=is_given, as_json=as_json)
        return
    if curve:
        from myna.cli import _learning_curve

        with progress() as update:
            found = _learning_curve.make(workspace, adapter, size, update)
        _learning_curve.print_curve(found, as_json=as_json)
        note(f"With pictures: {workspace.reports / adapter}.curve.html")
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


def _compare(
    workspace: Workspace,
    adapter: str,
    against: str,
    size: dict[str, int],
    *,
    measure_again: bool,
    as_json: bool,
) -> None:
    """Print the differences of two adapters; with `measure_again` at this size."""
    from myna.cli import _comparison
    from myna.evaluation.against import find_other

    both = (workspace, adapter), find_other(workspace, against)
    if measure_again or not _comparison.are_measured_alike(*both):
        for space, name in both:
            evaluate_if_stale(space, name, **size)
    _comparison.print_comparison(*both, as_json=as_json)


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
    inputs = stages.report_inputs(workspace, name)
    if report and not stale_reasons(report["manifest"], inputs, asdict(wanted)):
        note("nothing has changed since the last evaluation")
        return report
    with working("loading PyTorch"):
        from myna.evaluation import run

    with progress() as update:
        return run.run(workspace, name, note, update, wanted)


def calibrate_sampling(workspace: Workspace, name: str) -> None:
    """Fit the temperature of each persona, and print it."""
    from myna.evaluation.calibration import REPLIES, TEMPERATURES
    from myna.evaluation.calibration import calibrate as fit

    note(
        f"fitting temperatures to the validation split: {REPLIES} replies of each persona at "
        f"{len(TEMPERATURES)} temperatures, some minutes"
    )
    with progress() as update:
        made = fit(workspace, name, note, update)
    for person, temperature in made.chosen.items():
        distances = ", ".join(f"{t:g}: {d:.3f}" for t, d in made.distances[person].items())
        note(f"{person}: temperature {temperature:g} (distance in style at {distances})")
    note(
        "chat, serve, bots and exports use them from now on; a chat.temperature in myna.toml other "
        "than the default wins"
    )


def print_report(report: dict[str, Any]) -> None:
    """Print a report on one screen of 80 columns: people, figures, gaps, and last its faults."""
    from myna.evaluation.report import gathered_notes, measures_of
    from myna.evaluation.style import largest_gaps
    from myna.evaluation.verdict import find_faults

    measures = measures_of(report)
    screen = console()
    _print_people(screen, measures)
    _print_figures(screen, measures)
    shown = [measure for measure in measures if not measure.is_detail]
    beside = [_references(measure) for measure in shown if measure.references]
    for line in [
        *beside,
        *gathered_notes(shown),
        *(f"not measured: {line}" for line in report["notes"]),
    ]:
        _print_wrapped(screen, line, "dim")
    gaps = largest_gaps(measures)
    if any(gaps.values()):
        screen.print(
            "Largest gaps in style (the system line is samples.system in myna.toml):", style="bold"
        )
    for person, own in gaps.items():
        for gap in own:
            figures = f" {gap.clone}, really {gap.real}" if gap.clone else ""
            _print_wrapped(screen, f"{person}: {gap.feature.lower()}{figures}: {gap.remedy}")
    faults = find_faults(measures)
    for fault in faults:
        _print_wrapped(screen, f"{fault.name}: {fault.text}. {fault.remedy}.", "yellow")
    if not faults:
        screen.print("No fault found by these figures.", style="green")


def _print_people(screen: Console, measures: list[Measure]) -> None:
    """Print a row for everyone, and for each person."""
    from rich.text import Text

    from myna.evaluation.report import number, written

    by_name = {measure.name: measure for measure in measures}
    bits, change = by_name["bits_per_character"], by_name["bits_change"]
    said, style = by_name.get("who_said_it"), by_name.get("style_distance")
    table = _table("Bits per character on the test split; named by classifier; style distance")
    table.add_column("person", max_width=22, overflow="ellipsis", no_wrap=True)
    for column in ("replies", "base", "clone", "change", "named", "real", "style"):
        table.add_column(column, justify="right")
    for person in (None, *list(bits.people)[:MAX_PEOPLE]):
        own = bits.people[person] if person else {"clone": bits.clone}
        base = own.get("floor", bits.floor)
        changed = change.clone if person is None else change.people[person]["clone"]
        named = said.people.get(person, {}) if said and person else {}
        far = style.clone if style else None
        if style and person is not None:
            far = style.people.get(person, {}).get("clone")
        table.add_row(
            Text(person or "everyone"),
            f"{own['clone'].items:,}",
            written(base, "bits"),
            written(own["clone"], "bits"),
            number(changed.value, "share"),
            *(written(named.get(key), "share") for key in ("named", "really")),
            written(replace(far, low=math.nan) if far else None, "score"),
        )
    screen.print(table)
    left = len(bits.people) - MAX_PEOPLE
    if left > 0:
        screen.print(f"and {left} more people, on the page", style="dim")


def _print_figures(screen: Console, measures: list[Measure]) -> None:
    """Print a row for each figure, by sections."""
    from rich.text import Text

    from myna.evaluation.report import SECTIONS, grade, lines_of, written

    table = _table("")
    table.add_column("", width=29, no_wrap=True)
    for column in ("clone", "base", "real"):
        table.add_column(column, justify="right", no_wrap=True)
    for section, title in SECTIONS.items():
        shown = [m for m in measures if m.section == section and not m.is_detail]
        if shown:
            table.add_row(Text(title, style="bold"))
        for measure in shown:
            lines = {
                kind: replace(estimate, low=math.nan) if kind != "clone" else estimate
                for kind, estimate in lines_of(measure).values()
            }
            clone = Text(written(lines.get("clone"), measure.unit), style=GRADES[grade(measure)])
            others = (written(lines.get(kind), measure.unit) for kind in ("floor", "ceiling"))
            floor, real = others
            if measure.floor is not None and measure.floor_name != "base model":
                floor = f"{floor} ({measure.floor_name})"
            table.add_row(Text(f"  {measure.title}"), clone, floor, real)
    screen.print(table)


def _references(measure: Measure) -> str:
    """Further figures beside a measure, on one line."""
    from myna.evaluation.report import number

    return f"{measure.title}: " + ", ".join(
        f"{name} {number(estimate.value, measure.unit)}"
        for name, estimate in measure.references.items()
    )


def _table(title: str) -> Table:
    from rich.table import Table

    return Table(
        title=title or None, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0),
        header_style="dim", collapse_padding=True,
    )  # fmt: skip


def _print_wrapped(screen: Console, line: str, style: str = "") -> None:
    width = max(40, min(screen.width, 100))
    screen.print(textwrap.fill(line, width, subsequent_indent="  "), style=style or None)
