"""`myna people`: who is in the chats, and what they consent to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.cli._terminal import Json, console, emit, here, say

if TYPE_CHECKING:
    from myna.people import People
    from myna.people.overview import MergeSuggestion, PersonSummary

NAME = "people"

Person = Annotated[str, typer.Argument(help="A name, or the begin of one.")]

app = typer.Typer(help="Print who is in the chats; merge, rename, allow, deny, forget them.")


@app.callback(invoke_without_command=True)
def command(ctx: typer.Context, json_: Json = False) -> None:
    """Print who is in the chats; merge, rename, allow, deny, forget them."""
    if ctx.invoked_subcommand:
        return
    from myna import people
    from myna.people import consent, overview

    space = here(ctx)
    gone = consent.load_opt_outs(space.opt_outs_file)
    everyone, tables = people.load(space.people_file), space.message_files()
    lines = overview.summarize_persons(everyone, tables)
    suggestions = overview.suggest_merges(everyone, tables)
    if json_:
        emit(
            {
                "people": [line.to_json() for line in lines],
                "suggestions": [vars(suggestion) for suggestion in suggestions],
                "opted_out": [vars(entry) for entry in gone],
            }
        )
        return
    if not lines:
        say("nobody yet: bring chats in with `myna import PATH`")
        return
    _show(lines)
    _suggest(suggestions)
    for entry in gone:
        who = f"{entry.name} ({entry.account}) opted out on {entry.at[:10]}"
        if entry.person:
            say(f'{who}: the clone {entry.person} is silent. myna people deny "{entry.person}"')
        else:
            say(f"{who}: what they write is not read")


@app.command()
def merge(ctx: typer.Context, name: Person, other: Person) -> None:
    """Make two persons one: OTHER's accounts become NAME's."""
    from myna.people import consent

    _change(
        ctx, lambda people: consent.merge_persons(people, name, other), f"{other} is {name} now"
    )


@app.command()
def rename(ctx: typer.Context, name: Person, new: str) -> None:
    """Call a person by another name."""
    from myna.people import consent

    _change(
        ctx, lambda people: consent.rename_person(people, name, new), f"{name} is called {new} now"
    )


@app.command()
def me(ctx: typer.Context, name: Person) -> None:
    """Say who you are; you may be cloned."""
    from myna.people import consent

    _change(ctx, lambda people: consent.set_me(people, name), f"you are {name}")


@app.command()
def allow(ctx: typer.Context, names: list[str]) -> None:
    """Consent `clone`: they may be cloned."""
    _consent(ctx, names, "clone", None, "may be cloned")


@app.command()
def context(
    ctx: typer.Context,
    names: list[str],
    pseudonym: Annotated[
        str | None, typer.Option(help="The name to show instead of theirs; empty for none.")
    ] = None,
) -> None:
    """Consent `context`: their words may stand in prompts, and are never trained."""
    from myna.errors import SettingsError

    if pseudonym and len(names) > 1:
        raise SettingsError("a pseudonym is for one person: name only one")
    _consent(ctx, names, "context", pseudonym, "may stand in prompts, and is never trained")


@app.command()
def deny(ctx: typer.Context, names: list[str]) -> None:
    """Consent `no`: their messages are left out, and their names made anonymous."""
    _consent(ctx, names, "no", None, "is left out")


@app.command()
def forget(
    ctx: typer.Context,
    name: Person,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a person: messages, samples, reports, rooms. It cannot be undone."""
    import sys

    from myna import people
    from myna.bots.consent import forget_in_rooms
    from myna.errors import SettingsError
    from myna.people import forgetting

    space = here(ctx)
    person = people.find_person(people.load(space.people_file), name)
    if not yes:
        if not sys.stdin.isatty():
            raise SettingsError(f"say --yes to erase {person.name} for good")
        typer.confirm(f"Erase {person.name} for good?", abort=True, err=True)
    if said := forget_in_rooms(space, person):
        say(f"erased {said:,} messages from rooms; what a bot has posted, delete there")
    erased = forgetting.forget_person(space, person)
    say(f"erased {erased:,} messages, and the samples and reports made of them")
    say("adapters that were trained on them are stale. Next: myna prepare, then myna train")


def _consent(
    ctx: typer.Context, names: list[str], value: Any, pseudonym: str | None, said: str
) -> None:
    from myna.people import consent

    for name in names:
        _change(
            ctx,
            partial(consent.set_consent, name=name, value=value, pseudonym=pseudonym),
            f"{name} {said}",
        )


def _change(ctx: typer.Context, change: Callable[[People], People], said: str) -> None:
    from myna import people
    from myna.workspace import explain_disk_errors

    path = here(ctx).people_file
    with explain_disk_errors(path):
        people.save(path, change(people.load(path)))
    say(f"{said}. Next: myna prepare")


def _show(lines: list[PersonSummary]) -> None:
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


def _suggest(suggestions: list[MergeSuggestion]) -> None:
    for found in suggestions:
        say(
            f"{found.first} and {found.second} may be one person ({found.because}): "
            f'myna people merge "{found.first}" "{found.second}"'
        )
