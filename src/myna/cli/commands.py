"""The `myna` program: its commands, the options before them, and its errors."""

from __future__ import annotations

import os
import sys
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
    status,
    train,
)
from myna.cli._terminal import note, start_clock
from myna.errors import MynaError

app = typer.Typer(
    name="myna",
    help="Turn chat history into a language model that talks like the people in it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
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


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"myna {__version__}")
        raise typer.Exit


@app.callback()
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
    """Take the options that come before the command."""
    ctx.obj = folder


def main() -> None:
    """Run the command line; an error of myna's is one line on standard error."""
    start_clock()
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
        _fail(error, f"{error.filename or 'the system'}: {error.strerror or error}", 1)


def _fail(error: BaseException, line: str, exit_status: int) -> None:
    if "--debug" in sys.argv:
        raise error
    note(f"myna: {' '.join(line.split())}")
    sys.exit(exit_status)
