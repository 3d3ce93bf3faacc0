"""`myna export`: the prepared messages, or the clone, in another program's format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myna.choices import CLONE_FORMATS, DATASET_FORMATS, DEFAULT_ADAPTER, join_with_or
from myna.cli._terminal import Adapter, Json, console, find_workspace, note, one_line, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from myna.export.dataset_export import DatasetExportReport, DatasetOptions
    from myna.workspace import Workspace

NAME = "export"
MAX_NAMES_IN_TITLE = 4


def command(
    ctx: typer.Context,
    format_: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help=f"A data set for a trainer: {join_with_or(DATASET_FORMATS)}. Or the clone for a "
            f"program that runs it: {join_with_or(CLONE_FORMATS)}.",
        ),
    ],
    person: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help='The persona who answers. Default: "me", else the only one, else each of them.',
        ),
    ] = None,
    adapter: Adapter = DEFAULT_ADAPTER,
    everyone: Annotated[
        bool, typer.Option("--everyone", help="Write dialogues for each persona.")
    ] = False,
    to: Annotated[
        Path | None, typer.Option(help="The folder to write. Default: exports/FORMAT.")
    ] = None,
    with_test: Annotated[
        bool, typer.Option("--with-test", help="Export the test split as well.")
    ] = False,
    system: Annotated[
        str,
        typer.Option(help="The system line; fills in {name}, {others}, {channel} and {space}."),
    ] = "",
    sequence_len: Annotated[
        int | None,
        typer.Option(help="The trainer's sequence length in tokens: no dialogue is longer."),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME", help="Upload to a private Hugging Face dataset repository."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Upload without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Export the prepared chats for another trainer, or the clone for another program."""
    from myna.errors import ExportError
    from myna.export import dataset_export, formats
    from myna.export.clone_export import TARGETS

    if person is not None and everyone:
        raise ExportError("--person and --everyone exclude each other: leave one out")
    workspace = find_workspace(ctx)
    if format_ in TARGETS:
        _refuse_dataset_options(
            format_, system=system, sequence_len=sequence_len, push=push, with_test=with_test
        )
        _export_clone(workspace, format_, to, adapter, person, everyone=everyone, as_json=as_json)
        return
    chosen = formats.find(format_)
    personas = dataset_export.choose_personas(
        workspace, person, everyone=everyone, scope="publish" if push else "owner"
    )
    wanted = dataset_export.DatasetOptions(chosen, personas, with_test, system, sequence_len)
    _export_dataset(workspace, wanted, to, push, sure=yes, as_json=as_json)


def _refuse_dataset_options(target: str, **given: object) -> None:
    """Raise ExportError if an option of data sets is given for another export."""
    from myna.errors import ExportError

    if options := [name.replace("_", "-") for name, value in given.items() if value]:
        raise ExportError(f"--{options[0]} is for data sets, and {target} is not one: leave it out")


def _export_dataset(
    workspace: Workspace,
    wanted: DatasetOptions,
    to: Path | None,
    push: str | None,
    *,
    sure: bool,
    as_json: bool,
) -> None:
    """Export the prepared chats, and upload them if --push is given."""
    from myna.errors import ExportError
    from myna.export import dataset_export

    repository = dataset_export.check_repository(push) if push is not None else None
    if repository and not sure and not sys.stdin.isatty():
        raise ExportError("an upload has to be confirmed, and there is no terminal: add --yes")
    done = dataset_export.run(
        workspace, wanted, dataset_export.export_folder(workspace, wanted.format.name, to), note
    )
    if not as_json:
        print_export(done, console())
    address = _push_if_confirmed(done, repository, sure=sure) if repository else None
    if address:
        dataset_export.record_dataset(workspace, done, address)
    if as_json:
        print_json({**vars(done), "pushed": address})
    elif address:
        note(f"pushed to {address}")


def _export_clone(
    workspace: Workspace,
    target: str,
    to: Path | None,
    adapter: str,
    person: str | None,
    *,
    everyone: bool,
    as_json: bool,
) -> None:
    """Export the clone for a program that runs it."""
    from myna.export import dataset_export
    from myna.export.clone_export import CloneSelection, export_clone

    path = dataset_export.export_folder(workspace, target, to)
    done = export_clone(workspace, target, CloneSelection(adapter, person, everyone), path, note)
    if as_json:
        print_json(vars(done))
        return
    screen = console()
    names = f"'{done.adapter}'" if done.adapter else ", ".join(done.personas)
    screen.print(one_line(f"{done.format} of {names}: {done.folder}"))
    for file in done.files:
        screen.print(one_line(f"  {file}"))
    if done.checked:
        screen.print(f"Checked: {done.checked}")
    note(f"Next: {done.folder}/README.txt says how to run it")


def _push_if_confirmed(done: DatasetExportReport, repository: str, *, sure: bool) -> str | None:
    """Upload an export if the user confirms it; return its address."""
    from myna.export.dataset_export import push

    question = (
        f"Upload {', '.join(done.files)} with {done.exported:,} messages to the private dataset "
        f"{repository} on huggingface.co?"
    )
    if not sure and not typer.confirm(question, err=True):
        note("nothing was uploaded")
        return None
    return push(Path(done.folder), done.files, repository)


def print_export(done: DatasetExportReport, screen: Console) -> None:
    """Print the counts of an export, and what its format cannot hold."""
    from rich.table import Table

    few = len(done.personas) <= MAX_NAMES_IN_TITLE
    names = ", ".join(done.personas) if few else f"{len(done.personas)} personas"
    table = Table(title=f"{done.format} of {names}", title_justify="left")
    table.add_column("what")
    table.add_column("messages", justify="right")
    table.add_row("exported", f"{done.exported:,}")
    table.add_row("  of these trained on", f"{done.answers:,}", end_section=True)
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
    for field in done.lacks:
        screen.print(f"  {field}")
    note(f"Next: {done.folder}/README.txt says how to train with it")
