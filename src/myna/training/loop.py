"""The training loop: read it top to bottom.

    samples → batches → model and optimiser → resume → plan → steps → the best checkpoint

The batch of a step is a pure function of (seed, step) and the plan is fixed before the
first step, so a run that was killed and resumed is the same as one that was not, on any
number of processes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from myna import config, workspace
from myna.artifacts import TrainingPlan
from myna.config import Train
from myna.errors import TrainingError
from myna.training import checkpoints, distributed, hardware, methods, progress
from myna.training.data import BatchSampler, Samples
from myna.training.gradient_step import GradientAccumulator
from myna.training.hardware import MemoryEstimate
from myna.training.loss import token_losses
from myna.training.plan import TrainingEstimate, learning_rate, make_plan, validation_tokens
from myna.training.progress import (
    LossHistory,
    StepMetrics,
    Trackers,
    TrainingCallbacks,
    catch_stop_signals,
)

MEASURED_STEPS = 3
LOG_FILE, PREVIEWS_FILE = "log.jsonl", "previews.jsonl"
"""Files in a training's folder, and later in the adapter's: metrics of steps; sample replies."""
DIVERGED_FILE = "diverged"
"""File in a training's folder with the reason why it diverged."""


@dataclass(frozen=True)
class TrainingJob:
    """A training run: model, data, settings, and the folder of its checkpoints, plan and log."""

    model: Any
    """From `methods.add_lora` or `methods.train_all_weights`."""
    samples: Samples
    validation: Samples
    settings: Train
    work: Path
    accelerator: Accelerator
    callbacks: TrainingCallbacks
    memory: MemoryEstimate | None = None
    """None: each batch is computed at once, unless the settings say otherwise."""
    notes: tuple[str, str, tuple[str, ...]] = ("", "", ())
    """Device, precision and kernels, with reasons: for the estimate."""


def run(job: TrainingJob, *, dry_run: bool = False) -> TrainingPlan:
    """Train to the best checkpoint; return the plan as it was carried out.

    An unfinished run in the same folder is resumed from its last checkpoint. With `dry_run`
    the callbacks get the estimate, and nothing is trained.

    Raises:
        TrainingError: nothing to train on, the loss diverged, or Ctrl-C.
    """
    settings, work, callbacks, accelerator = job.settings, job.work, job.callbacks, job.accelerator
    if not job.samples.trained_tokens():
        raise TrainingError(
            "no token would be trained: see `myna inspect`, and who may be cloned in people.toml"
        )
    main, sharded = accelerator.is_main_process, distributed.is_sharded(accelerator)
    trainable = checkpoints.trainable_parameters(job.model).values()
    optimizer, optimizer_reason = methods.make_optimizer(
        trainable, settings, accelerator.device, split=sharded
    )
    parameters = checkpoints.count_parameters(job.model)
    model, optimizer = distributed.prepare_model(job.model, optimizer, accelerator)
    sampler = BatchSampler(job.samples.lengths(), settings.batch_tokens, settings.seed)
    step = checkpoints.restore(work / "checkpoints", model, optimizer)
    micro_batch_tokens = (job.memory or settings).micro_batch_tokens
    gradients = GradientAccumulator(
        model, job.samples, accelerator, micro_batch_tokens, callbacks.report
    )
    estimate, machine_rate = _estimate(
        job, model, sampler, gradients, parameters, optimizer_reason, dry_run
    )
    plan = estimate.plan
    callbacks.on_estimate(estimate)
    if dry_run:
        return plan
    history = _read_history(work / "log.jsonl", step, main)
    if step:
        callbacks.report(f"resuming after step {step} of {plan.steps}")

    validated = _evenly_spaced_steps(plan.steps, settings.validations) | {plan.steps}
    previewed = set() if sharded else _evenly_spaced_steps(plan.steps, settings.previews)
    save_every = config.seconds(settings.checkpoint_every)
    saved_at = time.monotonic()
    seconds_per_token = _flops_per_token(job, estimate) / machine_rate
    throughput = _Throughput(sampler, step, plan.steps, seconds_per_token)
    with catch_stop_signals() as stop_request, _open_log(job, step) as log:
        while step < plan.steps and not history.is_out_of_patience(settings.patience):
            rate = learning_rate(step, plan.steps, settings)
            for group in optimizer.param_groups:
                group["lr"] = rate
            history.losses.append(gradients.accumulate(sampler.batch(step)))
            if divergence := progress.divergence(history.losses):
                _stop_diverged(job, divergence)
            accelerator.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            throughput.count(step)
            step += 1

            validation_loss = _validate(job, model, plan) if step in validated else None
            if validation_loss is not None and history.is_best(step, validation_loss):
                checkpoints.save_best(work / "best", step, model, main=main)
            metrics = throughput.metrics(step, history.losses[-1], rate, validation_loss)
            log(metrics)
            callbacks.on_step(metrics)
            if step in previewed:
                _save_previews(work, step, callbacks.on_preview(model, step))

            is_due = time.monotonic() - saved_at >= save_every
            flags = [stop_request.is_set, is_due]
            stop, is_due = map(bool, distributed.all_reduce_max(flags, accelerator))
            last = step == plan.steps or history.is_out_of_patience(settings.patience)
            if stop or is_due or last:
                # A diverged state must not replace a good checkpoint.
                if progress.is_near_start(history.losses):
                    checkpoints.save(work / "checkpoints", step, model, optimizer, main=main)
                saved_at = time.monotonic()
            if stop and step < plan.steps:
                raise TrainingError(f"stopped after step {step}: `myna train` resumes from there")
    return _restore_best(job, model, plan, sampler, step, history)


class _Throughput:
    """Counts the tokens that were trained since a run was started, and their speed."""

    def __init__(
        self, sampler: BatchSampler, done: int, steps: int, seconds_per_token: float
    ) -> None:
        """After `done` of `steps`; `seconds_per_token` is that of the machine's peak."""
        self._sampler, self._steps, self._seconds_per_token = sampler, steps, seconds_per_token
        self._tokens = self._padded = 0
        self._tokens_left = sum(sampler.padded_tokens(step) for step in range(done, steps))
        self._started = time.monotonic()
        self._elapsed = 0.0

    def count(self, step: int) -> None:
        """Add a step that is done."""
        padded_tokens = self._sampler.padded_tokens(step)
        self._tokens += self._sampler.tokens(step)
        self._padded += padded_tokens
        self._tokens_left -= padded_tokens
        self._elapsed = time.monotonic() - self._started

    def metrics(
        self, step: int, loss: float, rate: float, validation_loss: float | None
    ) -> StepMetrics:
        """Metrics after `step` steps."""
        per_second = self._tokens / self._elapsed
        return StepMetrics(
            step=step,
            steps=self._steps,
            loss=loss,
            learning_rate=rate,
            tokens=self._tokens,
            tokens_per_second=per_second,
            seconds_left=self._tokens_left * self._elapsed / self._padded,
            validation_loss=validation_loss,
            peak_share=self._seconds_per_token * per_second,
        )


def _evenly_spaced_steps(steps: int, times: int) -> set[int]:
    """`times` steps spread evenly over a run, excluding its end."""
    return {round(steps * (n + 1) / (times + 1)) for n in range(times)} - {0}


def _flops_per_token(job: TrainingJob, estimate: TrainingEstimate) -> int:
    """Floating-point operations for one token.

    Two for each parameter forwards, two backwards, and two more where weights are trained.
    """
    return estimate.parameters * (6 if job.settings.method == "full" else 4)


def _stop_diverged(job: TrainingJob, divergence: str) -> None:
    if job.accelerator.is_main_process:
        workspace.write_text(job.work / DIVERGED_FILE, divergence + "\n")
    raise TrainingError(
        f"{divergence}: lower train.learning_rate (now {job.settings.learning_rate:g}) and run "
        "`myna train` again; it resumes from the last good checkpoint"
    )


def _validate(job: TrainingJob, model: Any, plan: TrainingPlan) -> float | None:
    """The mean loss over the validation split, or over the part that the time allows."""
    tokens = validation_tokens(plan, job.settings)
    device = job.accelerator.device
    loss: float | None = distributed.with_gathered_weights(
        model, job.accelerator, lambda: mean_loss(model, job.validation, device, tokens)
    )
    return loss


def _restore_best(
    job: TrainingJob,
    model: Any,
    plan: TrainingPlan,
    sampler: BatchSampler,
    step: int,
    history: LossHistory,
) -> TrainingPlan:
    """Restore the checkpoint with the lowest validation loss; return the plan as carried out."""
    reason = plan.reason
    if step < plan.steps:
        reason = (
            f"{reason}, stopped after {job.settings.patience} validation runs without improvement"
        )
    best = history.best_step()
    if best is not None and best < step:
        if checkpoints.load_best(job.work / "best", best, model):
            loss = history.validations[best]
            job.callbacks.report(
                f"kept the best checkpoint, of step {best} (validation loss {loss:.3f})"
            )
            reason = f"{reason}; the best was step {best}"
        else:
            job.callbacks.report(f"the best checkpoint, of step {best}, is damaged: kept the last")
    tokens = sum(sampler.tokens(number) for number in range(step))
    return replace(
        plan, steps=step, tokens=tokens, epochs=step / len(sampler.epoch(0)), reason=reason
    )


def _estimate(
    job: TrainingJob,
    model: Any,
    sampler: BatchSampler,
    gradients: GradientAccumulator,
    parameters: int,
    optimizer: str,
    dry_run: bool,
) -> tuple[TrainingEstimate, float]:
    """The estimate of this run, with its measured speed; and the machine's matrix-product rate.

    A resumed run keeps the plan that it was started with.
    """
    settings, accelerator = job.settings, job.accelerator
    dtype = next(model.parameters()).dtype
    if not dtype.is_floating_point:
        dtype = torch.float32
    rate = hardware.matmul_rate(accelerator.device, dtype) * accelerator.num_processes
    path = job.work / "plan.json"
    saved = workspace.read_json(path)
    if saved is not None:
        plan = TrainingPlan(**saved)
    else:
        budget = config.seconds(settings.budget) if settings.budget else None
        speed = _measure_speed(model, sampler, gradients, settings)
        [micros] = distributed.all_reduce_max([round(1e6 * speed)], accelerator)
        plan = make_plan(sampler, settings, micros / 1e6, budget)
        if not dry_run and accelerator.is_main_process:
            workspace.write_json(path, asdict(plan))
        accelerator.wait_for_everyone()
    trained = sum(p.numel() for p in checkpoints.trainable_parameters(model).values())
    micro_batch = gradients.micro_batch_tokens or settings.batch_tokens
    share = -(-settings.batch_tokens // accelerator.num_processes)
    padded_tokens = sum(sampler.padded_tokens(step) for step in range(plan.steps))
    device, precision, kernels = job.notes
    estimate = TrainingEstimate(
        plan=plan,
        samples=len(job.samples.ids),
        trained_tokens=job.samples.trained_tokens(),
        seconds=padded_tokens / plan.tokens_per_second if plan.tokens_per_second else 0.0,
        device=device,
        precision=precision,
        kernels=list(kernels),
        optimizer=optimizer,
        parameters=parameters,
        trained_parameters=trained,
        need=job.memory.total if job.memory else 0,
        free=job.memory.free if job.memory else 0,
        micro_batch_tokens=micro_batch,
        micro_batches=-(-share // micro_batch),
        checkpointing=bool(job.memory and job.memory.checkpointing),
        processes=accelerator.num_processes,
        peak_share=0.0,
    )
    peak_share = _flops_per_token(job, estimate) * (plan.tokens_per_second or 0) / rate
    return replace(estimate, peak_share=peak_share), rate


def _measure_speed(
    model: Any, sampler: BatchSampler, gradients: GradientAccumulator, settings: Train
) -> float:
    """Padded tokens per second of the first steps, without the very first.

    Their gradients are thrown away; the run computes these steps again.
    """
    started, tokens = 0.0, 0
    steps = sampler.steps(settings.num_train_epochs)
    for step in range(1 + (MEASURED_STEPS if steps > 20 * MEASURED_STEPS else 1)):
        if step == 1:
            started = time.monotonic()
        gradients.accumulate(sampler.batch(step % steps))
        model.zero_grad(set_to_none=True)
        tokens += sampler.padded_tokens(step % steps) if step else 0
    return tokens / max(time.monotonic() - started, 1e-9)


def mean_loss(model: Any, samples: Samples, device: torch.device, max_tokens: int) -> float | None:
    """Mean loss (nats per trained token) over the first samples; None without any."""
    total, count, seen = 0.0, 0, 0
    with torch.inference_mode():
        for tokens, mask in zip(samples.ids, samples.loss_masks, strict=True):
            if seen and seen + len(tokens) > max_tokens:
                break
            seen += len(tokens)
            losses = token_losses(model, [tokens], [mask], device)
            total += float(losses.sum())
            count += losses.numel()
    return total / count if count else None


def _read_history(path: Path, done: int, main: bool) -> LossHistory:
    """Read the losses up to the last checkpoint; cut later lines off the log: they come again."""
    lines = path.read_text("utf-8").splitlines()[:done] if path.exists() else []
    if main and path.exists():
        workspace.write_text(path, "".join(line + "\n" for line in lines))
    steps = [json.loads(line) for line in lines]
    return LossHistory(
        [step["loss"] for step in steps],
        {
            step["step"]: step["validation_loss"]
            for step in steps
            if step["validation_loss"] is not None
        },
    )


def _save_previews(work: Path, step: int, previews: Sequence[tuple[str, str, str]]) -> None:
    """Write sample replies beside the log, a line for each; those of a later line hold."""
    if previews:
        with (work / PREVIEWS_FILE).open("a", encoding="utf-8") as file:
            for asked, person, reply in previews:
                line = {"step": step, "asked": asked, "person": person, "reply": reply}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


@contextmanager
def _open_log(job: TrainingJob, done: int) -> Iterator[Any]:
    """A function that logs the metrics of a step to log.jsonl and the trackers."""
    if not job.accelerator.is_main_process:
        yield lambda _: None
        return
    trackers = Trackers(job.settings, job.work, done, job.callbacks.report)
    with (job.work / "log.jsonl").open("a", encoding="utf-8") as log:

        def write(metrics: StepMetrics) -> None:
            log.write(json.dumps(asdict(metrics)) + "\n")
            log.flush()
            trackers.log(metrics)

        try:
            yield write
        finally:
            trackers.close()
