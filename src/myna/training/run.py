"""The training stage: from a workspace's samples to an adapter in it.

adapters/NAME/
  adapter_model.safetensors, adapter_config.json    as peft keeps them
  model/                                            instead, where every weight was trained
  adapter.json                                      metadata: base, prompt format, personas
  log.jsonl, tensorboard/                           loss, validation loss, speed of each step
  seen.json                                         hashes of the samples it has seen
  manifest.json

With `per_person` there is one such adapter for each persona, NAME.PERSON, and NAME holds
an adapter.json that says whose is which.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch
from accelerate import Accelerator

from myna import config, stages, workspace
from myna.artifacts import AdapterInfo, PreparedInfo, TrainingResult
from myna.config import Settings
from myna.engines.transformers_engine import Transformers
from myna.errors import TrainingError, WorkspaceError
from myna.models.bases import Base, find
from myna.models.loading import WHOLE, load_adapter, precision
from myna.persona.scenes import situations
from myna.persona.turn import GeneratedTurn
from myna.preparing.prepare import read_samples
from myna.rendering.tokenizer import Tokenizer
from myna.training import data as samples_
from myna.training import distributed, hardware, loop, methods
from myna.training.data import Samples
from myna.training.progress import CURVES, Watch
from myna.workspace import Workspace


def ready(space: workspace.Workspace, settings: config.Settings) -> None:
    """Check that the prepared samples are there and still hold.

    Raises:
        WorkspaceError: they are missing or stale.
    """
    reasons = stages.stale_samples(space, settings)
    if reasons:
        raise WorkspaceError(f"the samples are stale ({reasons[0]}): run `myna prepare`")


def run(
    space: workspace.Workspace,
    settings: config.Settings,
    name: str,
    watch: Watch,
    *,
    dry: bool = False,
    onward: bool = False,
) -> TrainingResult:
    """Train the adapter `name`, or go on where its training stopped.

    An adapter of before stays until the new one is whole. With `onward` the new one begins
    as that one is, and learns from the samples that it has not seen. With `dry` the watch
    is told the outlook, and nothing is trained or written.

    Raises:
        WorkspaceError: the samples are missing or stale, or the disk is full.
        TrainingError: nothing to train on, a loss that went astray, or Ctrl-C.
        ModelError: the base cannot be loaded.
    """
    ready(space, settings)
    accelerator = distributed.accelerator()
    if not accelerator.is_main_process:
        watch = Watch()
    base = find(settings.base, weights=True, say=watch.say)
    tokenizer = Tokenizer(base.folder)
    prepared = PreparedInfo.load(space)
    if prepared.tokenizer_fingerprint != tokenizer.fingerprint:
        raise WorkspaceError(
            f"the samples were made with another tokenizer than {settings.base}'s: "
            "run `myna prepare`"
        )
    job = _Stage(space, settings, base, prepared, accelerator, watch, dry, onward)
    personas = prepared.personas
    if not settings.train.per_person:
        return job.train(name, personas)
    names = adapters_of(name, personas)
    done = [job.train(names[person], [person]) for person in personas]
    whole = _together(done)
    if accelerator.is_main_process and not dry:
        with (
            workspace.explain_disk_errors(space.adapter(name)),
            workspace.atomic_folder(space.adapter(name)) as new,
        ):
            job.write_metadata(new, personas, whole, names)
    accelerator.wait_for_everyone()
    return whole


def _together(done: list[TrainingResult]) -> TrainingResult:
    """The result of several trainings as one."""
    plan = replace(
        done[0].plan,
        steps=sum(one.plan.steps for one in done),
        tokens=sum(one.plan.tokens for one in done),
        reason=f"{len(done)} adapters, one for each person",
    )
    losses = [one.loss for one in done if one.loss is not None]
    return TrainingResult(plan, sum(losses) / len(losses) if losses else None)


def adapters_of(name: str, personas: list[str]) -> dict[str, str]:
    """The adapter of each person in a group that has one for each."""
    names: dict[str, str] = {}
    for person in personas:
        word = re.sub(r"[^\w-]+", "-", person.lower()).strip("-") or "person"
        taken, number = f"{name}.{word}", 2
        while taken in names.values():
            taken, number = f"{name}.{word}-{number}", number + 1
        names[person] = taken
    return names


@dataclass(frozen=True)
class _Stage:
    """What the adapters of one run share."""

    space: workspace.Workspace
    settings: config.Settings
    base: Base
    prepared: PreparedInfo
    accelerator: Accelerator
    watch: Watch
    dry: bool
    onward: bool

    def train(self, name: str, personas: list[str]) -> TrainingResult:
        """Train one adapter."""
        if self.settings.train.per_person:
            finished = self._finished(name)
            if finished is not None:
                return finished
            self.watch.say(f"training {personas[0]}")
        with workspace.explain_disk_errors(self.space.training(name)):
            return self._train(name, personas)

    def _finished(self, name: str) -> TrainingResult | None:
        """A person's adapter that holds already, as of a run that stopped at another's."""
        manifest = workspace.read_manifest(self.space.adapter(name))
        if manifest is None or self.onward or self.space.training(name).exists():
            return None
        wanted = stages.train_inputs(self.space), stages.train_settings(self.settings)
        if workspace.stale_reasons(manifest, *wanted):
            return None
        self.watch.say(f"adapter '{name}' is trained already")
        return AdapterInfo.load(self.space, name).training

    def _train(self, name: str, personas: list[str]) -> TrainingResult:
        train, main = self.settings.train, self.accelerator.is_main_process
        work, folder = self.space.training(name), self.space.adapter(name)
        onward = self._begin(work, name)
        person = personas[0] if train.per_person else None
        trained, validation = (
            samples_.of(read_samples(self.space, split), person)
            for split in ("train", "validation")
        )
        every = trained
        if onward:
            trained = self._new(trained, folder, name)
        if not trained.trained():
            whom = f" of {person}" if person else ""
            raise TrainingError(
                f"no token{whom} would be trained: see `myna inspect`, and who may be cloned in "
                "people.toml"
            )
        device = self.accelerator.device
        split = distributed.sharded(self.accelerator)
        need = hardware.need(
            hardware.shape(hardware.empty(self.base.folder)),
            train,
            hardware.free_memory(device),
            max(trained.lengths()),
            precision_bytes(device),
            self.accelerator.num_processes if split else 1,
        )
        model, reason = methods.loaded(self.base, train, device, split=split)
        if onward and train.method == "full":
            model = load_adapter(model, folder)
        if train.method == "full":
            model = methods.with_everything(model)
        else:
            model = methods.with_lora(model, train)
        if onward and train.method != "full":
            methods.go_on_from(model, folder, train, name)
        if need.checkpointing:
            methods.recompute(model)
        kernels = methods.with_kernels(model, train.method, split=split)
        notes = hardware.device_name(device), reason, kernels
        job = loop.Job(
            model, trained, validation, train, work, self.accelerator, self.watch, need, notes
        )
        route = loop.run(job, dry=self.dry)
        if self.dry:
            return TrainingResult(route, None)
        # Only the main process writes the log, so no other may count on it.
        result = TrainingResult(route, final_loss(work / "log.jsonl") if main else None)
        self._finish(name, personas, model, result, every, onward)
        if main:
            shutil.rmtree(work, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        return result

    def _begin(self, work: Path, name: str) -> bool:
        """Have the folder of a training that can go on, or a fresh one; whether it is onward."""
        begun: dict[str, Any] = workspace.read_json(work / "begun.json") or {}
        onward = self.onward or bool(begun.get("onward"))
        wanted = {
            "inputs": {**stages.train_inputs(self.space), "base": self.base.fingerprint},
            "settings": stages.train_settings(self.settings),
            "onward": self._weights(name) if onward else "",
        }
        if onward and not wanted["onward"]:
            raise TrainingError(
                f"there is no adapter '{name}' to train on from: leave --continue out"
            )
        astray = (work / loop.DIVERGED).exists()
        if self.dry:
            return onward
        if self.accelerator.is_main_process:
            if work.exists() and not _goes_on(begun, wanted, any_rate=astray):
                self.watch.say(
                    "samples or settings have changed since this training began: beginning anew"
                )
                shutil.rmtree(work)
            work.mkdir(parents=True, exist_ok=True)
            (work / loop.DIVERGED).unlink(missing_ok=True)
            workspace.write_json(work / "begun.json", wanted)
        self.accelerator.wait_for_everyone()
        return onward

    def _weights(self, name: str) -> str:
        """The fingerprint of an adapter's weights; empty without any."""
        folder = self.space.adapter(name)
        return workspace.fingerprint(folder / "adapter_model.safetensors") or (
            workspace.fingerprint(folder / WHOLE / "model.safetensors")
        )

    def _new(self, trained: Samples, folder: Path, name: str) -> Samples:
        """The samples that the adapter has not seen, with as many that it has."""
        AdapterInfo.load(self.space, name).check_base(name, self.base.fingerprint)
        seen = set(workspace.read_json(folder / "seen.json") or [])
        chosen, new = samples_.unseen(trained, seen, self.settings.train.seed)
        if not new:
            raise TrainingError(
                f"adapter '{name}' has seen all samples: import newer chats, run `myna prepare`, "
                "then this again"
            )
        self.watch.say(f"{new:,} samples are new, and {len(chosen.ids) - new:,} known come along")
        return chosen

    def _finish(
        self,
        name: str,
        personas: list[str],
        model: Any,
        result: TrainingResult,
        samples: Samples,
        onward: bool,
    ) -> None:
        """Put the adapter, and all that is needed to talk with it, in its place."""
        work, folder = self.space.training(name), self.space.adapter(name)
        if not self.accelerator.is_main_process:
            methods.save(model, self.base, self.settings.train, folder, main=False)
            return
        seen = set(workspace.read_json(folder / "seen.json") or []) if onward else set()
        with workspace.atomic_folder(folder) as new:
            methods.save(model, self.base, self.settings.train, new)
            shutil.copy(work / "log.jsonl", new / "log.jsonl")
            if (work / CURVES).exists():
                shutil.copytree(work / CURVES, new / CURVES)
            workspace.write_json(
                new / "seen.json", sorted(seen | set(samples_.fingerprints(samples)))
            )
            self.write_metadata(new, personas, result)

    def write_metadata(
        self,
        folder: Path,
        personas: list[str],
        result: TrainingResult,
        adapters: dict[str, str] | None = None,
    ) -> None:
        """Write what an adapter is, and what it was made from."""
        AdapterInfo(
            base=self.settings.base,
            base_fingerprint=self.base.fingerprint,
            format=self.prepared.format,
            personas=personas,
            channels=self.prepared.channels,
            training=result,
            adapters=adapters or {},
        ).save(folder)
        workspace.write_manifest(
            folder,
            inputs=stages.train_inputs(self.space),
            settings=stages.train_settings(self.settings),
        )


def precision_bytes(device: torch.device) -> int:
    """The bytes of a number as it is computed on a device."""
    return precision(device)[0].itemsize


def _goes_on(begun: dict[str, Any], wanted: dict[str, Any], *, any_rate: bool) -> bool:
    """Whether a training that was begun is the one wanted; at `any_rate`, but for train.lr."""
    if not any_rate or not begun:
        return begun == wanted
    ours, theirs = (
        {**told, "settings": {**told["settings"], "train": {**told["settings"]["train"], "lr": 0}}}
        for told in (begun, wanted)
    )
    return ours == theirs


def final_loss(log: Path) -> float:
    """The mean loss of the last tenth of a training's steps."""
    # The validation loss stands in few lines: any number of those without one may come first.
    losses = pl.read_ndjson(log, infer_schema_length=None)["loss"]
    return float(losses.tail(max(1, len(losses) // 10)).mean())  # type: ignore[arg-type]


COUNT = 2
TOKENS = 40


def preview(
    space: Workspace, settings: Settings, model: Any, step: int
) -> Iterator[tuple[str, str, str]]:
    """A few of (what was said, persona, the model's answer); the same moments each time."""
    messages = pl.read_parquet(space.prepared / "messages.parquet").filter(
        pl.col("split") == "validation"
    )
    if messages.is_empty():
        return
    info = PreparedInfo.load(space)
    base = find(settings.base, weights=False)
    engine = Transformers(base, None, base.context, model=model)
    tokenizer = Tokenizer(base.folder)
    sampling = settings.chat.sampling(step).narrowed(TOKENS)
    found = situations(messages, info.personas, turns=4)
    for moment in random.Random(settings.train.seed).sample(found, min(COUNT, len(found))):
        room = moment.room(info.format, tokenizer, base.context - TOKENS)
        last = room.lines[-1]
        text = "".join(GeneratedTurn(engine, room, moment.next_person, sampling))
        yield f"{last.person}: {last.text}"[:160], moment.next_person, text
