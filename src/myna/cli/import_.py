"""`myna import`: read chat exports into the workspace."""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.cli._progress import progress, working
from myna.cli._terminal import (
    Json,
    ask_line,
    console,
    find_workspace,
    is_yes,
    next_line,
    note,
    print_json,
)

if TYPE_CHECKING:
    from myna.importing.discover import Discovery
    from myna.importing.import_files import ImportResult
    from myna.people import People
    from myna.workspace import Workspace

NAME = "import"

MAX_FILES_LISTED = 12
"""Files of one source that get a line each; more get one line together."""


class Consent(StrEnum):
    """The consent of new people."""

    clone = "clone"
    context = "context"
    no = "no"


def command(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files, folders (searched recursively) or zip archives."),
    ] = None,
    consent: Annotated[
        Consent | None,
        typer.Option(
            help="Consent of new people: context (in prompts, never trained), no (left out), or "
            "clone, only if all have agreed (`myna people allow` is for each). Default: context, "
            "or no if that was chosen last time."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Reader of the files: see --list. Default: recognised."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="author=NAME,text=NAME",
            help="Columns of CSV or JSON lines, if their names are not recognised.",
        ),
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(
            metavar="Europe/Berlin",
            help="Time zone of exports that do not say theirs. Default: conversations.zones.",
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List what myna reads, and exit.")] = False,
    as_json: Json = False,
) -> None:
    """Import chat exports of any platform; `--list` says which."""
    from myna import config, people, sources
    from myna.errors import SettingsError, SourceError
    from myna.importing.discover import discover_chats
    from myna.sources import parse_columns

    if list_:
        _print_sources(as_json)
        return
    if not paths:
        raise SettingsError("no files given: type `myna import PATH`")
    workspace = find_workspace(ctx)
    if source:
        sources.load_source(source)  # raises for an unknown name before anything is read
    before = people.load(workspace.people_file)
    new_consent: Any = consent.value if consent else before.default_consent or "context"
    if new_consent == "clone":
        note(
            "myna: --consent clone is for chats whose authors have all agreed to be cloned, and "
            "nothing notes who asked them: `myna people allow NAME` does, for each"
        )
    with working("looking for chats"):
        discovery = discover_chats(paths, source, parse_columns(columns) if columns else None)
    if zone:
        config.updated(config.Settings(), "conversations", {"zones": [zone]}, "--zone")
    results = _import(workspace, discovery, new_consent, zone)
    troubles = [*discovery.problems, *(result.trouble for result in results if result.trouble)]
    after = people.load(workspace.people_file)
    everyone = [person.name for person in after.persons]
    _print_files(results, discovery)
    for trouble in troubles:
        note(f"myna: {trouble}")
    _print_summary(results, everyone, dict(discovery.others), troubles, as_json=as_json)
    if not as_json and (stored := sum(result.stored for result in results)):
        note(f"{stored:,} new messages; {len(everyone)} people: see `myna people`")
        _ask_owner(workspace, before, after)
        _ask_unnamed(workspace, before, results)
        _print_next(workspace)
    if not results and not troubles:
        names = ", ".join(map(str, paths))
        raise SourceError(f"{names}: no chat exports found: see `myna import --list`")
    if troubles:
        raise typer.Exit(1)


def _import(
    workspace: Workspace, discovery: Discovery, consent: Any, zone: str | None
) -> list[ImportResult]:
    """Import the chats; Ctrl-C tells what is kept."""
    from rich.progress import DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

    from myna.importing.import_files import import_files

    total = sum(file.size for file, _ in discovery.chats)
    results: list[ImportResult] = []
    columns = DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with progress(*columns, unit="bytes") as update:

        def show(done: int, _: str) -> None:
            update("importing", done, total)

        show(0, "")
        try:
            results.extend(
                import_files(workspace, discovery.chats, consent=consent, progress=show, zone=zone)
            )
        except KeyboardInterrupt:
            stored = sum(result.stored for result in results)
            note(
                f"stopped: {stored:,} new messages of {len(results):,} of "
                f"{len(discovery.chats):,} files are kept; the same command goes on with the rest"
            )
            raise typer.Exit(130) from None
    return results


def _ask_owner(workspace: Workspace, before: People, after: People) -> None:
    """Ask once whether the owner may be cloned, when an export has told who that is."""
    from myna import people
    from myna.people.consent import set_me

    if after.me in ("", before.me, people.UNNAMED_OWNER):
        return
    if sys.stdin.isatty() and is_yes(
        ask_line(f"You are {after.me} in these chats. May you be cloned, too? [y/N]")
    ):
        people.save(workspace.people_file, set_me(after, after.me))
    else:
        note(f'you are {after.me}: `myna people me "{after.me}"` says that you may be cloned')


def _ask_unnamed(workspace: Workspace, before: People, results: list[ImportResult]) -> None:
    """Ask who it is that a journal, or an export, calls only `Me`."""
    from myna import people
    from myna.people.consent import merge_persons, rename_person

    everyone = people.load(workspace.people_file)
    known = {account for person in before.persons for account in person.accounts}
    if everyone.me != before.me:  # they may be the owner by another name
        known.clear()
    for person in everyone.persons:
        if not re.fullmatch(rf"{people.UNNAMED_OWNER}( \d+)?", person.name):
            continue
        files = [Path(r.file).name for r in results if r.owner in person.accounts]
        what = f"who wrote {files[0]}" if files else f"who {person.name} is"
        if known.issuperset(person.accounts):
            continue
        if person.name != everyone.me:
            merging = f'`myna people merge "{everyone.me}" "{person.name}"`'
            question = f"nothing says {what}: is it you, {everyone.me}? [Y/n]"
            if not sys.stdin.isatty():
                note(f"nothing says {what}: if it is you, type {merging}")
            elif is_yes(ask_line(question), default=True):
                everyone = merge_persons(everyone, everyone.me, person.name)
            continue
        name = person.name
        if sys.stdin.isatty():
            question = f"nothing says {what}: what is your name? (Enter: {name})"
            name = people.sanitize_name(ask_line(question) or name)
        if name != person.name:
            everyone = rename_person(everyone, person.name, name)
        else:
            note(
                f'nothing says {what}: if it is you, type `myna people rename {person.name} "YOUR '
                'NAME"`, then `myna people me "YOUR NAME"`'
            )
    people.save(workspace.people_file, everyone)


def _print_next(workspace: Workspace) -> None:
    """Print the pairs who may be one person, if there are any, and the next command."""
    from myna import people
    from myna.people import overview

    everyone = people.load(workspace.people_file)
    names = overview.account_names(workspace.message_files())
    if pairs := overview.suggest_merges(everyone, names):
        best = f"{pairs[0].first} and {pairs[0].second} ({pairs[0].because})"
        more = f" and {len(pairs) - 1:,} more pairs" if len(pairs) > 1 else ""
        note(f"{best}{more} may be one person each: `myna people merge` asks about them")
    if not any(person.scope for person in everyone.persons):
        note(
            "Nothing is trained before somebody agrees. Who is not you is asked first "
            "(`myna people ask NAME` writes a page); then "
            '`myna people allow NAME --asked "who asked, how"`'
        )
    note(next_line(workspace))


def _print_files(results: list[ImportResult], discovery: Discovery) -> None:
    """Print a line for each file, or one for all where a source has many."""
    copies = Counter(result.copy_of for result in results if result.copy_of)
    results = [result for result in results if not result.copy_of]
    for first, count in copies.items():
        what = "another file is a copy" if count == 1 else f"{count:,} other files are copies"
        note(f"{what} of {first}: left out")
    by_source: dict[str, list[ImportResult]] = defaultdict(list)
    for result in results:
        by_source[result.source].append(result)
    for source, files in by_source.items():
        if len(files) <= MAX_FILES_LISTED:
            for result in files:
                if result.messages:
                    reason = f"{source} ({result.confidence:.0%} sure: {result.because})"
                    note(f"{result.file}: {reason}, {_counts([result])}")
                _print_notes([result])
        else:
            note(f"{len(files):,} files: {source}, {_counts(files)}")
            _print_notes(files)
    for line in discovery.notes:
        note(f"note: {line}")
    if others := discovery.others:
        kinds = ", ".join(f"{count:,} {ending}" for ending, count in others.most_common(6))
        more = " and others" if len(others) > 6 else ""
        count = others.total()
        are = "file that is no chat export" if count == 1 else "files that are no chat exports"
        note(f"left out {count:,} {are}: {kinds}{more}")


def _print_summary(
    results: list[ImportResult],
    everyone: list[str],
    no_chats: dict[str, int],
    troubles: list[str],
    *,
    as_json: bool,
) -> None:
    """Print the totals of an import."""
    stored, messages = sum(r.stored for r in results), sum(r.messages for r in results)
    if as_json:
        print_json(
            {
                "messages": messages,
                "stored": stored,
                "people": everyone,
                "files": [result.to_json() for result in results],
                "no_chats": no_chats,
                "troubles": troubles,
            }
        )
    elif messages and not stored:
        note("nothing new")


def _counts(results: list[ImportResult]) -> str:
    messages, known = sum(r.messages for r in results), sum(r.known for r in results)
    forgotten = sum(r.forgotten for r in results)
    line = f"{messages:,} messages"
    if known:
        line += f", {known:,} already imported"
    if forgotten:
        line += f", {forgotten:,} by forgotten people"
    return line


def _print_notes(results: list[ImportResult]) -> None:
    skipped = Counter[str]()
    notes = Counter[str]()
    examples: dict[str, str] = {}
    for result in results:
        skipped.update(result.skipped)
        notes.update(result.notes)
        examples = {**result.examples, **examples}
    for reason, count in skipped.items():
        note(f"  skipped {count:,}: {reason} ({examples.get(reason, '')})")
    for text, count in notes.items():
        note(f"  note: {text}" + (f" ({count:,} files)" if count > 1 else ""))


def _print_sources(as_json: bool) -> None:
    """Print every source with the features that it reads."""
    from rich.table import Table

    from myna import sources

    readers = {name: sources.load_source(name) for name in sources.names()}
    if as_json:
        print_json(
            [
                {"source": name, "title": module.TITLE, "reads": list(module.READS)}
                for name, module in readers.items()
            ]
        )
        return
    table = Table(title="What myna reads", title_justify="left")
    table.add_column("--source")
    table.add_column("format")
    table.add_column("reads", overflow="fold")
    for name, module in readers.items():
        table.add_row(name, module.TITLE, ", ".join(module.READS))
    console().print(table)
