"""`myna demo`: clone the crew of Apollo 11, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli import evaluate, prepare, train
from myna.cli._terminal import Json, colour_of, console, emit, say

if TYPE_CHECKING:
    from myna.persona.scenes import Scene
    from myna.workspace import Workspace

NAME = "demo"

SAID, SPOKEN = 4, 6
"""Turns of the real situation that are shown, and turns that the crew then takes."""


def command(
    folder: Annotated[Path, typer.Argument(help="The workspace to make.")] = Path("apollo-11"),
    budget: Annotated[str, typer.Option(help="Time to train for at most.")] = "4m",
    json_: Json = False,
) -> None:
    """Clone the crew of Apollo 11 and let them talk."""
    from myna import apollo11, config, workspace
    from myna.workspace import Workspace

    space = Workspace(folder.resolve())
    if not space.settings_file.exists():
        say("1. A workspace")
        train_ = config.Train(budget=budget)
        workspace.create(folder, config.Settings(train=train_))
    space = workspace.find(folder)
    settings = config.override(space.settings(), [f"train.budget={budget}"])
    say("2. The chat: Apollo 11's air-to-ground transcript")
    apollo11.import_transcript(space, say)
    say("3. Samples, and what became of every message")
    prepare.ready(space, settings)
    ledger = prepare.read_ledger(space)
    if not json_:
        prepare.show(ledger, console())
    say(f"4. Training, for {budget} at most")
    trained = train.ready(space, settings, DEFAULT_ADAPTER)
    say("5. How good is it? Bits per character, base against clone")
    report = evaluate.measured(space, DEFAULT_ADAPTER)
    if not json_:
        evaluate.show(report)
    say("6. A scene that the clone has never seen")
    spoken = talk(space, quiet=json_)
    if json_:
        emit({"ledger": ledger.to_json(), "train": trained, "evaluate": report, "talk": spoken})
    say(f"\nTalk to them yourself: cd {folder} && myna chat")


def talk(space: Workspace, *, quiet: bool) -> dict[str, Any]:
    """Let the crew continue a scene of the test split; show what they really said, too."""
    from myna.persona.clone import open_clone

    clone = open_clone(space, DEFAULT_ADAPTER, space.settings(), seed=11, report=say)
    scene = _scene(space, clone.personas)
    budget = clone.prompt_budget(clone.chat)
    builder = scene.prompt_builder(clone.format, clone.tokenizer, budget)
    colours = colour_of(clone.personas)
    screen = console()

    def show(person: str, text: str, end: str = "\n") -> None:
        if not quiet:
            screen.print(f"{person}: ", style=f"bold {colours.get(person, 'white')}", end="")
            screen.print(text, end=end)

    if not quiet:
        screen.print("What was said:", style="dim")
    for line in scene.before:
        show(line.person, line.text)
    if not quiet:
        screen.print("What the clones say next:", style="dim")
    crew = [p for p in builder.members if p in clone.personas]
    for _ in range(SPOKEN):
        person = clone.next_speaker(builder, crew)
        show(person, "", end="")
        turn = clone.speak(builder, person)
        for words in turn:
            if not quiet:
                screen.print(words, end="")
        builder.add(person, turn.text)
        if not quiet:
            screen.print()
    if not quiet:
        screen.print("What was really said next:", style="dim")
    for line in scene.after:
        show(line.person, line.text)
    clone.close()
    plain = [
        [vars(line) for line in lines] for lines in (scene.before, builder.messages, scene.after)
    ]
    return {"said": plain[0], "clones": plain[1][len(scene.before) :], "really": plain[2]}


def _scene(space: Workspace, personas: list[str]) -> Scene:
    import polars as pl

    from myna.persona.scenes import find_scenes

    messages = pl.read_parquet(space.prepared / "messages.parquet")
    found = find_scenes(
        messages.filter(pl.col("split") == "test"), personas, turns=SAID, after=SPOKEN
    )
    return found[0]
