"""`myna prepare`: samples, and the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from myna.cli._terminal import Json, Set, console, emit, here, say, share

if TYPE_CHECKING:
    from rich.console import Console

    from myna.cleaning.ledger import Ledger
    from myna.config import Settings
    from myna.workspace import Workspace

NAME = "prepare"


def command(
    ctx: typer.Context,
    space_: Annotated[
        list[str] | None,
        typer.Option("--space", help="Only this server or group (* and ?; !NAME for all but it)."),
    ] = None,
    channel: Annotated[
        list[str] | None, typer.Option(help="Only this channel: see `myna channels`.")
    ] = None,
    thread: Annotated[list[str] | None, typer.Option(help="Only this thread.")] = None,
    person: Annotated[
        list[str] | None, typer.Option(help="Only this person's messages: see `myna people`.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only from this day on: 2020-01-31.")] = None,
    until: Annotated[str | None, typer.Option(help="Only up to this day.")] = None,
    set_: Set = None,
    again: Annotated[bool, typer.Option("--force", help="Even if nothing has changed.")] = False,
    json_: Json = False,
) -> None:
    """Clean and split the messages into samples; print the ledger."""
    from myna import config

    space = here(ctx)
    settings = config.override(space.settings(), set_ or [])
    chosen = {
        "spaces": space_,
        "channels": channel,
        "threads": thread,
        "people": person,
        "since": since,
        "until": until,
    }
    settings = config.updated(settings, "filter", {k: v for k, v in chosen.items() if v})
    ready(space, settings, again=again)
    ledger = read_ledger(space)
    if json_:
        emit(ledger.to_json())
    else:
        show(ledger, console())
        say(f"With pictures: {space.reports / 'prepare.html'}")
        say("Next: myna inspect, then myna train")


def ready(space: Workspace, settings: Settings, *, again: bool = False) -> None:
    """Have samples that hold: those of before, or new ones."""
    from myna import stages, workspace
    from myna.models.bases import find_base
    from myna.preparing import prepare
    from myna.rendering.tokenizer import Tokenizer

    manifest = workspace.read_manifest(space.prepared)
    if manifest and not again:
        inputs, used = stages.prepare_inputs(space), stages.prepare_settings(settings)
        if not workspace.stale_reasons(manifest, inputs, used):
            say("nothing has changed since the last time (--force makes the samples anew)")
            return
    tokenizer = Tokenizer(find_base(settings.base, weights=False, report=say).folder)
    prepare.run(space, settings, tokenizer, say)


def read_ledger(space: Workspace) -> Ledger:
    """The ledger of the last time."""
    from myna import workspace
    from myna.cleaning import ledger

    return ledger.from_json(workspace.read_json(space.prepared / "ledger.json"))


def show(ledger: Ledger, screen: Console) -> None:
    """Print a ledger as two tables."""
    from rich.table import Table
    from rich.text import Text

    rules = Table(title="Ledger", title_justify="left", show_footer=True)
    balance = "balanced" if ledger.balanced else f"{ledger.imbalance():,} UNACCOUNTED"
    rules.add_column("what", footer="messages read")
    rules.add_column("becomes", footer=balance)
    rules.add_column("messages", footer=f"{ledger.messages:,}", justify="right")
    rules.add_column("characters", footer=f"{ledger.characters:,}", justify="right")
    rules.add_column("because", footer="")
    shown = {"drop": "dropped", "context": "context", "train": "trained"}
    for row in ledger.rows:
        becomes = shown.get(row.action, "held out")
        rules.add_row(row.rule, becomes, f"{row.messages:,}", f"{row.characters:,}", row.why)
    screen.print(rules)

    people = Table(title="People", title_justify="left")
    for name in ("person", "characters", "trained", "validation", "test", "kept"):
        people.add_column(name, justify="left" if name == "person" else "right")
    for person in ledger.people:
        people.add_row(
            Text(person.person),
            f"{person.characters:,}",
            f"{person.train:,}",
            f"{person.validation:,}",
            f"{person.test:,}",
            share(person.train, person.characters - person.validation - person.test),
        )
    screen.print(people)
    if ledger.redacted:
        replaced = ", ".join(f"{count:,} × {kind}" for kind, count in ledger.redacted.items())
        screen.print(f"Replaced in texts: {replaced}")
    for note in ledger.notes:
        screen.print(note, highlight=False)
