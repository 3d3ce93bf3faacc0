"""`myna people`: list the people in the chats, and change names and consent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.cli._terminal import Json, console, find_workspace, note, print_json

if TYPE_CHECKING:
    from myna.people import People
    from myna.people.overview import MergeSuggestion, PersonSummary

NAME = "people"

Person = Annotated[str, typer.Argument(help="A name, or the beginning of one.")]

app = typer.Typer(help="List the people in the chats; change their names and consent.")


@app.callback(invoke_without_command=True)
def command(ctx: typer.Context, as_json: Json = False) -> None:
    """List the people in the chats; change their names and consent."""
    if ctx.invoked_subcommand:
        return
    from myna import people
    from myna.people import consent, overview

    workspace = find_workspace(ctx)
    opt_outs = consent.load_opt_outs(workspace.opt_outs_file)
    everyone, tables = people.load(workspace.people_file), workspace.message_files()
    lines = overview.summarize_persons(everyone, tables)
    suggestions = overview.suggest_merges(everyone, tables)
    if as_json:
        print_json(
            {
                "people": [line.to_json() for line in lines],
                "suggestions": [vars(suggestion) for suggestion in suggestions],
                "opted_out": [vars(entry) for entry in opt_outs],
            }
        )
        return
    if not lines:
        note("no people yet. Next: myna import PATH")
        return
    _print_people(lines)
    _print_suggestions(suggestions)
    _print_bots(overview.suggest_bots(everyone, tables))
    for entry in opt_outs:
        who = f"{entry.name} ({entry.account}) opted out on {entry.at[:10]}"
        if entry.person:
            note(f'{who}: the clone {entry.person} is silent. myna people deny "{entry.person}"')
        else:
            note(f"{who}: their messages are not read")


@app.command()
def merge(ctx: typer.Context, name: Person, other: Person) -> None:
    """Merge two persons: OTHER's accounts become NAME's."""
    from myna.people import consent

    _change(
        ctx, lambda people: consent.merge_persons(people, name, other), f"{other} is {name} now"
    )


@app.command()
def rename(ctx: typer.Context, name: Person, new: str) -> None:
    """Rename a person."""
    from myna.people import consent

    _change(
        ctx, lambda people: consent.rename_person(people, name, new), f"{name} is called {new} now"
    )


@app.command()
def me(ctx: typer.Context, name: Person) -> None:
    """Say which person you are; it gives you the consent `clone`."""
    from myna.people import consent

    _change(ctx, lambda people: consent.set_me(people, name), f"you are {name}")


@app.command()
def allow(ctx: typer.Context, names: list[str]) -> None:
    """Set the consent `clone`: they may be personas."""
    _consent(ctx, names, "clone", None, "may be cloned")


@app.command()
def context(
    ctx: typer.Context,
    names: list[str],
    pseudonym: Annotated[
        str | None, typer.Option(help="Name to show instead of theirs; empty removes it.")
    ] = None,
) -> None:
    """Set the consent `context`: their messages may be in prompts, and are never trained."""
    from myna.errors import SettingsError

    if pseudonym and len(names) > 1:
        raise SettingsError("a pseudonym is for one person: name only one")
    _consent(ctx, names, "context", pseudonym, "may be in prompts, and is never trained")


@app.command()
def deny(ctx: typer.Context, names: list[str]) -> None:
    """Set the consent `no`: their messages are left out, their names made anonymous."""
    _consent(ctx, names, "no", None, "is left out")


@app.command()
def forget(
    ctx: typer.Context,
    name: Person,
    yes: Annotated[bool, typer.Option("--yes", help="Erase without asking.")] = False,
) -> None:
    """Erase a person from messages, samples, reports and rooms, for good."""
    import sys

    from myna import people
    from myna.bots.consent import forget_in_rooms
    from myna.errors import SettingsError
    from myna.people import forgetting

    workspace = find_workspace(ctx)
    person = people.find_person(people.load(workspace.people_file), name)
    if not yes:
        if not sys.stdin.isatty():
            raise SettingsError(f"add --yes to erase {person.name} for good")
        typer.confirm(f"Erase {person.name} for good?", abort=True, err=True)
    if count := forget_in_rooms(workspace, person):
        note(f"erased {count:,} messages from rooms; delete what a bot has posted there yourself")
    erased = forgetting.forget_person(workspace, person)
    note(f"erased {erased:,} messages, and the samples and reports made from them")
    note("adapters trained on them are stale. Next: myna prepare, then myna train")


def _consent(
    ctx: typer.Context, names: list[str], value: Any, pseudonym: str | None, summary: str
) -> None:
    from myna.people import consent

    for name in names:
        _change(
            ctx,
            partial(consent.set_consent, name=name, value=value, pseudonym=pseudonym),
            f"{name} {summary}",
        )


def _change(ctx: typer.Context, change: Callable[[People], People], summary: str) -> None:
    from myna import people
    from myna.workspace import explain_disk_errors

    path = find_workspace(ctx).people_file
    with explain_disk_errors(path):
        people.save(path, change(people.load(path)))
    note(f"{summary}. Next: myna prepare")


def _print_people(lines: list[PersonSummary]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("person", "consent", "messages", "words", "first", "last", "accounts"):
        right = column in ("messages", "words")
        is_name = column in ("person", "accounts")
        table.add_column(column, justify="right" if right else "left", no_wrap=not is_name)
    for line in lines:
        name = Text(line.person)
        if line.shown != line.person:
            name.append(f" (shown as {line.shown})", style="dim")
        if line.is_me:
            name.append(" (me)", style="bold")
        table.add_row(
            name,
            "bot" if line.is_bot else line.consent,
            f"{line.messages:,}",
            f"{line.words:,}",
            str(line.first or "–"),
            str(line.last or "–"),
            ", ".join(
                platform if count == 1 else f"{count} {platform}"
                for platform, count in line.platforms.items()
            ),
        )
    console().print(table)


def _print_suggestions(suggestions: list[MergeSuggestion]) -> None:
    for suggestion in suggestions:
        note(
            f"{suggestion.first} and {suggestion.second} may be one person ({suggestion.because}): "
            f'myna people merge "{suggestion.first}" "{suggestion.second}"'
        )


def _print_bots(bots: list[tuple[str, str]]) -> None:
    for name, because in bots:
        note(f"{name} may be a bot ({because}): if so, set bot = true in people.toml")
