"""`myna train`: an adapter, with a progress bar."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.cli._terminal import Json, Name, Set, bar, console, emit, here, say

if TYPE_CHECKING:
    from myna.config import Settings
    from myna.workspace import Workspace

NAME = "train"


def command(
    ctx: typer.Context,
    budget: Annotated[
        str | None, typer.Option(help='Time to train for at most, such as "4m" or "2h".')
    ] = None,
    name: Name = "group",
    set_: Set = None,
    again: Annotated[bool, typer.Option("--again", help="Even if the adapter is there.")] = False,
    json_: Json = False,
) -> None:
    """Train the LoRA adapter, or go on where training stopped."""
    from myna import config

    space = here(ctx)
    assignments = [*(set_ or []), *([f"train.budget={budget}"] if budget else [])]
    done = ready(space, config.override(space.settings(), assignments), name, again=again)
    if json_:
        emit(done)
    else:
        say(
            f"adapter '{name}': {done['tokens']:,} tokens in {done['steps']:,} steps "
            f"({done['epochs']:.2g} epochs: {done['reason']}). Next: myna evaluate, myna chat"
        )


def ready(
    space: Workspace, settings: Settings, name: str, *, again: bool = False
) -> dict[str, Any]:
    """Have an adapter that holds: that of before, or a new one; what its training was."""
    from myna import stages, workspace

    manifest = workspace.read_manifest(space.adapter(name))
    unfinished = (space.training(name) / "checkpoints").exists()
    if manifest and not again and not unfinished:
        reasons = workspace.stale(
            manifest, stages.train_inputs(space), stages.train_settings(settings)
        )
        if not reasons:
            say(f"adapter '{name}' is trained already (--again trains it anew)")
            return {"adapter": name, "trained": False, **manifest["counts"]}
        say(f"training anew: {'; '.join(reasons)}")
    return _train(space, settings, name)


def _train(space: Workspace, settings: Settings, name: str) -> dict[str, Any]:
    from rich.progress import TextColumn

    from myna.errors import ModelError

    say("loading torch")
    try:
        from myna.training import loop
        from myna.training import run as stage
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{error.name} is not installed, and training needs it: pip install 'myna[train]'"
        ) from error
    numbers = TextColumn(
        "step {task.completed}/{task.total}  loss {task.fields[loss]}  "
        "{task.fields[speed]:.0f} tokens/s  {task.fields[left]} left"
    )
    with bar(numbers) as progress:
        task = progress.add_task("training", total=None, loss="…", speed=0.0, left="…", start=False)
        losses: list[float] = []

        def stepped(now: loop.Progress) -> None:
            losses.append(now.loss)
            recent = sum(losses[-10:]) / len(losses[-10:])
            left = f"{now.seconds_left // 60:.0f}:{now.seconds_left % 60:02.0f}"
            progress.update(
                task,
                total=now.steps,
                completed=now.step,
                loss=f"{recent:.3f}",
                speed=now.tokens_per_second,
                left=left,
            )
            if progress.disable and (now.step % 10 == 0 or now.step == now.steps):
                say(
                    f"step {now.step}/{now.steps}  loss {recent:.3f}  "
                    f"{now.tokens_per_second:.0f} tokens/s  {left} left"
                )
            if now.tune_loss is not None:
                say(f"step {now.step}: tune loss {now.tune_loss:.3f}")

        watch = loop.Watch(say, stepped, _previewer(space, settings))
        done = stage.run(space, settings, name, watch)
    return {"adapter": name, "trained": True, **asdict(done.plan), "loss": done.loss}


def _previewer(space: Workspace, settings: Settings) -> Any:
    """Shows what personas answer to a moment of the tune split, as training goes on."""
    from myna.training.previews import preview

    screen = console(err=True)

    def show(model: Any, step: int) -> None:
        for asked, person, text in preview(space, settings, model, step):
            screen.print(f"  {asked}", style="dim")
            screen.print(f"  {person}: {text}", style="italic")

    return show
