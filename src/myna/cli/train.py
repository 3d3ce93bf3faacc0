"""`myna train`: train an adapter, with a progress bar."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._progress import working
from myna.cli._terminal import (
    Adapter,
    Json,
    Set,
    console,
    keep_choices,
    note,
    open_workspace,
    print_json,
    progress_bar,
    typed_at,
)
from myna.cli._training_bar import TrainingBar, is_main_process, print_once

if TYPE_CHECKING:
    from myna.config import Settings
    from myna.workspace import Workspace

NAME = "train"
CANARY_ADAPTER = "canaries"
"""The adapter of --canaries, unless another is named."""


def command(
    ctx: typer.Context,
    budget: Annotated[
        str | None,
        typer.Option(help='Time from this command to the adapter, such as "4m" or "2h".'),
    ] = None,
    adapter: Adapter = DEFAULT_ADAPTER,
    assignments: Set = None,
    force: Annotated[bool, typer.Option("--force", help="Train even if nothing changed.")] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Train again without somebody who may not be cloned any more; repeatable.",
        ),
    ] = None,
    continue_training: Annotated[
        bool,
        typer.Option("--continue", help="Continue training the existing adapter, on new samples."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure and print the plan, and exit.")
    ] = False,
    canaries: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Insert N random secrets into a throwaway adapter, to measure what leaks.",
        ),
    ] = 0,
    write_config: Annotated[
        str | None, typer.Option(metavar="fsdp", help="Write a config for accelerate, and exit.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train the adapter, or resume from the last checkpoint.

    Choices made by options are written into myna.toml, but for a budget, and for other adapters.
    """
    from myna import stages

    budget_setting = [f"train.budget={budget}"] if budget else []
    workspace, settings = open_workspace(ctx, [*(assignments or []), *budget_setting])
    if write_config is not None:
        _write_config(workspace, settings, write_config)
        return
    _check_options_of_samples(workspace, settings, assignments or [])
    if canaries and adapter == DEFAULT_ADAPTER:
        adapter = CANARY_ADAPTER
    if adapter == DEFAULT_ADAPTER and not dry_run and is_main_process():
        # Another adapter keeps its own settings: it is there to try some.
        keep_choices(
            workspace, settings, leave={f"train.{name}" for name in stages.RUNTIME_SETTINGS}
        )
    left_out: list[str] = []
    if without:
        left_out = _leave_out(workspace, settings, adapter, without)
        force, continue_training = True, False
    options = {"force": force, "continue_training": continue_training, "dry_run": dry_run}
    done = train_if_stale(
        workspace, settings, adapter, canaries=canaries, started=typed_at(), **options
    )
    if not is_main_process():
        return
    if left_out and not dry_run:
        _remove_adapters(workspace, adapter, left_out)
    if as_json:
        print_json(done)
    elif dry_run:
        note("nothing was trained (--dry-run)")
    elif canaries:
        note(f"throwaway adapter '{adapter}'. Next: myna evaluate --adapter {adapter}")
    else:
        note(
            f"adapter '{adapter}': {done['tokens']:,} tokens in {done['steps']:,} steps "
            f"({done['epochs']:.2g} epochs: {done['reason']}). Next: myna evaluate, myna chat"
        )
        if done["shortfall"]:
            note(f"adapter '{adapter}' has {done['shortfall']}")


def _check_options_of_samples(
    workspace: Workspace, settings: Settings, assignments: list[str]
) -> None:
    """Check that --set changes nothing that the samples were made with.

    Raises:
        WorkspaceError: it does: `myna prepare` has to be told, too.
    """
    from myna import stages
    from myna.errors import WorkspaceError

    if not assignments or not (workspace.prepared / "samples.parquet").exists():
        return
    reasons = stages.stale_samples(workspace, settings)
    if reasons and not stages.stale_samples(workspace, workspace.settings()):
        flags = " ".join(f"--set {shlex.quote(a)}" for a in assignments if a[:6] != "train.")
        raise WorkspaceError(
            f"the samples were made with other settings ({reasons[0]}): run `myna prepare {flags}`"
        )


def _leave_out(
    workspace: Workspace, settings: Settings, name: str, without: list[str]
) -> list[str]:
    """Prepare the samples without these people; return the adapters that are then replaced.

    Raises:
        PeopleError: the adapter has not learned from one of them, or they may still be cloned.
    """
    from myna import people
    from myna.artifacts import AdapterInfo
    from myna.cli.prepare import prepare_if_stale
    from myna.errors import PeopleError
    from myna.people.consent_checker import ConsentChecker, how_long

    info = AdapterInfo.load(workspace, name)
    trained = info.trained(name)
    consents = ConsentChecker(workspace, trained, "owner")
    for person in (people.match_name(who, info.personas) for who in without):
        if person in consents.allowed():
            raise PeopleError(
                f'{person} may still be cloned: type `myna people deny "{person}"` first, or '
                f'`myna people context "{person}"`'
            )
    print_once(f"training '{name}' again without {', '.join(without)}: {how_long(trained)}")
    prepare_if_stale(workspace, settings)
    for started in (name, *info.adapters.values()):  # its checkpoints may have learned from them
        shutil.rmtree(workspace.training(started), ignore_errors=True)
    return list(info.adapters.values())


def _remove_adapters(workspace: Workspace, name: str, before: list[str]) -> None:
    """Remove the adapters of people who had one of their own and are left out now."""
    from myna.artifacts import AdapterInfo

    for own in set(before).difference(AdapterInfo.load(workspace, name).adapters.values()):
        shutil.rmtree(workspace.adapter(own), ignore_errors=True)
        shutil.rmtree(workspace.training(own), ignore_errors=True)
        print_once(f"removed adapter '{own}'")


def train_if_stale(
    workspace: Workspace,
    settings: Settings,
    name: str,
    *,
    force: bool = False,
    continue_training: bool = False,
    dry_run: bool = False,
    canaries: int = 0,
    started: float | None = None,
) -> dict[str, Any]:
    """Keep the adapter if it is current, else train it; return how it was trained.

    `started` is the time (`time.monotonic`) from which the budget counts; None: now.
    """
    from myna import leftovers, stages
    from myna.artifacts import AdapterInfo
    from myna.errors import TrainingError
    from myna.workspace import read_manifest, stale_reasons

    manifest = read_manifest(workspace.adapter(name))
    unfinished = (workspace.training(name) / "checkpoints").exists()
    if manifest and not (force or continue_training or dry_run or unfinished):
        wanted = stages.train_settings(settings) | ({"canaries": canaries} if canaries else {})
        reasons = stale_reasons(manifest, stages.train_inputs(workspace), wanted)
        if not reasons:
            print_once(f"adapter '{name}' is trained already (--force trains it again)")
            training = AdapterInfo.load(workspace, name).training
            told = {"loss": training.loss, "shortfall": training.shortfall}
            return {"adapter": name, "trained": False, **asdict(training.plan), **told}
        print_once(f"training again: {'; '.join(reasons)}")
    started = time.monotonic() if started is None else started
    options: dict[str, Any] = {
        "dry_run": dry_run,
        "continue_training": continue_training,
        "started": started,
    }
    if not is_main_process():
        return _train(workspace, settings, name, canaries=canaries, **options)
    with leftovers.locked(workspace.training_lock(name)) as is_free:
        if not is_free:
            raise TrainingError(
                f"adapter '{name}' is being trained by another process: wait for its end, or "
                "stop it with Ctrl-C where it runs"
            )
        workspace.training_lock(name).write_text(str(os.getpid()), "ascii")
        return _train(workspace, settings, name, canaries=canaries, **options)


def _train(
    workspace: Workspace,
    settings: Settings,
    name: str,
    *,
    canaries: int,
    dry_run: bool,
    continue_training: bool,
    started: float,
) -> dict[str, Any]:
    _print_recipe(settings)
    loading = working("loading PyTorch") if is_main_process() else nullcontext()
    with loading, requiring_extra():
        from myna.training import run
        from myna.training.data import Variation
        from myna.training.progress import TrainingCallbacks
    with progress_bar(*TrainingBar.columns(), width=10) as progress:
        steps = TrainingBar(progress)
        callbacks = TrainingCallbacks(
            print_once, steps.step, _preview_printer(workspace, settings), steps.estimate
        )
        try:
            done = run.run(
                workspace,
                settings,
                name,
                callbacks,
                dry_run=dry_run,
                continue_training=continue_training,
                variation=Variation(canaries),
                started=started,
            )
        finally:
            steps.close()
    estimates = steps.estimates
    return {
        "adapter": name,
        "trained": not dry_run,
        **asdict(done.plan),
        "loss": done.loss,
        "shortfall": done.shortfall,
        "estimate": asdict(estimates[0]) if len(estimates) == 1 else {},
    }


@contextmanager
def requiring_extra() -> Iterator[None]:
    """Turn a failed import of training into an error that says what to install.

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


def _print_recipe(settings: Settings) -> None:
    """Print the recipe's settings with their reasons, and those that are overridden."""
    from myna.config.recipe_defaults import RECIPES

    print_once(f'recipe "{settings.recipe}":')
    for name, choice in RECIPES[settings.recipe].items():
        section, _, key = name.rpartition(".")
        value = getattr(getattr(settings, section) if section else settings, key)
        overridden = f"set here; the recipe has {_formatted(choice.value)}"
        reason = choice.reason if value == choice.value else overridden
        print_once(f"  {name} = {_formatted(value)}: {reason}")


def _formatted(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _write_config(workspace: Workspace, settings: Settings, kind: str) -> None:
    """Write a config for `accelerate launch` into the workspace."""
    from myna.workspace import write_text

    with requiring_extra():
        from myna.training.distributed import accelerate_config

    text = accelerate_config(kind, settings.train)
    path: Path = workspace.root / f"{kind}.yaml"
    write_text(path, text)
    note(f"wrote {path}. Set its num_processes to the number of GPUs, then run")
    note(f"  accelerate launch --config_file {path.name} -m myna train")


def _preview_printer(workspace: Workspace, settings: Settings) -> Any:
    """A callback that prints what personas answer to a situation of the validation split."""
    from myna.training.run import preview_replies

    screen = console(err=True)

    def print_previews(model: Any, step: int) -> list[tuple[str, str, str]]:
        previews = list(preview_replies(workspace, settings, model, step))
        for asked, person, text in previews:
            screen.print(f"  {asked}", style="dim")
            screen.print(f"  {person}: {text}", style="italic")
        return previews

    return print_previews
