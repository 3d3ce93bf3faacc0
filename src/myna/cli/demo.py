"""`myna demo`: clone the crew of Apollo 11, end to end."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli import evaluate, prepare, train
from myna.cli._progress import working
from myna.cli._terminal import Json, console, note, person_colours, print_json

if TYPE_CHECKING:
    from myna.persona.scenes import Scene
    from myna.workspace import Workspace

NAME = "demo"

CONTEXT_TURNS = 4
"""Turns of the real conversation that the clones go on from."""

CLONE_TURNS = 6
ITEMS, ROOMS = 40, 4
"""Replies and rooms that the demo is measured by: a third of what `myna evaluate` takes."""


def command(
    folder: Annotated[Path, typer.Argument(help="The workspace to create.")] = Path("apollo-11"),
    budget: Annotated[str, typer.Option(help="Longest time to train.")] = "4m",
    as_json: Json = False,
) -> None:
    """Clone the crew of Apollo 11 and let them talk."""
    from myna import apollo11, config
    from myna.workspace import Workspace, create, find

    workspace = Workspace(folder.resolve())
    if not workspace.settings_file.exists():
        note("1. Create a workspace")
        create(folder, config.Settings(train=config.Train(budget=budget)))
    workspace = find(folder)
    settings = config.override(workspace.settings(), [f"train.budget={budget}"])
    note("2. Download and import the chat: Apollo 11's air-to-ground transcript")
    apollo11.import_transcript(workspace, note)
    note("3. Prepare samples; the ledger says what became of every message")
    prepare.prepare_if_stale(workspace, settings)
    ledger = prepare.read_ledger(workspace)
    if not as_json:
        prepare.print_ledger(ledger, console())
    note(f"4. Train for at most {budget}")
    trained = train.train_if_stale(workspace, settings, DEFAULT_ADAPTER)
    note("5. Evaluate: likelihood, voice and rooms, on chats that the clone has never seen")
    report = evaluate.evaluate_if_stale(workspace, DEFAULT_ADAPTER, items=ITEMS, rooms=ROOMS)
    if not as_json:
        evaluate.print_report(report)
    note("6. Talk: a scene from the test split, which the clone has never seen")
    conversation = talk(workspace, quiet=as_json)
    if as_json:
        print_json(
            {"ledger": ledger.to_json(), "train": trained, "evaluate": report, "talk": conversation}
        )
    note("")
    for line in closing_lines(report, folder, budget):
        note(line)


def closing_lines(report: dict[str, Any], folder: Path, budget: str) -> list[str]:
    """The clones' quality, what would make them better, and what to type, a line each."""
    from myna.evaluation.report import measures_of

    measures = {measure.name: measure for measure in measures_of(report)}
    change, good = measures["bits_change"].clone.value, []
    if (said := measures.get("who_said_it")) and not isnan(said.clone.value):
        good.append(
            f"recognised as themselves {said.clone.value:.2f} of the way from chance (0) to the "
            "real people (1)"
        )
    if (repeats := measures.get("repeats")) and repeats.ceiling:
        good.append(
            f"{repeats.clone.value:.0%} of lines in rooms repeat what was just said "
            f"(real: {repeats.ceiling.value:.0%})"
        )
    return [
        f"How good: {'; '.join(good) or f'{change:+.1%} bits per character'}. More: "
        f"{folder / 'reports' / f'{DEFAULT_ADAPTER}.html'}",
        f"Better: more minutes than {budget}: cd {folder} && myna train --force --budget 30m; or a "
        "larger base: `myna doctor` says which this machine can train",
        f"Talk to them yourself: cd {folder} && myna chat",
    ]


def talk(workspace: Workspace, *, quiet: bool) -> dict[str, Any]:
    """Let the clones continue a scene of the test split, and print it beside the real one."""
    from myna import people
    from myna.persona.clone import open_clone

    settings = workspace.settings()
    with working("loading the clone"):
        clone = open_clone(
            workspace, DEFAULT_ADAPTER, settings, scope="group", seed=11, report=note
        )
    scene = _scene(workspace, clone.personas)
    builder = scene.prompt_builder(clone.format, clone.tokenizer, clone.prompt_budget(clone.chat))
    colours = person_colours(clone.personas)
    screen = console()

    def print_line(person: str, text: str, end: str = "\n", mark: str = "") -> None:
        if not quiet:
            screen.print(f"{person}{mark}: ", style=f"bold {colours.get(person, 'white')}", end="")
            screen.print(text, end=end)

    if not quiet:
        screen.print("What was said:", style="dim")
    for line in scene.before:
        print_line(line.person, line.text)
    if not quiet:
        screen.print("What the clones say next:", style="dim")
    crew = [p for p in builder.members if p in clone.personas]
    for _ in range(CLONE_TURNS):
        person = clone.next_speaker(builder, crew)
        print_line(person, "", end="", mark=people.CLONE_MARK)
        turn = clone.speak(builder, person)
        for piece in turn:
            if not quiet:
                screen.print(piece, end="")
        builder.add(person, turn.text)
        if not quiet:
            screen.print()
    if not quiet:
        screen.print("What was really said next:", style="dim")
    for line in scene.after:
        print_line(line.person, line.text)
    clone.close()
    plain = [
        [vars(line) for line in lines] for lines in (scene.before, builder.messages, scene.after)
    ]
    return {"said": plain[0], "clones": plain[1][len(scene.before) :], "really": plain[2]}


def _scene(workspace: Workspace, personas: list[str]) -> Scene:
    import polars as pl

    from myna.persona.scenes import find_scenes

    messages = pl.read_parquet(workspace.prepared / "messages.parquet")
    return find_scenes(
        messages.filter(pl.col("split") == "test"), personas, turns=CONTEXT_TURNS, after=CLONE_TURNS
    )[0]
