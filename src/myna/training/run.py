"""The training stage: from a workspace's samples to an adapter in it.

adapters/NAME/
  adapter_model.safetensors, adapter_config.json    in peft's format
  model/                                            instead, with method = "full"
  adapter.json                                      metadata: base, prompt format, personas
  log.jsonl, previews.jsonl, tensorboard/           metrics of each step, sample replies
  schedule.jsonl                                    the clock at each step, for resuming
  seen.json                                         hashes of the samples it was trained on
  manifest.json
  canaries.json                                     only with canaries: the secrets

With `per_person` each persona has such an adapter, NAME.PERSON, and NAME holds an
adapter.json that maps personas to adapters.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
from accelerate import Accelerator

from myna import config, stages
from myna import people as people_
from myna import workspace as workspace_
from myna.artifacts import CANARIES_FILE, AdapterInfo, PreparedInfo, TrainingResult, TurnTaking
from myna.config import Settings
from myna.engines.transformers_engine import Transformers
from myna.errors import ConsentError, TrainingError, WorkspaceError
from myna.models.bases import Base, find_base
from myna.models.loading import FULL_MODEL_FOLDER
from myna.people.consent_checker import ConsentChecker, TrainedPerson
from myna.persona.line_guard import line_guard
from myna.persona.next_speaker import fit_turn_taking
from myna.persona.scenes import find_scenes
from myna.persona.turn import GeneratedTurn
from myna.preparing.prepare import read_samples
from myna.rendering.tokenizer import Tokenizer
from myna.training import checkpoints, data, distributed, loop, methods
from myna.training.data import PLAIN, Canaries, Samples, Variation
from myna.training.progress import TENSORBOARD_FOLDER, TrainingCallbacks
from myna.training.schedule import Clock
from myna.workspace import Workspace


def check_samples(workspace: Workspace, settings: config.Settings) -> None:
    """Check that the prepared samples are there and up to date.

    Raises:
        WorkspaceError: they are missing or stale.
    """
    reasons = stages.stale_samples(workspace, settings)
    if reasons:
        raise WorkspaceError(f"the samples are stale ({reasons[0]}): run `myna prepare`")


def run(
    workspace: Workspace,
    settings: config.Settings,
    name: str,
    callbacks: TrainingCallbacks,
    *,
    dry_run: bool = False,
    continue_training: bool = False,
    variation: Variation = PLAIN,
    started: float | None = None,
) -> TrainingResult:
    """Train the adapter `name`, or resume its training.

    An existing adapter is replaced once the new one is complete. With `continue_training` the
    new one starts from its weights, and learns from the samples that it has not seen. With
    `dry_run` the callbacks get the estimate, and nothing is trained or written. The budget of
    the settings counts from `started` (by `time.monotonic`; None: now) to the adapter.

    Raises:
        WorkspaceError: the samples are missing or stale, or the disk is full.
        TrainingError: nothing to train on, the loss diverged, canaries misplaced, or Ctrl-C.
        ModelError: the base cannot be loaded.
        ConsentError: somebody in the samples, or in the adapter to continue, may not be cloned.
    """
    budget = config.seconds(settings.train.budget) if settings.train.budget else None
    clock = Clock(budget) if started is None else Clock(budget, started)
    check_samples(workspace, settings)
    variation.check(workspace, name, settings, continue_training=continue_training)
    accelerator = distributed.make_accelerator()
    if not accelerator.is_main_process:
        callbacks = TrainingCallbacks()
    base = find_base(settings.base, weights=True, report=callbacks.report)
    tokenizer = Tokenizer(base.folder)
    prepared = PreparedInfo.load(workspace)
    if prepared.tokenizer_fingerprint != tokenizer.fingerprint:
        raise WorkspaceError(
            f"the samples were made with another tokenizer than {settings.base}'s: "
            "run `myna prepare`"
        )
    personas = prepared.personas
    stage = _TrainingStage(
        workspace,
        settings,
        base,
        prepared,
        _trained_people(workspace, personas),
        accelerator,
        callbacks,
        dry_run,
        continue_training,
        variation,
        clock,
    )
    if not settings.train.per_person:
        return stage.train(name, personas)
    names = adapter_names(name, personas)
    left = range(len(personas), 0, -1)
    result = _combined_result(
        [stage.train(names[p], [p], n) for p, n in zip(personas, left, strict=True)]
    )
    if accelerator.is_main_process and not dry_run:
        with (
            workspace_.explain_disk_errors(workspace.adapter(name)),
            workspace_.atomic_folder(workspace.adapter(name)) as new,
        ):
            # The first persona's engine is the one that is asked who speaks next.
            first = AdapterInfo.load(workspace, names[personas[0]])
            stage.write_metadata(new, personas, result, first.turn_taking, names)
    accelerator.wait_for_everyone()
    return result


def _trained_people(workspace: Workspace, personas: list[str]) -> dict[str, TrainedPerson]:
    """The personas with accounts and consent, as people.toml has them now.

    Raises:
        ConsentError: one may not be cloned.
    """
    everyone = people_.load(workspace.people_file).persons
    allowed = {person.display_name: TrainedPerson.of(person) for person in everyone if person.scope}
    for persona in personas:
        if persona not in allowed:
            raise ConsentError(f"{persona} may not be cloned now: run `myna prepare`")
    return {persona: allowed[persona] for persona in personas}


def _combined_result(results: list[TrainingResult]) -> TrainingResult:
    """The result of several trainings as one."""
    plan = replace(
        results[0].plan,
        steps=sum(result.plan.steps for result in results),
        tokens=sum(result.plan.tokens for result in results),
        reason=f"{len(results)} adapters, one for each person",
        seconds=sum(result.plan.seconds or 0.0 for result in results),
    )
    losses = [result.loss for result in results if result.loss is not None]
    few = next((result.shortfall for result in results if result.shortfall), "")
    return TrainingResult(plan, sum(losses) / len(losses) if losses else None, few)


def adapter_names(name: str, personas: list[str]) -> dict[str, str]:
    """The adapter names of a group with one adapter for each person."""
    names: dict[str, str] = {}
    for person in personas:
        word = re.sub(r"[^\w-]+", "-", person.lower()).strip("-") or "person"
        adapter, number = f"{name}.{word}", 2
        while adapter in names.values():
            adapter, number = f"{name}.{word}-{number}", number + 1
        names[person] = adapter
    return names


@dataclass(frozen=True)
class _TrainingStage:
    """A run of the training stage, of one adapter or of one for each person."""

    workspace: Workspace
    settings: config.Settings
    base: Base
    prepared: PreparedInfo
    people: dict[str, TrainedPerson]
    """As they were when the training began."""
    accelerator: Accelerator
    callbacks: TrainingCallbacks
    dry_run: bool
    continue_training: bool
    variation: Variation
    clock: Clock

    def train(self, name: str, personas: list[str], adapters: int = 0) -> TrainingResult:
        """Train one adapter; with one for each person, the first of so many `adapters`."""
        clock = self.clock
        if adapters:
            finished = self._finished(name)
            if finished is not None:
                self.clock.carried += finished.plan.seconds or 0.0
                return finished
            self.callbacks.report(f"training {personas[0]}")
            clock = self.clock.split(adapters)
        with workspace_.explain_disk_errors(self.workspace.training(name)):
            return self._train(name, personas, clock)

    def _finished(self, name: str) -> TrainingResult | None:
        """The result of a person's adapter that is up to date: a run stopped at a later one."""
        manifest = workspace_.read_manifest(self.workspace.adapter(name))
        if manifest is None or self.continue_training or self.workspace.training(name).exists():
            return None
        inputs = stages.train_inputs(self.workspace)
        if workspace_.stale_reasons(manifest, inputs, self.variation.settings(self.settings)):
            return None
        self.callbacks.report(f"adapter '{name}' is trained already")
        return AdapterInfo.load(self.workspace, name).training

    def _train(self, name: str, personas: list[str], clock: Clock) -> TrainingResult:
        train, main = self.settings.train, self.accelerator.is_main_process
        work, folder = self.workspace.training(name), self.workspace.adapter(name)
        continue_training = self._prepare_folder(work, name)
        person = personas[0] if train.per_person else None
        tables = [read_samples(self.workspace, split) for split in ("train", "validation")]
        validation = data.samples_from_table(tables[1], person)
        if train.weights == "recent":
            messages = pl.read_parquet(self.workspace.prepared / "messages.parquet")
            tables[0] = data.with_weights(tables[0], messages)
        samples, canaries = self.variation.samples(
            tables[0], person, train.seed, self.prepared, self.base.folder
        )
        all_samples = samples
        if continue_training:
            samples = self._select_unseen(samples, folder, name)
        if not samples.trained_tokens():
            suffix = f" of {person}" if person else ""
            raise TrainingError(
                f"no token{suffix} would be trained: see `myna inspect`, and who may be cloned in "
                "people.toml"
            )
        model, memory, notes = methods.make_model(
            self.base,
            train,
            self.accelerator,
            max(samples.lengths()),
            (folder, name) if continue_training else None,
        )
        job = loop.TrainingJob(
            model,
            samples,
            validation,
            train,
            work,
            self.accelerator,
            self.callbacks,
            clock,
            memory,
            notes,
        )
        result = loop.run(job, dry_run=self.dry_run)
        if self.dry_run:
            return result
        speaks = main and not distributed.is_sharded(self.accelerator) and self.variation == PLAIN
        if speaks:
            self.callbacks.report("learning who speaks next")
        turn_taking = self._turn_taking(model, clock) if speaks else TurnTaking()
        trained = (model, result, turn_taking, all_samples)
        self._finish(name, personas, *trained, continue_training, canaries)
        if main:
            shutil.rmtree(work, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        return result

    def _prepare_folder(self, work: Path, name: str) -> bool:
        """Keep the folder of a training that can be resumed, or make one.

        Returns True if the training continues an existing adapter.
        """
        started: dict[str, Any] = workspace_.read_json(work / "begun.json") or {}
        continue_training = self.continue_training or bool(started.get("onward"))
        wanted = {
            "inputs": {**stages.train_inputs(self.workspace), "base": self.base.fingerprint},
            "settings": self.variation.settings(self.settings),
            "onward": self._weights(name) if continue_training else "",
        }
        if continue_training and not wanted["onward"]:
            raise TrainingError(
                f"there is no adapter '{name}' to continue training: leave --continue out"
            )
        if continue_training:
            trained = AdapterInfo.load(self.workspace, name).trained(name)
            ConsentChecker(self.workspace, trained, "owner").check_anybody()
        has_diverged = (work / loop.DIVERGED_FILE).exists()
        if self.dry_run:
            return continue_training
        if self.accelerator.is_main_process:
            if work.exists() and not checkpoints.can_resume(started, wanted, any_rate=has_diverged):
                self.callbacks.report(
                    "samples or settings have changed since this training started: starting over"
                )
                shutil.rmtree(work)
            work.mkdir(parents=True, exist_ok=True)
            (work / loop.DIVERGED_FILE).unlink(missing_ok=True)
            workspace_.write_json(work / "begun.json", wanted)
        self.accelerator.wait_for_everyone()
        return continue_training

    def _weights(self, name: str) -> str:
        """The fingerprint of an adapter's weights; empty if it has none."""
        folder = self.workspace.adapter(name)
        return workspace_.fingerprint(folder / "adapter_model.safetensors") or (
            workspace_.fingerprint(folder / FULL_MODEL_FOLDER / "model.safetensors")
        )

    def _select_unseen(self, samples: Samples, folder: Path, name: str) -> Samples:
        """The samples that the adapter has not seen, and as many that it has."""
        AdapterInfo.load(self.workspace, name).check_base(name, self.base.fingerprint)
        seen = set(workspace_.read_json(folder / "seen.json") or [])
        selected, new = data.select_unseen(samples, seen, self.settings.train.seed)
        if not new:
            raise TrainingError(
                f"adapter '{name}' has seen all samples: import newer chats, run `myna prepare`, "
                "then this again"
            )
        self.callbacks.report(
            f"{new:,} new samples, and {len(selected.ids) - new:,} seen ones against forgetting"
        )
        return selected

    def _turn_taking(self, model: Any, clock: Clock) -> TurnTaking:
        """The weights by which speakers are drawn, fitted to the validation split in time."""
        messages = pl.read_parquet(self.workspace.prepared / "messages.parquet")
        engine = Transformers(self.base, None, self.base.context, model=model)
        tokenizer = Tokenizer(self.base.folder)
        form = self.prepared.format
        return fit_turn_taking(engine, form, tokenizer, messages, is_over=clock.is_over)

    def _finish(
        self,
        name: str,
        personas: list[str],
        model: Any,
        result: TrainingResult,
        turn_taking: TurnTaking,
        samples: Samples,
        continue_training: bool,
        canaries: Canaries | None,
    ) -> None:
        """Save the adapter and its metadata."""
        work, folder = self.workspace.training(name), self.workspace.adapter(name)
        if not self.accelerator.is_main_process:
            methods.save_trained(model, self.base, self.settings.train, folder, main=False)
            return
        seen = set(workspace_.read_json(folder / "seen.json") or []) if continue_training else set()
        with workspace_.atomic_folder(folder) as new:
            methods.save_trained(model, self.base, self.settings.train, new)
            for log in work.glob("*.jsonl"):
                shutil.copy(log, new)
            if (work / TENSORBOARD_FOLDER).exists():
                shutil.copytree(work / TENSORBOARD_FOLDER, new / TENSORBOARD_FOLDER)
            workspace_.write_json(
                new / "seen.json", sorted(seen | set(data.sample_hashes(samples)))
            )
            if canaries is not None:
                workspace_.write_json(new / CANARIES_FILE, asdict(canaries))
            self.write_metadata(new, personas, result, turn_taking)

    def write_metadata(
        self,
        folder: Path,
        personas: list[str],
        result: TrainingResult,
        turn_taking: TurnTaking,
        adapters: dict[str, str] | None = None,
    ) -> None:
        """Write the metadata of an adapter, and its manifest."""
        AdapterInfo(
            base=self.settings.base,
            base_fingerprint=self.base.fingerprint,
            format=self.prepared.format,
            people={person: self.people[person] for person in personas},
            channels=self.prepared.channels,
            training=result,
            turn_taking=turn_taking,
            adapters=adapters or {},
            habits={person: self.prepared.habits[person] for person in personas},
        ).save(folder)
        workspace_.write_manifest(
            folder,
            inputs=stages.train_inputs(self.workspace),
            settings=self.variation.settings(self.settings),
        )


PREVIEW_REPLIES, PREVIEW_TOKENS = 2, 40


def preview_replies(
    workspace: Workspace, settings: Settings, model: Any, step: int
) -> Iterator[tuple[str, str, str]]:
    """A few (message, persona, the model's answer), at the same moments each time."""
    messages = pl.read_parquet(workspace.prepared / "messages.parquet").filter(
        pl.col("split") == "validation"
    )
    if messages.is_empty():
        return
    info = PreparedInfo.load(workspace)
    base = find_base(settings.base, weights=False)
    engine = Transformers(base, None, base.context, model=model)
    tokenizer = Tokenizer(base.folder)
    scenes = find_scenes(messages, info.personas, turns=4)
    rng = random.Random(settings.train.seed)
    for scene in rng.sample(scenes, min(PREVIEW_REPLIES, len(scenes))):
        builder = scene.prompt_builder(info.format, tokenizer, base.context - PREVIEW_TOKENS)
        last, person = builder.messages[-1], scene.next_person
        sampling = settings.chat.sampling(step, person).narrowed(PREVIEW_TOKENS)
        guard = line_guard(builder.messages, info.habits.get(person), sampling)
        text = "".join(GeneratedTurn(engine, builder, person, sampling, guard=guard))
        yield f"{last.person}: {last.text}"[:160], scene.next_person, text
