"""`myna import`: bring exports in."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.cli._terminal import Json, bar, console, emit, here, say

if TYPE_CHECKING:
    from myna.importing.discover import Discovery
    from myna.importing.import_files import ImportResult
    from myna.people import People
    from myna.workspace import Workspace

NAME = "import"

SINGLY = 12
"""Files of one source that are told of one by one; of more only their sum."""


class Consent(StrEnum):
    """What everyone consents to unless people.toml says otherwise."""

    clone = "clone"
    context = "context"
    no = "no"


def command(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files, folders to search through, zip archives to look into."),
    ] = None,
    consent: Annotated[
        Consent | None,
        typer.Option(
            help="What the people consent to: clone (may be a persona), context (stand in "
            "prompts, never trained), no (left out). Asked once if not given."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The platform and format of the files, if not found."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="author=NAME,text=NAME",
            help="Which columns of CSV or JSON lines hold what, if their names do not tell.",
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Print what myna reads, and stop.")] = False,
    json_: Json = False,
) -> None:
    """Read chat exports of any platform; `--list` says which."""
    from myna import people, sources
    from myna.errors import SettingsError, SourceError
    from myna.importing.discover import discover_chats
    from myna.sources import given_columns

    if list_:
        _list(json_)
        return
    if not paths:
        raise SettingsError("say which files or folders to import: myna import PATH")
    workspace = here(ctx)
    if source:
        sources.source(source)  # a wrong name is said before anything is read
    chosen = _consent(consent, people.load(workspace.people_file))
    found = discover_chats(paths, source, given_columns(columns) if columns else None)
    results = _import(workspace, found, chosen)
    troubles = [*found.problems, *(result.trouble for result in results if result.trouble)]
    everyone = [person.name for person in people.load(workspace.people_file).persons]
    _tell(results, found)
    for trouble in troubles:
        say(f"myna: {trouble}")
    _sum_up(results, everyone, dict(found.others), troubles, as_json=json_)
    if not results and not troubles:
        names = ", ".join(map(str, paths))
        raise SourceError(f"{names}: no chats in there: see `myna import --list`")
    if troubles:
        raise typer.Exit(1)


def _import(workspace: Workspace, found: Discovery, consent: Any) -> list[ImportResult]:
    from rich.progress import DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

    from myna.importing.import_files import import_files

    total = sum(file.size for file, _ in found.chats)
    with bar(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=total)

        def show(done: int, name: str) -> None:
            progress.update(task, completed=done, description=name[:40])

        return list(import_files(workspace, found.chats, consent=consent, progress=show))


def _consent(given: Consent | None, people: People) -> Any:
    """The consent of people who are new: given, as last time, or asked for."""
    from myna.errors import SettingsError

    if given is not None:
        return given.value
    if people.default_consent:
        return people.default_consent
    if not sys.stdin.isatty():
        raise SettingsError(
            "say what the people in these chats consent to: --consent clone, context or no"
        )
    say(
        "What do the people in these chats consent to? (`myna people` changes it for each)\n"
        "  clone    they may be cloned\n"
        "  context  their words may stand in prompts, and are never trained\n"
        "  no       their messages are left out"
    )
    answer: str = typer.prompt("clone, context or no", type=Consent, err=True)
    return Consent(answer).value


def _tell(results: list[ImportResult], found: Discovery) -> None:
    """What became of the files: one by one, or of many of a kind their sum."""
    by_source: dict[str, list[ImportResult]] = defaultdict(list)
    for result in results:
        by_source[result.source].append(result)
    for source, own in by_source.items():
        if len(own) <= SINGLY:
            for result in own:
                if result.messages:
                    sure = f"{source} ({result.confidence:.0%} sure: {result.because})"
                    say(f"{result.file}: {sure}, {_counts([result])}")
                _notes([result])
        else:
            say(f"{len(own):,} files: {source}, {_counts(own)}")
            _notes(own)
    if found.others:
        kinds = ", ".join(f"{count:,} {ending}" for ending, count in found.others.most_common(6))
        more = " and others" if len(found.others) > 6 else ""
        say(f"left out {found.others.total():,} files that are no chats: {kinds}{more}")


def _sum_up(
    results: list[ImportResult],
    everyone: list[str],
    no_chats: dict[str, int],
    troubles: list[str],
    *,
    as_json: bool,
) -> None:
    """Print what an import brought in all."""
    stored, messages = sum(r.stored for r in results), sum(r.messages for r in results)
    if as_json:
        emit(
            {
                "messages": messages,
                "stored": stored,
                "people": everyone,
                "files": [result.to_json() for result in results],
                "no_chats": no_chats,
                "troubles": troubles,
            }
        )
    elif stored:
        say(f"{stored:,} new messages; {len(everyone)} people: see `myna people`")
        say("Next: myna prepare")
    elif messages:
        say("nothing new")


def _counts(results: list[ImportResult]) -> str:
    messages, known = sum(r.messages for r in results), sum(r.known for r in results)
    forgotten = sum(r.forgotten for r in results)
    line = f"{messages:,} messages"
    if known:
        line += f", {known:,} were here already"
    if forgotten:
        line += f", {forgotten:,} by people who were forgotten"
    return line


def _notes(results: list[ImportResult]) -> None:
    skipped = Counter[str]()
    notes = Counter[str]()
    examples: dict[str, str] = {}
    for result in results:
        skipped.update(result.skipped)
        notes.update(result.notes)
        examples = {**result.examples, **examples}
    for reason, count in skipped.items():
        say(f"  skipped {count:,}: {reason} ({examples.get(reason, '')})")
    for note, count in notes.items():
        say(f"  note: {note}" + (f" ({count:,} files)" if count > 1 else ""))


def _list(json_: bool) -> None:
    """Print every source, and what it reads of it."""
    from rich.table import Table

    from myna import sources

    found = {name: sources.source(name) for name in sources.names()}
    if json_:
        emit(
            [
                {"source": name, "title": module.TITLE, "reads": list(module.READS)}
                for name, module in found.items()
            ]
        )
        return
    table = Table(title="What myna reads", title_justify="left")
    table.add_column("--source")
    table.add_column("format")
    table.add_column("reads", overflow="fold")
    for name, module in found.items():
        table.add_row(name, module.TITLE, ", ".join(module.READS))
    console().print(table)
