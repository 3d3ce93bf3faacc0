"""The training loop: read it top to bottom.

    samples → batches → model and optimiser → resume → steps by the clock → the best checkpoint

The batch of a step is a pure function of (seed, step), and the schedule keeps each step's
progress, so a run that was killed and resumed is the same as one that was not, on any
number of processes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from myna import config, workspace
from myna.artifacts import TrainingPlan, TrainingResult
from myna.config import Train
from myna.errors import TrainingError
from myna.training import checkpoints, distributed, hardware, methods, progress
from myna.training.data import BatchSampler, Samples
from myna.training.gradient_step import GradientAccumulator
from myna.training.hardware import MemoryEstimate
from myna.training.loss import token_losses
from myna.training.plan import (
    TrainingEstimate,
    carried_out,
    make_plan,
    shortfall,
    validation_tokens,
)
from myna.training.progress import (
    LossHistory,
    StepMetrics,
    Trackers,
    TrainingCallbacks,
    catch_stop_signals,
)
from myna.training.schedule import Clock, Schedule

MEASURED_STEPS = 2
"""Steps after which the plan is made; their speed but the first one's is the run's."""
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
    clock: Clock = field(default_factory=Clock)
    """With the budget."""
    memory: MemoryEstimate | None = None
    """None: each batch is computed at once, unless the settings say otherwise."""
    notes: tuple[str, str, tuple[str, ...]] = ("", "", ())
    """Device, precision and kernels, with reasons: for the estimate."""


def run(job: TrainingJob, *, dry_run: bool = False) -> TrainingResult:
    """Train to the best checkpoint; return the plan as it was carried out, and the loss.

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
    path = None if dry_run else work / "schedule.jsonl"
    schedule = Schedule(sampler, settings, job.clock, accelerator, path)
    step = checkpoints.restore(work / "checkpoints", model, optimizer)
    micro_batch_tokens = (job.memory or settings).micro_batch_tokens
    gradients = GradientAccumulator(
        model, job.samples, accelerator, micro_batch_tokens, callbacks.report
    )
    estimates = _Estimates(job, model, schedule, gradients, (parameters, optimizer_reason))
    if dry_run:
        return TrainingResult(estimates.measure(), None)
    history = _read_history(work / "log.jsonl", step, main)
    begins = "the first steps, which also tell the speed"
    callbacks.report(f"resuming after step {step}" if step else begins)
    save_every = config.seconds(settings.checkpoint_every)
    saved_at = job.clock.now()
    scheduled = schedule.next(step)
    with catch_stop_signals() as stop_request, _open_log(job, step) as log:
        while scheduled is not None and not history.is_out_of_patience(settings.patience):
            started, rate = job.clock.now(), schedule.rate(scheduled)
            history.losses.append(gradients.accumulate(schedule.batch(scheduled)))
            if divergence := progress.divergence(history.losses):
                _stop_diverged(job, divergence)
            accelerator.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            _update(optimizer, rate)
            schedule.timed(job.clock.now() - started, scheduled)
            step += 1

            tokens = estimates.validation_tokens(step)
            is_due = schedule.is_passed(scheduled, settings.validations)
            validation_loss = None
            if is_due and schedule.affords_validation(tokens, 2):  # the last one, too
                validation_loss = _validate(job, model, schedule, tokens)
            if not sharded and schedule.is_passed(scheduled, settings.previews):
                _preview(job, model, schedule, step)
            scheduled = schedule.next(step, tokens)
            is_missing = scheduled is None and validation_loss is None
            if is_missing and schedule.affords_validation(tokens, 1):
                validation_loss = _validate(job, model, schedule, tokens)
            if validation_loss is not None and history.is_best(step, validation_loss):
                checkpoints.save_best(work / "best", step, model, main=main)
            last = scheduled is None or history.is_out_of_patience(settings.patience)
            metrics = estimates.metrics(step, history.losses[-1], rate, validation_loss, last=last)
            log(metrics)
            callbacks.on_step(metrics)

            flags = [stop_request.is_set, job.clock.now() - saved_at >= save_every]
            stop, is_due = map(bool, distributed.all_reduce_max(flags, accelerator))
            if stop or is_due or last:
                # A diverged state must not replace a good checkpoint.
                if progress.is_near_start(history.losses):
                    checkpoints.save(work / "checkpoints", step, model, optimizer, main=main)
                saved_at = job.clock.now()
            if stop and not last:
                raise TrainingError(f"stopped after step {step}: `myna train` resumes from there")
    plan, is_early = estimates.plan_of(step), history.is_out_of_patience(settings.patience)
    few = "" if is_early else shortfall(plan, schedule)
    plan = _restore_best(job, model, plan, step, history)
    return TrainingResult(plan, progress.final_loss(history.losses), few)


def _update(optimizer: Any, rate: float) -> None:
    """Take the optimiser's step at this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _validate(job: TrainingJob, model: Any, schedule: Schedule, tokens: int) -> float | None:
    """The mean loss over so many tokens of the validation split."""
    started = job.clock.now()
    device = job.accelerator.device
    loss: float | None = distributed.with_gathered_weights(
        model, job.accelerator, lambda: mean_loss(model, job.validation, device, tokens)
    )
    schedule.timed_validation(job.clock.now() - started)
    return loss


def _preview(job: TrainingJob, model: Any, schedule: Schedule, step: int) -> None:
    """Let the callback have sample replies, if the budget allows."""
    started = job.clock.now()
    if schedule.affords_preview():
        _save_previews(job.work, step, job.callbacks.on_preview(model, step))
        schedule.timed_preview(job.clock.now() - started)


class _Estimates:
    """The plan of a run and its speed, from the steps that it has computed."""

    def __init__(
        self,
        job: TrainingJob,
        model: Any,
        schedule: Schedule,
        gradients: GradientAccumulator,
        notes: tuple[int, str],
    ) -> None:
        """`notes` are the parameters of the model, and the optimiser with its reason."""
        self._job, self._model, self._schedule, self._gradients = job, model, schedule, gradients
        self._parameters, self._optimizer = notes
        saved = workspace.read_json(job.work / "plan.json")
        self._plan = TrainingPlan(**saved) if saved is not None else None
        self._told = False
        self._most_validation_tokens = sum(job.validation.lengths())
        self._tokens = 0
        self._started = job.clock.now()
        accelerator = job.accelerator
        dtype = next(model.parameters()).dtype
        if not dtype.is_floating_point:
            dtype = torch.float32
        rate = hardware.matmul_rate(accelerator.device, dtype)
        self._machine_rate = rate * accelerator.num_processes

    def measure(self) -> TrainingPlan:
        """The plan by the speed of a few steps, which are not carried out: for a dry run."""
        for step in range(min(MEASURED_STEPS, self._schedule.most_steps)):
            scheduled, started = self._schedule.next(step), self._job.clock.now()
            if scheduled is None:
                break
            self._gradients.accumulate(self._schedule.batch(scheduled))
            self._model.zero_grad(set_to_none=True)
            self._schedule.timed(self._job.clock.now() - started, scheduled)
        self._plan = make_plan(self._schedule, 0, self._schedule.speed())
        self._job.callbacks.on_estimate(self._estimate(self._plan))
        return self._plan

    def validation_tokens(self, step: int) -> int:
        """The tokens of each validation run.

        The plan decides, which is made and told after a few steps; a resumed run keeps the one
        that it was started with.
        """
        schedule = self._schedule
        plan = self._plan or make_plan(schedule, step, schedule.speed())
        is_due = schedule.timed_steps >= MEASURED_STEPS or step >= schedule.most_steps
        if is_due and not self._told:
            self._tell(plan)
        return min(validation_tokens(plan, self._job.settings), self._most_validation_tokens)

    def _tell(self, plan: TrainingPlan) -> None:
        """Keep the plan, and tell the estimate."""
        if self._plan is None and self._job.accelerator.is_main_process:
            workspace.write_json(self._job.work / "plan.json", asdict(plan))
        self._plan, self._told = plan, True
        self._job.callbacks.on_estimate(self._estimate(plan))

    def metrics(
        self, step: int, loss: float, rate: float, validation_loss: float | None, *, last: bool
    ) -> StepMetrics:
        """Metrics after `step` steps."""
        if last and not self._told:
            plan = self._plan or make_plan(self._schedule, step, self._schedule.speed())
            self._tell(plan)
        self._tokens += self._schedule.tokens(step - 1)
        per_second = self._tokens / max(1e-9, self._job.clock.now() - self._started)
        steps_left, seconds_left = (0, 0.0) if last else self._schedule.left(step)
        return StepMetrics(
            step=step,
            steps=step + steps_left,
            loss=loss,
            learning_rate=rate,
            tokens=self._tokens,
            tokens_per_second=per_second,
            seconds_left=seconds_left,
            validation_loss=validation_loss,
            peak_share=_flops_per_token(self._job, self._parameters)
            * per_second
            / self._machine_rate,
        )

    def plan_of(self, steps: int) -> TrainingPlan:
        """The plan as it was carried out, in so many steps."""
        schedule, settings = self._schedule, self._job.settings
        reason = f"{settings.num_train_epochs:g} epochs"
        if steps < schedule.most_steps and schedule.clock.budget is not None:
            reason = f"as many as fitted into {schedule.clock.budget:g} s"
        speed = self._plan.tokens_per_second if self._plan else None
        if schedule.timed_steps:
            speed = schedule.speed()
        return carried_out(schedule, steps, reason, speed, schedule.clock.elapsed())

    def _estimate(self, plan: TrainingPlan) -> TrainingEstimate:
        """The estimate of the run by its plan."""
        job, schedule = self._job, self._schedule
        settings, processes = job.settings, job.accelerator.num_processes
        trained = sum(p.numel() for p in checkpoints.trainable_parameters(self._model).values())
        micro_batch = self._gradients.micro_batch_tokens or settings.batch_tokens
        share = -(-settings.batch_tokens // processes)
        padded_tokens = sum(schedule.sampler.padded_tokens(step) for step in range(plan.steps))
        device, precision, kernels = job.notes
        speed, weights = plan.tokens_per_second or 0.0, job.samples.weights
        return TrainingEstimate(
            plan=plan,
            samples=len(job.samples.ids),
            trained_tokens=job.samples.trained_tokens(),
            seconds=padded_tokens / speed if speed else 0.0,
            device=device,
            precision=precision,
            kernels=list(kernels),
            optimizer=self._optimizer,
            parameters=self._parameters,
            trained_parameters=trained,
            need=job.memory.total if job.memory else 0,
            free=job.memory.free if job.memory else 0,
            micro_batch_tokens=micro_batch,
            micro_batches=-(-share // micro_batch),
            checkpointing=bool(job.memory and job.memory.checkpointing),
            processes=processes,
            peak_share=_flops_per_token(job, self._parameters) * speed / self._machine_rate,
            weights=(min(weights), max(weights)) if weights else None,
        )


def _flops_per_token(job: TrainingJob, parameters: int) -> int:
    """Floating-point operations for one token.

    Two for each parameter forwards, two backwards, and two more where weights are trained.
    """
    return parameters * (6 if job.settings.method == "full" else 4)


def _stop_diverged(job: TrainingJob, divergence: str) -> None:
    if job.accelerator.is_main_process:
        workspace.write_text(job.work / DIVERGED_FILE, divergence + "\n")
    raise TrainingError(
        f"{divergence}: lower train.learning_rate (now {job.settings.learning_rate:g}) and run "
        "`myna train` again; it resumes from the last good checkpoint"
    )


def _restore_best(
    job: TrainingJob, model: Any, plan: TrainingPlan, step: int, history: LossHistory
) -> TrainingPlan:
    """Restore the checkpoint with the lowest validation loss; return the plan with the reason."""
    reason = plan.reason
    if history.is_out_of_patience(job.settings.patience):
        reason = (
            f"{reason}, stopped after {job.settings.patience} validation runs without improvement"
        )
    best = history.best_step()
    # What was not measured in the end, for want of time, is taken to be the best.
    if best is not None and best < step and step in history.validations:
        if checkpoints.load_best(job.work / "best", best, model):
            loss = history.validations[best]
            job.callbacks.report(
                f"kept the best checkpoint, of step {best} (validation loss {loss:.3f})"
            )
            reason = f"{reason}; the best was step {best}"
        else:
            job.callbacks.report(f"the best checkpoint, of step {best}, is damaged: kept the last")
    return replace(plan, reason=reason)


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
