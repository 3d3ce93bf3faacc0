"""Every piece of advice: the command exists, works, and leads on."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path

import pytest
import typer.main
from tests.chats import walks
from tests.cli.conftest import run
from tests.training.cases import make_base

from myna.cli import app
from myna.config import load

SOURCES = Path(__file__).parents[2] / "src" / "myna"
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
QUICK = ["--set", "train.num_train_epochs=0.2", "--set", "train.validations=0"]
FILLED = {"PATH": "../walks.jsonl", '"YOUR NAME"': "Ana", "NAME": "Ana"}


def advice_in(text: str) -> list[str]:
    """The commands that a message tells to type, without `myna`."""
    quoted = re.findall(r"`(?:cd \S+ && )?myna ([^`]+)`", text)
    said = re.findall(r"(?:Next|next): (?:cd \S+ && )?myna ([^,;\n]+)", text)
    return [command.split(" && ")[0].strip() for command in quoted + said]


def told(path: Path) -> list[str]:
    """The texts of a module that are printed: neither docstrings nor names."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    inner = {id(part) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for part in n.values}
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else "NAME" for p in node.values)
            texts.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and id(node) not in docstrings | inner:
            texts += [node.value] if isinstance(node.value, str) else []
    return texts


def problem(command: str) -> str:
    """The reason why a command cannot be typed; "" if it can."""
    words = [word.rstrip(".,;:") for word in command.split()]
    if not words or not re.fullmatch("[a-z]+", words[0]):
        return ""  # no command, as in "myna with"
    known = COMMANDS.get(words.pop(0))
    if known is None:
        return "no such command"
    while words and words[0] in getattr(known, "commands", {}):
        known = known.commands[words.pop(0)]
    options = {name for parameter in known.params for name in parameter.opts}
    return ", ".join(w for w in words if re.fullmatch("--[a-z-]+", w) and w not in options)


def test_each_piece_names_commands_and_options_that_exist() -> None:
    found = [
        (path.name, command)
        for path in sorted(SOURCES.rglob("*.py"))
        for text in told(path)
        for command in advice_in(text)
    ]
    assert len(found) > 50
    assert [(*where, why) for where in found if (why := problem(where[1]))] == []


def filled(command: str) -> list[str]:
    for placeholder, value in FILLED.items():
        command = re.sub(rf"(?<![\w-]){placeholder}(?![\w-])", value, command)
    return shlex.split(command)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("advice") / "tiny")


@pytest.fixture(scope="module")
def road(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A workspace made by doing as `status` says, with options at each step; what was typed."""
    folder = tmp_path_factory.mktemp("road")
    export = folder / "walks.jsonl"
    export.write_text("".join(json.dumps(m) + "\n" for m in walks(120, ("Ana", "Ben"))), "utf-8")
    [new] = [c for c in advice_in(run(folder, ["status"]).err) if c.startswith("new")]
    assert run(folder, [*filled(new), "--base", str(base)]).status == 0
    friends, typed = folder / "Ana", []
    options = {
        "prepare": [
            "--since", "2024-05-01", "--channel", "walks", "--set", "samples.max_length=128",
        ],
        "train": QUICK,
        "evaluate": ["--items", "10", "--rooms", "0"],
    }  # fmt: skip
    while (command := run(friends, ["status", "--json"]).json()["next"]) != "myna chat":
        words = filled(command.removeprefix("myna "))
        assert words[0] not in typed, f"{command} leads in a circle"
        typed.append(words[0])
        done = run(friends, [*words, *options.get(words[0], [])])
        assert done.status == 0, (command, done.err)
    return friends, typed


def test_status_leads_to_a_chat_whatever_is_chosen_by_options(road: tuple[Path, list[str]]) -> None:
    friends, typed = road
    assert typed == ["import", "people", "prepare", "train", "evaluate"]
    settings = load(friends / "myna.toml")
    assert (settings.filter.channels, settings.filter.since) == (["walks"], "2024-05-01")
    assert (settings.samples.max_length, settings.train.num_train_epochs) == (128, 0.2)
    again = run(friends, ["prepare", "--channel", "walks", "--since", "2024-05-01"])
    assert "nothing has changed since the last time" in again.err
    assert "is trained already" in run(friends, ["train"]).err


def test_what_was_chosen_is_told_in_one_line(road: tuple[Path, list[str]]) -> None:
    done = run(road[0], ["prepare", "--until", "2024-06-01"])
    assert 'kept in myna.toml: filter.until = "2024-06-01"' in done.err.splitlines()
    assert run(road[0], ["prepare", "--set", "filter.until="]).status == 0


def test_options_of_samples_that_train_gets_are_handed_to_prepare(
    road: tuple[Path, list[str]],
) -> None:
    wanted = ["train", "--set", "samples.max_length=96", "--adapter", "short", *QUICK]
    refused = run(road[0], wanted)
    assert refused.status == 1
    [command] = advice_in(refused.err)
    assert command == "prepare --set samples.max_length=96"
    assert run(road[0], filled(command)).status == 0
    assert run(road[0], wanted).status == 0
    assert run(road[0], ["status", "--adapter", "short", "--json"]).json()["stages"][2][
        "state"
    ] == ("done")
