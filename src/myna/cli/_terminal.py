"""Options, notes, reports and progress bars that all commands share.

Whatever is printed passes `visible`: names of files, people and channels, texts of chats and
errors of libraries come from outside, and could hold sequences that a terminal obeys.
"""

from __future__ import annotations

import copy
import json
import logging
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from myna.config import Settings
    from myna.workspace import Workspace

Json = Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting; repeatable."),
]
Adapter = Annotated[str, typer.Option("--adapter", metavar="NAME", help="The adapter to use.")]

_typed_at: list[float] = []


def typed_at() -> float:
    """The time (`time.monotonic`) at which the program was started, or now if it is a library."""
    return _typed_at[0] if _typed_at else time.monotonic()


def start_clock() -> None:
    """Take note of the time at which the program was started."""
    _typed_at[:] = [time.monotonic()]


COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "red", "bright_cyan", "bright_yellow")


def find_workspace(ctx: typer.Context) -> Workspace:
    """The workspace of this command: of --folder, or of the current folder."""
    from myna.workspace import find

    return find(Path(ctx.obj or "."))


def open_workspace(ctx: typer.Context, assignments: list[str] | None) -> tuple[Workspace, Settings]:
    """The workspace of this command, and its settings with those of --set."""
    from myna.config import override

    workspace = find_workspace(ctx)
    return workspace, override(workspace.settings(), assignments or [])


_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0, DEL and C1: escape sequences begin with one of them
    "\u202a-\u202e\u2066-\u2069"  # overrides of the writing direction
    "\u2028\u2029\ud800-\udfff]"  # line separators; lone surrogates, which no stream encodes
)


def visible(text: str) -> str:
    """A text in which characters that a terminal obeys are Python's escapes; its lines stay."""
    return _OBEYED.sub(lambda match: ascii(match[0])[1:-1], text)


def one_line(text: str) -> str:
    """A visible text whose newlines are escapes as well, so that it cannot look like two lines."""
    return visible(text).replace("\n", "\\n")


def note(line: str) -> None:
    """Print a line on standard error."""
    typer.echo(one_line(line), err=True)


def note_lines(text: str) -> None:
    """Print a text of myna's own, of several lines, on standard error."""
    for line in text.splitlines():
        note(line)


def print_json(data: Any) -> None:
    """Print a report as JSON on standard output; what a terminal obeys is an escape."""
    text = json.dumps(data, indent=1, ensure_ascii=False, default=str)
    text = _OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def console(*, err: bool = False) -> Console:
    """A rich console that prints markup and emoji codes in chat text as they are."""
    from rich.console import Console

    class VisibleConsole(Console):
        """Prints what a terminal would obey as escapes."""

        def render(self, *args: Any, **options: Any) -> Any:
            """See rich: the segments of anything that is printed."""
            for segment in super().render(*args, **options):
                if segment.control or not _OBEYED.search(segment.text):
                    yield segment
                else:
                    yield segment._replace(text=visible(segment.text))

    return VisibleConsole(stderr=err, markup=False, emoji=False, highlight=False, soft_wrap=True)


class LogFormatter(logging.Formatter):
    """Formats log records so that a message is one visible line, above its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        plain = copy.copy(record)
        plain.msg, plain.args = one_line(record.getMessage()), ()
        return visible(super().format(plain))


def progress_bar(*columns: Any) -> Progress:
    """A progress bar on standard error; draws nothing without a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn

    screen = console(err=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        console=screen,
        transient=False,
        disable=not screen.is_terminal,
    )


def person_colours(people: list[str]) -> dict[str, str]:
    """A colour for each person."""
    return {person: COLOURS[i % len(COLOURS)] for i, person in enumerate(people)}
