"""The examples: valid, and of commands that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import nbformat
import pytest
import typer

from myna.cli import app

EXAMPLES = Path(__file__).parents[1] / "examples"
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def lines(path: Path) -> list[str]:
    if path.suffix == ".ipynb":
        notebook = nbformat.read(path, as_version=4)
        code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        return [line.lstrip("!") for source in code for line in source.splitlines()]
    return [line.strip() for line in path.read_text("utf-8").splitlines()]


def commands(path: Path) -> list[list[str]]:
    """Every `myna …` that an example types, in words."""
    found = []
    for line in lines(path):
        for part in re.split(r"&&|\||<|>|#", line):
            words = shlex.split(part) if part.strip().startswith(("myna ", "nohup myna ")) else []
            found += [words[words.index("myna") + 1 :]] if words else []
    return found


def test_the_notebook_is_valid_and_holds_no_output() -> None:
    notebook = nbformat.read(EXAMPLES / "colab.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.parametrize("name", ["colab.ipynb", "rented-gpu.md"])
def test_the_commands_of_an_example_are_there(name: str) -> None:
    typed = commands(EXAMPLES / name)
    assert {"new", "import", "prepare", "train"} <= {words[0] for words in typed}
    for words in typed:
        command = COMMANDS[words[0]]
        if len(words) > 1 and words[1] in getattr(command, "commands", ()):
            command = command.commands[words[1]]
        known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= known, words
