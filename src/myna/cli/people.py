"""`myna people`: list the people in the chats, and change names and consent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.cli._people_lists import (
    MAX_PEOPLE,
    merge_suggested,
    print_bots,
    print_people,
    print_suggestions,
)
from myna.cli._terminal import (
    Json,
    find_workspace,
    next_line,
    note,
    print_json,
)

if TYPE_CHECKING:
    from myna import people as people_
    from myna.people import People
    from myna.workspace import Workspace

NAME = "people"

Person = Annotated[str, typer.Argument(help="A name, or the beginning of one.")]

app = typer.Typer(help="List the people in the chats; change their names and consent.")


@app.callback(invoke_without_command=True)
def command(
    ctx: typer.Context,
    everybody: Annotated[
        bool, typer.Option("--all", help="A row for everybody, however many they are.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the people in the chats; change their names and consent."""
    if ctx.invoked_subcommand:
        return
    from myna import people
    from myna.people import consent, overview

    workspace = find_workspace(ctx)
    opt_outs = consent.load_opt_outs(workspace.opt_outs_file)
    everyone, tables = people.load(workspace.people_file), workspace.message_files()
    lines = overview.summarize_persons(everyone, tables)
    suggestions = overview.suggest_merges(everyone, overview.account_names(tables))
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
    print_people(lines, len(lines) if everybody else MAX_PEOPLE)
    print_suggestions(suggestions)
    print_bots(overview.suggest_bots(everyone, tables))
    for entry in opt_outs:
        who = f"{entry.name} ({entry.account}) opted out on {entry.at[:10]}"
        if entry.person:
            note(f'{who}: the clone {entry.person} is silent. myna people deny "{entry.person}"')
        else:
            note(f"{who}: their messages are not read")


@app.command()
def merge(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A name, or the beginning of one.")] = None,
    other: Annotated[str | None, typer.Argument(help="Another of the same human.")] = None,
) -> None:
    """Merge two persons: OTHER's accounts become NAME's. Without names: ask about each suggestion.

    NAME keeps the name and the consent.
    """
    from myna.errors import SettingsError
    from myna.people import consent

    if name is None:
        merge_suggested(find_workspace(ctx))
        return
    if other is None:
        raise SettingsError(
            f'{name} and who? Type `myna people merge "{name}" "OTHER NAME"`, or '
            "`myna people merge` alone to be asked about each suggestion"
        )
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
def allow(
    ctx: typer.Context,
    names: list[str],
    asked: Annotated[
        str,
        typer.Option(
            metavar='"WHO, HOW, WHEN"',
            help="Note who asked them, how and when; asked for where it is left out.",
        ),
    ] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What they agreed to, repeatable: owner (their clone talks to you), group (to "
            "others as well, as in bots), publish (it may be passed on). Default: owner and group."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="The last day of their consent.")
    ] = None,
) -> None:
    """Set the consent `clone`, for people who were asked: they may be personas."""
    from datetime import date

    from myna import people
    from myna.errors import SettingsError
    from myna.people import SCOPES, ConsentRecord, today

    if wrong := set(scope or ()).difference(SCOPES):
        raise SettingsError(f"--scope {min(wrong)}: choose {', '.join(SCOPES)}")
    try:
        last = date.fromisoformat(until) if until else None
    except ValueError:
        raise SettingsError(f"--until {until}: write a day such as {today()}") from None
    if last and last < today():
        raise SettingsError(f"--until {until} is over: choose a later day")
    everyone = people.load(find_workspace(ctx).people_file)
    found = [people.find_person(everyone, name).name for name in names]
    asked = asked.strip() or _ask_how(found)
    wanted = tuple(word for word in SCOPES if word in (scope or SCOPES[:2]))
    record = ConsentRecord(asked, today(), wanted, last)
    _consent(ctx, names, "clone", None, "may be cloned", record)


def _ask_how(names: list[str]) -> str:
    """Ask who asked these people and how, for the record of their consent."""
    import sys

    from myna.errors import SettingsError

    if not sys.stdin.isatty():
        raise SettingsError(
            f"note who asked {', '.join(names)}, how and when: add "
            '--asked "by Tom, on the phone, 3 May"; `myna people ask NAME` writes a request'
        )
    note("For the record of their consent, which stays in people.toml:")
    answer: str = typer.prompt(f"who asked {', '.join(names)}, how and when", err=True)
    return answer.strip()


@app.command()
def ask(
    ctx: typer.Context,
    name: Person,
    to: Annotated[
        Path | None, typer.Option(help="The file to write. Default: request-NAME.txt here.")
    ] = None,
) -> None:
    """Write a page to send to a person: a request to be cloned, in plain words."""
    from myna import people
    from myna.people import overview
    from myna.people.consent import request_page
    from myna.workspace import explain_disk_errors, write_text

    workspace = find_workspace(ctx)
    everyone = people.load(workspace.people_file)
    person = people.find_person(everyone, name)
    [summary] = [
        line
        for line in overview.summarize_persons(everyone, workspace.message_files())
        if line.person == person.name
    ]
    word = "-".join("".join(c if c.isalnum() else " " for c in person.name).split()) or "somebody"
    path = to or Path(f"request-{word}.txt")
    with explain_disk_errors(path):
        write_text(path, request_page(person.name, everyone.me, summary.messages))
    note(f"wrote {path}: send it, and wait for a yes")
    note(f'Next: myna people allow "{person.name}" --asked "who asked, how, when"')


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
    from myna.bots.outbox import forget_in_rooms
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
    _delete_exports(workspace, person)
    note(f"erased {erased:,} messages, and the samples and reports made from them")
    if not _print_what_holds(workspace, person):
        note("Next: myna prepare, then myna train")


def _delete_exports(workspace: Workspace, person: people_.Person) -> None:
    """Delete the exports in the workspace that hold a person's words."""
    import shutil

    from myna.artifacts import drop_export_record, export_records

    for export in export_records(workspace, person.accounts) if person.accounts else ():
        path = Path(export.path)
        if path.is_dir() and path.resolve().is_relative_to(workspace.root.resolve()):
            shutil.rmtree(path, ignore_errors=True)
            drop_export_record(workspace, export)
            note(f"deleted the export in {path}")


def _print_what_holds(workspace: Workspace, person: people_.Person) -> bool:
    """Print the adapters and exports that hold a person's words; return True if there are any."""
    from myna.artifacts import adapters_of, export_records
    from myna.people.consent_checker import TrainedPerson, withdrawn

    adapters = adapters_of(workspace, person)
    maps = [name for name, info in adapters.items() if info.adapters]
    parts = {part for name in maps for part in adapters[name].adapters.values()}
    for name, info in adapters.items():
        if name not in parts:
            persona = next(
                persona
                for persona, trained in info.people.items()
                if set(trained.accounts) & set(TrainedPerson.of(person).accounts)
            )
            note(withdrawn(info.trained(name), persona))
    exports = export_records(workspace, person.accounts) if person.accounts else []
    for export in exports:
        note(
            f"an export of {export.at[:10]} holds {person.name}: {export.path} ({export.format}): "
            "delete it, and ask those who have it to do so"
        )
    return bool(adapters or exports)


def _consent(
    ctx: typer.Context,
    names: list[str],
    value: Any,
    pseudonym: str | None,
    summary: str,
    record: people_.ConsentRecord | None = None,
) -> None:
    from myna import people
    from myna.people import consent

    workspace = find_workspace(ctx)
    for name in names:
        person = people.find_person(people.load(workspace.people_file), name)
        change = partial(
            consent.set_consent, name=name, value=value, pseudonym=pseudonym, record=record
        )
        _change(ctx, change, f"{person.name} {summary}")
        if value != "clone":
            _print_what_holds(workspace, person)


def _change(ctx: typer.Context, change: Callable[[People], People], summary: str) -> None:
    from myna import people
    from myna.workspace import explain_disk_errors

    path = find_workspace(ctx).people_file
    with explain_disk_errors(path):
        people.save(path, change(people.load(path)))
    note(f"{summary}. {next_line(find_workspace(ctx))}")
