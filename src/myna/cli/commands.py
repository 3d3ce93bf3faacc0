"""The `myna` program: its commands, the options before them, and its errors."""

from __future__ import annotations

import errno
import logging
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from myna import __version__
from myna.cli import (
    bot,
    channels,
    chat,
    demo,
    doctor,
    evaluate,
    export,
    import_,
    inspect,
    new,
    people,
    prepare,
    serve,
    start,
    status,
    train,
)
from myna.cli._terminal import find_workspace, note, start_clock
from myna.errors import MynaError

app = typer.Typer(
    name="myna",
    help="Turn chat history into a language model that talks like the people in it.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(start.NAME)(start.command)
app.command(new.NAME)(new.command)
app.command(import_.NAME)(import_.command)
app.add_typer(people.app, name=people.NAME)
app.add_typer(bot.app, name=bot.NAME)
for module in (
    channels,
    prepare,
    inspect,
    train,
    evaluate,
    export,
    chat,
    serve,
    status,
    demo,
    doctor,
):
    app.command(module.NAME)(module.command)


MAX_ERROR_CHARS = 2_000
"""Characters of an error that are shown: it may quote what was given."""

GREETING = """\
myna makes a language model that talks like the people in your chats, on this machine.
  myna start        asks four questions, and does all of it
  myna new friends  makes a workspace, to go step by step: it says what comes next
  myna demo         shows it on the crew of Apollo 11, in some eight minutes
  myna --help       lists the commands; myna COMMAND --help explains one"""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"myna {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def options(
    ctx: typer.Context,
    folder: Annotated[
        Path, typer.Option("-C", "--folder", help="Use the workspace in this folder.")
    ] = Path(),
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take the options that come before the command; without one, say what to do."""
    ctx.obj = folder
    if ctx.invoked_subcommand is None:
        _greet(ctx)


def _greet(ctx: typer.Context) -> None:
    """Print the state of the workspace here; outside of one, what to type."""
    from myna.errors import WorkspaceError

    try:
        find_workspace(ctx)
    except WorkspaceError:
        typer.echo(GREETING)
    else:
        status.command(ctx)


def main() -> None:
    """Run the command line; an error of myna's is one line on standard error."""
    start_clock()
    # It tells about kernels of its own that nobody here has asked for.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    os.umask(0o077)  # whatever it writes is for its user alone
    try:
        app()
    except MynaError as error:
        _fail(error, str(error), error.exit_status)
    except BrokenPipeError:
        sys.exit(1)  # whatever read our output has ended
    except KeyboardInterrupt as error:
        _fail(error, "stopped", 130)
    except OSError as error:
        _fail(error, _system_error(error), 1)
    except Exception as error:
        if not type(error).__module__.startswith("polars.") or not (table := _damaged_table()):
            raise
        remedy = "run `myna prepare`"
        if table.parent.name != "prepared":
            remedy = f"delete the folder {table.parent.name} around it, and import that chat again"
        _fail(error, f"{table} is damaged: {remedy}", 1)


def _damaged_table() -> Path | None:
    """The first table of the workspace that cannot be opened; None if there is none."""
    import polars as pl

    from myna.workspace import find

    folder = next((b for a, b in pairwise(sys.argv) if a in ("-C", "--folder")), ".")
    for table in sorted(find(Path(folder)).root.rglob("*.parquet")):
        try:
            pl.read_parquet_schema(table)
        except pl.exceptions.PolarsError:
            return table
    return None


def _system_error(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f" at {error.filename}" if error.filename else ""
        return f"the disk is full{place}: free some space and run the command again"
    return f"{error.filename or 'the system'}: {error.strerror or error}"


def _fail(error: BaseException, line: str, exit_status: int) -> None:
    if "--debug" in sys.argv:
        raise error
    line = " ".join(line.split())
    note(f"myna: {line if len(line) <= MAX_ERROR_CHARS else line[:MAX_ERROR_CHARS] + '…'}")
    sys.exit(exit_status)
