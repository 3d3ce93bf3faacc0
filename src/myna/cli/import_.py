"""`myna import`: bring exports in."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from myna.cli._terminal import Json, bar, emit, here, say

NAME = "import"


class Consent(StrEnum):
    """What everyone consents to unless people.toml says otherwise."""

    clone = "clone"
    context = "context"
    no = "no"


def command(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders to search through.")],
    consent: Annotated[
        Consent | None,
        typer.Option(
            help="What the people consent to: clone (may be a persona), context (stand in "
            "prompts, never trained), no (left out). Asked once if not given."
        ),
    ] = None,
    as_: Annotated[
        str | None, typer.Option("--as", metavar="SOURCE", help="Read the files as this source.")
    ] = None,
    json_: Json = False,
) -> None:
    """Read chat exports: DiscordChatExporter JSON, JSON lines, CSV."""
    from rich.progress import DownloadColumn, TimeRemainingColumn

    from myna import importing, people
    from myna.errors import SourceError
    from myna.sources import source

    workspace = here(ctx)
    if as_:
        source(as_)  # a wrong name is said before anything is read
    chosen = _consent(consent, people.load(workspace.people_file))
    results = []
    for file in importing.files(paths):
        with bar(DownloadColumn(), TimeRemainingColumn()) as progress:
            task = progress.add_task(file.name, total=file.size)
            try:
                result = importing.import_file(
                    workspace,
                    file,
                    consent=chosen,
                    as_source=as_,
                    progress=lambda done, _, task=task: progress.update(task, completed=done),  # type: ignore[misc]
                )
            except SourceError as error:
                result = importing.Imported(file.place, trouble=str(error))
        results.append(result)
        _tell(result)
    asked = {str(path) for path in paths}
    failed = [r for r in results if r.trouble and (r.source or r.file in asked)]
    stored = sum(r.stored for r in results)
    everyone = people.load(workspace.people_file).persons
    if json_:
        emit(_report(results, [p.name for p in everyone]))
    elif any(r.messages for r in results):
        say(
            f"{stored:,} new messages; {len(everyone)} people in people.toml. Next: myna prepare"
            if stored
            else "nothing new"
        )
    if not results:
        raise SourceError(f"{', '.join(map(str, paths))}: no files in there: check the path")
    if failed or not any(r.messages for r in results):
        raise typer.Exit(1)


def _consent(given: Consent | None, people: Any) -> Any:
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
        "What do the people in these chats consent to? (people.toml says it for each)\n"
        "  clone    they may be cloned\n"
        "  context  their words may stand in prompts, and are never trained\n"
        "  no       their messages are left out"
    )
    answer: str = typer.prompt("clone, context or no", type=Consent, err=True)
    return Consent(answer).value


def _tell(result: Any) -> None:
    if result.source and result.messages:
        again = f", {result.known:,} were here already" if result.known else ""
        say(
            f"{result.file}: {result.source} ({result.confidence:.0%} sure), "
            f"{result.messages:,} messages{again}"
        )
    for reason, count in (result.skipped or {}).items():
        say(f"  skipped {count:,}: {reason}")
    for note in result.notes or ():
        say(f"  note: {note}")
    if result.trouble:
        say(f"myna: {result.trouble}")


def _report(results: list[Any], people: list[str]) -> dict[str, Any]:
    return {
        "messages": sum(r.messages for r in results),
        "stored": sum(r.stored for r in results),
        "people": people,
        "files": [r.to_json() for r in results],
    }
