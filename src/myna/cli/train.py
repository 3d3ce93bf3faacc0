"""`myna train`: an adapter, with a progress bar."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._terminal import Adapter, Json, Set, bar, console, emit, here, say

if TYPE_CHECKING:
    import rich.progress

    from myna.config import Settings
    from myna.training.plan import TrainingEstimate
    from myna.training.progress import StepMetrics
    from myna.workspace import Workspace

NAME = "train"


def command(
    ctx: typer.Context,
    budget: Annotated[
        str | None, typer.Option(help='Time to train for at most, such as "4m" or "2h".')
    ] = None,
    adapter: Adapter = DEFAULT_ADAPTER,
    set_: Set = None,
    again: Annotated[bool, typer.Option("--force", help="Even if the adapter is there.")] = False,
    continue_training: Annotated[
        bool,
        typer.Option("--continue", help="Begin as the adapter is; learn from new samples."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure and show the plan, and stop there.")
    ] = False,
    write_config: Annotated[
        str | None,
        typer.Option(metavar="fsdp", help="Write a config for accelerate, and stop there."),
    ] = None,
    json_: Json = False,
) -> None:
    """Train the LoRA adapter, or go on where training stopped."""
    from myna import config

    space = here(ctx)
    assignments = [*(set_ or []), *([f"train.budget={budget}"] if budget else [])]
    settings = config.override(space.settings(), assignments)
    if write_config is not None:
        _write_config(space, settings, write_config)
        return
    done = ready(
        space, settings, adapter, again=again, continue_training=continue_training, dry_run=dry_run
    )
    if not _main():
        return
    if json_:
        emit(done)
    elif dry_run:
        say("nothing was trained (--dry-run)")
    else:
        say(
            f"adapter '{adapter}': {done['tokens']:,} tokens in {done['steps']:,} steps "
            f"({done['epochs']:.2g} epochs: {done['reason']}). Next: myna evaluate, myna chat"
        )


def _main() -> bool:
    """Whether this is the only process of a run, or its first: the one that talks."""
    return os.environ.get("RANK", "0") == "0"


def ready(
    space: Workspace,
    settings: Settings,
    name: str,
    *,
    again: bool = False,
    continue_training: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Have an adapter that holds: that of before, or a new one; what its training was."""
    from myna import stages, workspace
    from myna.artifacts import AdapterInfo

    manifest = workspace.read_manifest(space.adapter(name))
    unfinished = (space.training(name) / "checkpoints").exists()
    if manifest and not (again or continue_training or dry_run or unfinished):
        reasons = workspace.stale_reasons(
            manifest, stages.train_inputs(space), stages.train_settings(settings)
        )
        if not reasons:
            _say(f"adapter '{name}' is trained already (--force trains it anew)")
            plan = AdapterInfo.load(space, name).training.plan
            return {"adapter": name, "trained": False, **asdict(plan)}
        _say(f"training anew: {'; '.join(reasons)}")
    return _train(space, settings, name, dry_run=dry_run, continue_training=continue_training)


def _say(line: str) -> None:
    if _main():
        say(line)


def _train(
    space: Workspace, settings: Settings, name: str, *, dry_run: bool, continue_training: bool
) -> dict[str, Any]:
    _tell_recipe(settings)
    _say("loading torch")
    with needing_training():
        from myna.training import run as stage
        from myna.training.progress import TrainingCallbacks
    with bar(*_Steps.columns()) as progress:
        steps = _Steps(progress)
        callbacks = TrainingCallbacks(_say, steps.step, _previewer(space, settings), steps.estimate)
        done = stage.run(
            space, settings, name, callbacks, dry_run=dry_run, continue_training=continue_training
        )
    estimates = steps.estimates
    return {
        "adapter": name,
        "trained": not dry_run,
        **asdict(done.plan),
        "loss": done.loss,
        "outlook": asdict(estimates[0]) if len(estimates) == 1 else {},
    }


@contextmanager
def needing_training() -> Iterator[None]:
    """Say what to install where an import of training fails.

    Raises:
        ModelError: in place of ModuleNotFoundError.
    """
    from myna.errors import ModelError

    try:
        yield
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{error.name} is not installed, and training needs it: pip install 'myna[train]'"
        ) from error


class _Steps:
    """A training in a progress bar, or in lines where there is no terminal."""

    def __init__(self, progress: rich.progress.Progress) -> None:
        self._progress = progress
        self._task = progress.add_task(
            "training", total=None, loss="…", validation="–", speed="…", left="…", start=False
        )
        self._losses: list[float] = []
        self.estimates: list[TrainingEstimate] = []
        """One of each adapter."""

    @staticmethod
    def columns() -> list[Any]:
        """The columns of the bar."""
        from rich.progress import TextColumn

        return [
            TextColumn(
                "step {task.completed}/{task.total}  loss {task.fields[loss]}  "
                "validation {task.fields[validation]}  {task.fields[speed]}  "
                "{task.fields[left]} left"
            )
        ]

    def estimate(self, estimate: TrainingEstimate) -> None:
        """Print what is known before the first step."""
        from myna.training.plan import estimate_lines

        self.estimates.append(estimate)
        for line in estimate_lines(estimate):
            _say(f"  {line}")

    def step(self, now: StepMetrics) -> None:
        """Show where the training is."""
        self._losses.append(now.loss)
        recent = sum(self._losses[-10:]) / len(self._losses[-10:])
        left = f"{now.seconds_left // 60:.0f}:{now.seconds_left % 60:02.0f}"
        speed = f"{now.tokens_per_second:.0f} tokens/s ({now.peak_share or 0:.0%} of peak)"
        self._progress.update(
            self._task,
            total=now.steps,
            completed=now.step,
            loss=f"{recent:.3f}",
            speed=speed,
            left=left,
        )
        if self._progress.disable and (now.step % 10 == 0 or now.step == now.steps):
            _say(f"step {now.step}/{now.steps}  loss {recent:.3f}  {speed}  {left} left")
        if now.validation_loss is not None:
            self._progress.update(self._task, validation=f"{now.validation_loss:.3f}")
            _say(f"step {now.step}: validation loss {now.validation_loss:.3f}")


def _tell_recipe(settings: Settings) -> None:
    """The recipe's settings with their reasons, and which are set otherwise here."""
    from myna.config.recipes import RECIPES

    _say(f'recipe "{settings.recipe}":')
    for name, choice in RECIPES[settings.recipe].items():
        section, _, key = name.rpartition(".")
        value = getattr(getattr(settings, section) if section else settings, key)
        same = value == choice.value
        reason = choice.reason if same else f"set here; the recipe has {_shown(choice.value)}"
        _say(f"  {name} = {_shown(value)}: {reason}")


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _write_config(space: Workspace, settings: Settings, kind: str) -> None:
    """Write the accelerate config of a kind into the workspace."""
    from myna.workspace import write_text

    with needing_training():
        from myna.training.distributed import accelerate_config

    text = accelerate_config(kind, settings.train)
    path: Path = space.root / f"{kind}.yaml"
    write_text(path, text)
    say(
        f"{path} is written: set its num_processes to the number of cards, then run\n"
        f"  accelerate launch --config_file {path.name} -m myna train"
    )


def _previewer(space: Workspace, settings: Settings) -> Any:
    """Shows what personas answer to a moment of the validation split, as training goes on."""
    from myna.training.run import preview_replies

    screen = console(err=True)

    def show(model: Any, step: int) -> None:
        for asked, person, text in preview_replies(space, settings, model, step):
            screen.print(f"  {asked}", style="dim")
            screen.print(f"  {person}: {text}", style="italic")

    return show
