"""`myna export`: the prepared messages in another tool's format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myna.choices import CLONE_FORMATS, DATASET_FORMATS, DEFAULT_ADAPTER, listed
from myna.cli._terminal import Adapter, Json, console, emit, here, say

if TYPE_CHECKING:
    from rich.console import Console

    from myna.export.dataset_export import DatasetExportReport, DatasetOptions
    from myna.workspace import Workspace

NAME = "export"
MOST_NAMED = 4


def command(
    ctx: typer.Context,
    format_: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help=f"A data set to train with: {listed(DATASET_FORMATS)}. Or what runs the clone: "
            f"{listed(CLONE_FORMATS)}.",
        ),
    ],
    person: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help='Who answers; without: "me", else the only persona, else each of them.',
        ),
    ] = None,
    adapter: Adapter = DEFAULT_ADAPTER,
    everyone: Annotated[
        bool, typer.Option("--everyone", help="Each persona answers in dialogues of their own.")
    ] = False,
    to: Annotated[
        Path | None, typer.Option(help="The folder to write; exports/FORMAT without.")
    ] = None,
    with_test: Annotated[
        bool, typer.Option("--with-test", help="Also the split that is only ever reported on.")
    ] = False,
    system: Annotated[
        str,
        typer.Option(help="The system line; {name}, {others}, {channel}, {space} are filled in."),
    ] = "",
    sequence_len: Annotated[
        int | None,
        typer.Option(help="The trainer's: no dialogue is longer, whatever its tokenizer."),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME", help="Upload to a private Hugging Face dataset repository."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Upload without asking.")] = False,
    json_: Json = False,
) -> None:
    """Write the prepared chats, or the clone, in another tool's format."""
    from myna.errors import ExportError
    from myna.export import dataset_export, formats
    from myna.export.clone_export import TARGETS

    if person is not None and everyone:
        raise ExportError("--person and --everyone exclude each other: leave one of them out")
    space = here(ctx)
    if format_ in TARGETS:
        _refuse(format_, system=system, sequence_len=sequence_len, push=push, with_test=with_test)
        _export_clone(space, format_, to, adapter, person, everyone=everyone, as_json=json_)
        return
    chosen = formats.find(format_)
    personas = dataset_export.choose_personas(space, person, everyone=everyone)
    options = dataset_export.DatasetOptions(chosen, personas, with_test, system, sequence_len)
    _export_dataset(space, options, to, push, sure=yes, as_json=json_)


def _refuse(target: str, **given: object) -> None:
    """Options of data sets, where something else is exported."""
    from myna.errors import ExportError

    wrong = [name for name, value in given.items() if value]
    if wrong:
        option = wrong[0].replace("_", "-")
        raise ExportError(f"--{option} is for data sets, and {target} is none: leave it out")


def _export_dataset(
    space: Workspace,
    options: DatasetOptions,
    to: Path | None,
    push: str | None,
    *,
    sure: bool,
    as_json: bool,
) -> None:
    """Export the prepared chats, and upload them if that is wished."""
    from myna.errors import ExportError
    from myna.export import dataset_export

    repository = dataset_export.check_repository(push) if push is not None else None
    if repository and not sure and not sys.stdin.isatty():
        raise ExportError("nobody is here to confirm an upload: add --yes if you mean it")
    done = dataset_export.run(
        space, options, dataset_export.export_folder(space, options.format.name, to), say
    )
    if not as_json:
        show(done, console())
    address = _pushed(done, repository, sure=sure) if repository else None
    if as_json:
        emit({**vars(done), "pushed": address})
    elif address:
        say(f"pushed to {address}")


def _export_clone(
    space: Workspace,
    target: str,
    to: Path | None,
    adapter: str,
    person: str | None,
    *,
    everyone: bool,
    as_json: bool,
) -> None:
    """Export the clone itself."""
    from myna.export import dataset_export
    from myna.export.clone_export import CloneSelection, export_clone

    path = dataset_export.export_folder(space, target, to)
    done = export_clone(space, target, CloneSelection(adapter, person, everyone), path, say)
    if as_json:
        emit(vars(done))
        return
    screen = console()
    whose = f"'{done.adapter}'" if done.adapter else ", ".join(done.personas)
    screen.print(f"{done.format} of {whose}: {done.folder}")
    for file in done.files:
        screen.print(f"  {file}")
    if done.checked:
        screen.print(f"Checked: {done.checked}")
    say(f"Next: {done.folder}/README.txt says how to run it")


def _pushed(done: DatasetExportReport, repository: str, *, sure: bool) -> str | None:
    """Upload an export if that is confirmed; where it is then."""
    from myna.export.dataset_export import push

    question = (
        f"Upload {', '.join(done.files)} with {done.exported:,} messages to the private dataset "
        f"{repository} on huggingface.co?"
    )
    if not sure and not typer.confirm(question, err=True):
        say("nothing was uploaded")
        return None
    return push(Path(done.folder), done.files, repository)


def show(done: DatasetExportReport, screen: Console) -> None:
    """Print what an export holds, and what it does not."""
    from rich.table import Table

    few = len(done.personas) <= MOST_NAMED
    whose = ", ".join(done.personas) if few else f"{len(done.personas)} personas"
    table = Table(title=f"{done.format} of {whose}", title_justify="left")
    table.add_column("what")
    table.add_column("messages", justify="right")
    table.add_row("exported", f"{done.exported:,}")
    table.add_row("  of these to learn from", f"{done.answers:,}", end_section=True)
    for reason, count in done.left_out.items():
        table.add_row(f"left out: {reason}", f"{count:,}")
    table.add_section()
    table.add_row("prepared", f"{done.messages:,}")
    screen.print(table)
    for name, rows in done.rows.items():
        screen.print(f"{name}: {rows:,} rows")
    if done.opened:
        screen.print(f"{done.opened:,} dialogues are opened by the persona")
    screen.print("What the format cannot hold:")
    for what in done.lacks:
        screen.print(f"  {what}")
    say(f"Next: {done.folder}/README.txt says how to train with it")
