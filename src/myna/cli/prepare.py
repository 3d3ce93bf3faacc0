"""`myna prepare`: make samples, and print the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from myna.cli._progress import progress
from myna.cli._terminal import (
    Json,
    Set,
    console,
    keep_choices,
    note,
    open_workspace,
    print_json,
)

if TYPE_CHECKING:
    from rich.console import Console

    from myna.cleaning.ledger import Ledger
    from myna.config import Settings
    from myna.workspace import Workspace

NAME = "prepare"
MAX_PEOPLE = 20
"""Personas who get a row each in the ledger's table of people."""


def command(
    ctx: typer.Context,
    space_: Annotated[
        list[str] | None,
        typer.Option("--space", help="Only this server or group; * and ? match, !NAME leaves out."),
    ] = None,
    channel: Annotated[
        list[str] | None, typer.Option(help="Only this channel; `myna channels` lists them.")
    ] = None,
    thread: Annotated[list[str] | None, typer.Option(help="Only this thread.")] = None,
    person: Annotated[
        list[str] | None, typer.Option(help="Only this person; `myna people` lists them.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="First day, such as 2020-01-31.")] = None,
    until: Annotated[str | None, typer.Option(help="Last day.")] = None,
    assignments: Set = None,
    force: Annotated[bool, typer.Option("--force", help="Even if nothing changed.")] = False,
    as_json: Json = False,
) -> None:
    """Clean, split and render the messages into samples; print the ledger.

    Choices made by options are written into myna.toml.
    """
    from myna import config

    workspace, settings = open_workspace(ctx, assignments)
    chosen = {
        "spaces": space_,
        "channels": channel,
        "threads": thread,
        "people": person,
        "since": since,
        "until": until,
    }
    settings = config.updated(settings, "filter", {k: v for k, v in chosen.items() if v})
    prepare_if_stale(workspace, settings, force=force)
    keep_choices(workspace, settings)
    ledger = read_ledger(workspace)
    if as_json:
        print_json(ledger.to_json())
    else:
        print_ledger(ledger, console())
        note(f"With charts: {workspace.reports / 'prepare.html'}")
        note("Next: myna inspect, then myna train")


def prepare_if_stale(workspace: Workspace, settings: Settings, *, force: bool = False) -> None:
    """Keep the samples if they are current, else make them."""
    from myna.models.bases import find_base
    from myna.preparing import prepare
    from myna.rendering.tokenizer import Tokenizer
    from myna.workspace import prepare_inputs, prepare_settings, read_manifest, stale_reasons

    _end_consents(workspace)
    manifest = read_manifest(workspace.prepared)
    if manifest and not force:
        inputs, used = prepare_inputs(workspace), prepare_settings(settings)
        if not stale_reasons(manifest, inputs, used):
            note("nothing has changed since the last time (--force prepares again)")
            return
    tokenizer = Tokenizer(find_base(settings.base, weights=False, report=note).folder)
    with progress(unit="messages", transient=True) as update:
        prepare.run(workspace, settings, tokenizer, note, update)


def _end_consents(workspace: Workspace) -> None:
    """Write down the consents to be cloned whose last day is over."""
    from myna import people
    from myna.people.consent import end_consents

    everyone, ended = end_consents(people.load(workspace.people_file))
    for person in ended:
        note(f"the consent of {person.name} has ended: `context` from now on")
    if ended:
        people.save(workspace.people_file, everyone)


def read_ledger(workspace: Workspace) -> Ledger:
    """The ledger of the prepared samples."""
    from myna.cleaning import ledger
    from myna.workspace import read_json

    return ledger.from_json(read_json(workspace.prepared / "ledger.json"))


def print_ledger(ledger: Ledger, screen: Console) -> None:
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
    outcomes = {"drop": "dropped", "context": "context", "train": "trained"}
    for row in ledger.rows:
        becomes = outcomes.get(row.action, "held out")
        rules.add_row(row.rule, becomes, f"{row.messages:,}", f"{row.characters:,}", row.why)
    screen.print(rules)

    people = Table(title="People", title_justify="left")
    for name in ("person", "characters", "trained", "validation", "test", "kept"):
        people.add_column(name, justify="left" if name == "person" else "right")
    cloned = [share for share in ledger.people if share.train or share.validation or share.test]
    shown = cloned[:MAX_PEOPLE] or ledger.people[:MAX_PEOPLE]
    for person in shown:
        not_held_out = person.characters - person.validation - person.test
        people.add_row(
            Text(person.person),
            f"{person.characters:,}",
            f"{person.train:,}",
            f"{person.validation:,}",
            f"{person.test:,}",
            f"{person.train / not_held_out:.1%}" if not_held_out else "–",
        )
    others = [share for share in ledger.people if share not in shown]
    if others:
        characters = sum(share.characters for share in others)
        name = "1 other" if len(others) == 1 else f"{len(others):,} others"
        people.add_row(name, f"{characters:,}", *[""] * 4, style="dim")
    screen.print(people)
    if ledger.redacted:
        replaced = ", ".join(f"{count:,} × {kind}" for kind, count in ledger.redacted.items())
        screen.print(f"Replaced in texts: {replaced}")
    for line in ledger.notes:
        screen.print(line, highlight=False)
