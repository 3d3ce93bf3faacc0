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
    from collections.abc import Collection

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


def next_line(workspace: Workspace) -> str:
    """The line that names the next command, as `myna status` does."""
    from myna import stages

    return f"Next: {stages.next_command(stages.status(workspace))}"


def keep_choices(workspace: Workspace, settings: Settings, *, leave: Collection[str] = ()) -> None:
    """Write settings that options have changed into myna.toml: the next commands use them, too.

    Args:
        workspace: with the file.
        settings: with those of the options.
        leave: names of settings that are for this one time.
    """
    from myna.config import changes, with_choices
    from myna.workspace import explain_disk_errors, write_text

    changed = changes(workspace.settings(), settings)
    chosen = {name: value for name, value in changed.items() if name not in leave}
    if not chosen:
        return
    path = workspace.settings_file
    with explain_disk_errors(path):
        write_text(path, with_choices(path.read_text("utf-8-sig"), chosen))
    told = ", ".join(f"{n} = {json.dumps(v, ensure_ascii=False)}" for n, v in chosen.items())
    note(f"kept in {path.name}: {told}")


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


_bars: list[Progress] = []
"""Progress bars on the terminal: what is printed meanwhile stands above them."""


def note(line: str) -> None:
    """Print a line on standard error."""
    if _bars:
        from rich.text import Text

        _bars[-1].console.print(Text(one_line(line)))
    else:
        typer.echo(one_line(line), err=True)


def note_lines(text: str) -> None:
    """Print a text of myna's own, of several lines, on standard error."""
    for line in text.splitlines():
        note(line)


def ask_line(question: str) -> str | None:
    """The line that is typed as the answer to a question; None at the end of the input.

    Without a terminal the answer is read all the same, and shown behind the question.
    """
    sys.stderr.write(f"{one_line(question)} ")
    sys.stderr.flush()
    try:
        line = input()
    except EOFError:
        note("")
        return None
    if not sys.stdin.isatty():
        note(line)
    return line.strip()


def is_yes(answer: str | None, *, default: bool = False) -> bool:
    """True for a yes as people type it; `default` for an empty answer."""
    if not answer:
        return default
    return answer.casefold() in ("y", "yes", "j", "ja", "si", "sí", "oui", "o", "ok", "sure")


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


def progress_bar(*columns: Any, transient: bool = False, width: int = 20) -> Progress:
    """A progress bar on standard error; draws nothing without a terminal.

    A transient one is gone when it is done.
    """
    from rich.progress import BarColumn, Progress, TextColumn

    class Bar(Progress):
        """A bar that lines are printed above."""

        def start(self) -> None:
            """See rich."""
            super().start()
            if not self.disable:
                _bars.append(self)

        def stop(self) -> None:
            """See rich."""
            if self in _bars:
                _bars.remove(self)
            super().stop()

    screen = console(err=True)
    return Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=width),
        *columns,
        console=screen,
        transient=transient,
        disable=not screen.is_terminal,
    )


def person_colours(people: list[str]) -> dict[str, str]:
    """A colour for each person."""
    return {person: COLOURS[i % len(COLOURS)] for i, person in enumerate(people)}
