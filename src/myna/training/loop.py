"""The training loop: read it top to bottom.

    samples → schedule → model with LoRA → plan → resume → steps → adapter

The batch of a step is a pure function of (seed, step) and the plan is fixed before the
first step, so a run that was killed and goes on is the same as one that was not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from peft import LoraConfig, get_peft_model

from myna import config, workspace
from myna.config import Train
from myna.errors import TrainingError
from myna.models.loading import quiet
from myna.training import checkpoints, plan
from myna.training.batches import Schedule
from myna.training.loss import collate, token_losses

TIMED_STEPS = 3
TUNE_TOKENS = 4096
"""Most tokens of the tune split that its loss is measured on, on the way."""


@dataclass(frozen=True)
class Samples:
    """Token ids and labels of samples, as `prepare` made them."""

    ids: Sequence[Sequence[int]]
    labels: Sequence[Sequence[int]]

    def lengths(self) -> list[int]:
        """Tokens of each."""
        return [len(tokens) for tokens in self.ids]

    def trained(self) -> int:
        """Tokens that are training targets."""
        return sum(sum(mark > 0 for mark in marks) for marks in self.labels)


@dataclass(frozen=True)
class Progress:
    """Where a run is, after a step."""

    step: int
    steps: int
    loss: float
    lr: float
    tokens: int
    tokens_per_second: float
    seconds_left: float
    tune_loss: float | None = None


@dataclass(frozen=True)
class Watch:
    """What the caller wants to hear while a run goes on."""

    say: Callable[[str], None] = lambda _: None
    step: Callable[[Progress], None] = lambda _: None
    preview: Callable[[Any, int], None] = lambda _model, _step: None
    """Gets the model as it is, and the step."""


def with_lora(model: Any, settings: Train) -> Any:
    """The model with fresh LoRA matrices on all its linear layers; nothing else trained.

    Raises:
        TrainingError: the model has no linear layers that LoRA can be put on.
    """
    set_seed(settings.seed)
    matrices = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        with quiet():
            adapted = get_peft_model(model, matrices)
    except ValueError as error:
        raise TrainingError(f"LoRA matches no layer of this base: {error}") from error
    if not checkpoints.trainable(adapted):
        raise TrainingError("LoRA matches no layer of this base: choose another")
    return adapted.train()


def train(
    model: Any,
    samples: Samples,
    tune: Samples,
    settings: Train,
    work: Path,
    watch: Watch | None = None,
) -> plan.Plan:
    """Train `model` (of `with_lora`) in place; checkpoints, plan and log go to `work`.

    A run that stopped in `work` goes on from its last checkpoint.

    Raises:
        TrainingError: nothing to train on, a loss that is no number, or Ctrl-C.
    """
    watch = watch or Watch()
    if not samples.trained():
        raise TrainingError(
            "no token would be trained: see `myna inspect`, and who may be cloned in people.toml"
        )
    accelerator = Accelerator()
    optimizer = torch.optim.AdamW(
        checkpoints.trainable(model).values(),
        lr=settings.lr,
        betas=(0.9, 0.99),
        weight_decay=settings.weight_decay,
    )
    model, optimizer = accelerator.prepare(model, optimizer)
    schedule = Schedule(samples.lengths(), settings.batch_tokens, settings.seed)
    done = checkpoints.restore(work / "checkpoints", model, optimizer)
    route = _plan(model, samples, schedule, settings, work, accelerator, watch)
    _cut_log(work / "log.jsonl", done)
    if done:
        watch.say(f"going on after step {done} of {route.steps}")

    previews = {
        round(route.steps * (n + 1) / (settings.previews + 1)) for n in range(settings.previews)
    }
    every = config.seconds(settings.checkpoint_every)
    saved = started = time.monotonic()
    tokens = padded = 0
    ahead = sum(schedule.padded(step) for step in range(done, route.steps))
    with (work / "log.jsonl").open("a", encoding="utf-8") as log:
        try:
            for step in range(done, route.steps):
                rate = plan.learning_rate(step, route.steps, settings)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                loss = _step(model, samples, schedule.batch(step), accelerator)
                if not torch.isfinite(loss):
                    raise TrainingError(
                        f"the loss is no number at step {step + 1}: lower train.lr "
                        f"(now {settings.lr:g}) and run `myna train` again; the last "
                        "checkpoint is kept"
                    )
                accelerator.clip_grad_norm_(model.parameters(), settings.clip)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

                tokens += schedule.tokens(step)
                padded += schedule.padded(step)
                elapsed = time.monotonic() - started
                ahead -= schedule.padded(step)
                tune_loss = None
                if step + 1 in previews or step + 1 == route.steps:
                    tune_loss = mean_loss(model, tune, accelerator.device, TUNE_TOKENS)
                now = Progress(
                    step + 1,
                    route.steps,
                    loss.item(),
                    rate,
                    tokens,
                    tokens / elapsed,
                    ahead * elapsed / padded,
                    tune_loss,
                )
                log.write(json.dumps(asdict(now)) + "\n")
                log.flush()
                watch.step(now)
                if step + 1 in previews:
                    watch.preview(model, step + 1)
                if time.monotonic() - saved >= every or step + 1 == route.steps:
                    checkpoints.save(work / "checkpoints", step + 1, model, optimizer)
                    saved = time.monotonic()
        except KeyboardInterrupt:
            raise TrainingError("stopped; `myna train` goes on from the last checkpoint") from None
    return route


def _step(model: Any, samples: Samples, batch: list[int], accelerator: Accelerator) -> torch.Tensor:
    """Gradients of the mean loss over a batch's labelled tokens; that loss."""
    ids, labels = collate(
        [samples.ids[i] for i in batch], [samples.labels[i] for i in batch], accelerator.device
    )
    losses, _ = token_losses(model, ids, labels > 0)
    loss = losses.sum() / max(1, losses.numel())
    accelerator.backward(loss)
    return loss.detach()


def _plan(
    model: Any,
    samples: Samples,
    schedule: Schedule,
    settings: Train,
    work: Path,
    accelerator: Accelerator,
    watch: Watch,
) -> plan.Plan:
    """The plan that this run was begun with, or a new one, its speed measured once."""
    path = work / "plan.json"
    written = workspace.read_json(path)
    if written is not None:
        return plan.Plan(**written)
    budget = config.seconds(settings.budget) if settings.budget else None
    speed = None
    if budget is not None:
        watch.say("measuring the speed of this machine")
        speed = _speed(model, samples, schedule, accelerator)
    route = plan.make(schedule, settings, speed, budget)
    workspace.write_json(path, asdict(route))
    return route


def _speed(model: Any, samples: Samples, schedule: Schedule, accelerator: Accelerator) -> float:
    """Padded tokens per second of a training step, the first one not counted."""
    begun, tokens = 0.0, 0
    for step in range(TIMED_STEPS + 1):
        if step == 1:
            begun = time.monotonic()
        _step(model, samples, schedule.batch(step % schedule.steps(1)), accelerator)
        model.zero_grad(set_to_none=True)
        tokens += schedule.padded(step % schedule.steps(1)) if step else 0
    return tokens / (time.monotonic() - begun)


def mean_loss(model: Any, samples: Samples, device: torch.device, most_tokens: int) -> float | None:
    """Mean loss (nats per labelled token) over the first samples; None without any."""
    total, count, seen = 0.0, 0, 0
    model.eval()
    with torch.inference_mode():
        for tokens, marks in zip(samples.ids, samples.labels, strict=True):
            if seen and seen + len(tokens) > most_tokens:
                break
            seen += len(tokens)
            ids, labels = collate([tokens], [marks], device)
            losses, _ = token_losses(model, ids, labels > 0)
            total += float(losses.sum())
            count += losses.numel()
    model.train()
    return total / count if count else None


def _cut_log(path: Path, done: int) -> None:
    """Cut the lines of steps after the last checkpoint off the log: they come again."""
    if path.exists():
        lines = path.read_text("utf-8").splitlines()[:done]
        workspace.write_text(path, "".join(line + "\n" for line in lines))
