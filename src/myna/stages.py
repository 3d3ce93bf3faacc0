"""The stages of a workspace: the inputs and settings of each, and if they still hold.

Light on purpose: `myna status` reads manifests, never a table or a model.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

from myna import people as people_
from myna import workspace as workspace_
from myna.artifacts import ADAPTER_FILE, AdapterInfo, PreparedInfo, samples_manifest
from myna.choices import DEFAULT_ADAPTER
from myna.config import Settings
from myna.people.consent_checker import ConsentChecker
from myna.workspace import Workspace, prepare_inputs, prepare_settings

State = Literal["missing", "unfinished", "stale", "done"]

RUNTIME_SETTINGS = {
    "budget",
    "checkpoint_every",
    "previews",
    "micro_batch_tokens",
    "tensorboard",
    "wandb",
}
"""Settings of training that do not change the adapter."""
_NOT_MEASURED = {"slots", "memory", "memory_exchanges", "memory_tokens", "memory_embeddings"}
"""Settings of [chat] that change no figure of a report."""


@dataclass(frozen=True)
class Stage:
    """The state of one stage."""

    name: str
    state: State
    summary: str
    reasons: list[str] = field(default_factory=list)
    command: str = ""
    """The command that brings it up to date; empty if it is."""


def stale_samples(workspace: Workspace, settings: Settings | None = None) -> list[str]:
    """The reasons why the samples are stale; without `settings`, only those in their inputs.

    Raises:
        WorkspaceError: there are no samples.
    """
    manifest = samples_manifest(workspace)
    if settings is None:
        return workspace_.stale_reasons({**manifest, "settings": {}}, prepare_inputs(workspace), {})
    return workspace_.stale_reasons(manifest, prepare_inputs(workspace), prepare_settings(settings))


def train_inputs(workspace: Workspace) -> dict[str, str]:
    """Fingerprint of the samples that training reads; none before `prepare`."""
    if workspace_.read_manifest(workspace.prepared) is None:
        return {}
    return {"prepared samples": PreparedInfo.load(workspace).samples_fingerprint}


def train_settings(settings: Settings) -> dict[str, Any]:
    """The settings that an adapter depends on."""
    return {
        "base": settings.base,
        "train": settings.train.model_dump(exclude=RUNTIME_SETTINGS),
    }


def evaluate_inputs(workspace: Workspace, adapter: str) -> dict[str, str]:
    """Fingerprints of the samples and the adapter that `evaluate` compares."""
    folder = workspace.adapter(adapter)
    weights = folder / "adapter_model.safetensors"
    if not weights.exists():  # a full model: gigabytes, and its manifest tells them apart
        weights = folder / workspace_.MANIFEST
    return {
        **train_inputs(workspace),
        f"adapter {adapter}": workspace_.fingerprint(weights),
        "its metadata": workspace_.fingerprint(folder / ADAPTER_FILE),
    }


def report_inputs(workspace: Workspace, adapter: str) -> dict[str, str]:
    """The inputs of a report: those of `evaluate`, and the settings that a clone talks with."""
    chat = workspace.settings().chat.model_dump_json(exclude=_NOT_MEASURED)
    return {
        **evaluate_inputs(workspace, adapter),
        "the section [chat]": hashlib.sha256(chat.encode()).hexdigest(),
    }


def status(workspace: Workspace, adapter: str = DEFAULT_ADAPTER) -> list[Stage]:
    """Every stage in order.

    Raises:
        SettingsError: myna.toml is wrong.
        WorkspaceError: a manifest is damaged.
    """
    settings = workspace.settings()
    return [
        _imported(workspace),
        _prepared(workspace, settings),
        _trained(workspace, settings, adapter),
        _evaluated(workspace, adapter),
    ]


def next_command(stages: list[Stage]) -> str:
    """The command to type next."""
    return next((stage.command for stage in stages if stage.command), "myna chat")


def _imported(workspace: Workspace) -> Stage:
    if not workspace.message_files():
        return Stage("import", "missing", "no messages yet", command="myna import PATH")
    records = workspace.import_records()
    messages = sum(record.stored for record in records)
    files = sum(len(record.files) for record in records if record.stored)
    return Stage("import", "done", f"{messages:,} messages from {files:,} file(s)")


def _prepared(workspace: Workspace, settings: Settings) -> Stage:
    asking = consent_command(workspace) if workspace.message_files() else ""
    command = asking or "myna prepare"
    if workspace_.read_manifest(workspace.prepared) is None:
        summary = "nobody may be cloned yet" if asking else "no samples yet"
        return Stage("prepare", "missing", summary, command=command)
    info = PreparedInfo.load(workspace)
    counts = ", ".join(f"{n:,} {split}" for split, n in sorted(info.samples.items()))
    summary = f"{info.trained_tokens:,} trained tokens in samples: {counts}"
    return _stale_or_done("prepare", summary, stale_samples(workspace, settings), command)


def consent_command(workspace: Workspace) -> str:
    """The command by which the first person may be cloned; "" if somebody may be."""
    people = people_.load(workspace.people_file)
    if people_.persona_names(people):
        return ""
    if people.me:
        return f'myna people me "{people.me}"'
    return 'myna people me "YOUR NAME"'


def _trained(workspace: Workspace, settings: Settings, adapter: str) -> Stage:
    command = _for_adapter("myna train", adapter)
    manifest = workspace_.read_manifest(workspace.adapter(adapter))
    work = workspace.training(adapter)
    last = max((work / "checkpoints").glob("step-*"), default=None)
    if last is not None:
        plan_json = workspace_.read_json(work / "plan.json") or {}
        reached = int(last.name.removeprefix("step-"))
        summary = f"stopped after step {reached:,} of {plan_json.get('steps', 0):,}"
        return Stage("train", "unfinished", summary, ["training was interrupted"], command)
    if manifest is None:
        return Stage("train", "missing", "no adapter yet", command=command)
    info = AdapterInfo.load(workspace, adapter)
    plan = info.training.plan
    summary = f"adapter '{adapter}': {plan.tokens:,} tokens in {plan.steps:,} steps"
    if info.training.shortfall:
        summary = f"adapter '{adapter}': {info.training.shortfall}"
    trained = info.trained(adapter)
    consents = ConsentChecker(workspace, trained, "owner")
    for person in set(trained.people).difference(consents.allowed()):
        reason = f"it has learned from {person}, who may not be cloned now"
        without = _for_adapter(f'myna train --without "{person}"', adapter)
        return Stage("train", "stale", summary, [reason], without)
    wanted = train_settings(settings)
    if adapter != DEFAULT_ADAPTER:  # it has settings of its own: they were chosen by options
        wanted = manifest["settings"]
    reasons = workspace_.stale_reasons(manifest, train_inputs(workspace), wanted)
    return _stale_or_done("train", summary, reasons, command)


def _evaluated(workspace: Workspace, adapter: str) -> Stage:
    command = _for_adapter("myna evaluate", adapter)
    report = workspace_.read_json(workspace.reports / f"{adapter}.json")
    if report is None:
        return Stage("evaluate", "missing", "not measured yet", command=command)
    bits, change = (report["measures"][key] for key in ("bits_per_character", "bits_change"))
    summary = (
        f"{bits['floor']['value']:.3f} → {bits['clone']['value']:.3f} bits per character "
        f"({change['clone']['value']:+.1%}) on the test split"
    )
    drawn = report["manifest"]["settings"]  # any draw is a measurement
    inputs = report_inputs(workspace, adapter)
    reasons = workspace_.stale_reasons(report["manifest"], inputs, drawn)
    return _stale_or_done("evaluate", summary, reasons, command)


def _for_adapter(command: str, adapter: str) -> str:
    """A command with the option that names the adapter, if it takes one."""
    return command if adapter == DEFAULT_ADAPTER else f"{command} --adapter {adapter}"


def _stale_or_done(name: str, summary: str, reasons: list[str], command: str) -> Stage:
    if reasons:
        return Stage(name, "stale", summary, reasons, command)
    return Stage(name, "done", summary)
