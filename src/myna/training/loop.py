"""The training loop: read it top to bottom.

    samples → schedule → model with what is trained → plan → resume → steps → the best of them

The batch of a step is a pure function of (seed, step) and the plan is fixed before the
first step, so a run that was killed and goes on is the same as one that was not, on
however many processes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from myna import config, workspace
from myna.artifacts import Plan
from myna.config import Train
from myna.errors import TrainingError
from myna.training import checkpoints, distributed, hardware, methods, plan, progress
from myna.training.data import Samples, Schedule
from myna.training.gradient_step import Steps
from myna.training.hardware import Need
from myna.training.loss import sample_losses
from myna.training.progress import Curves, Progress, Watch, asked_to_stop

TIMED_STEPS = 3
DIVERGED = "diverged"
"""The file in a training's folder that says why it went astray."""


@dataclass(frozen=True)
class Job:
    """A training: what, on what, how, and where its checkpoints, plan and log go."""

    model: Any
    """Of `with_lora`, or with every weight to be trained."""
    samples: Samples
    validation: Samples
    settings: Train
    work: Path
    accelerator: Accelerator
    watch: Watch
    need: Need | None = None
    """The memory it was found to need; None computes each batch at once."""
    notes: tuple[str, str, tuple[str, ...]] = ("", "", ())
    """The device, the precision and why, the kernels and why: for the outlook."""


def train(
    model: Any,
    samples: Samples,
    validation: Samples,
    settings: Train,
    work: Path,
    watch: Watch | None = None,
) -> Plan:
    """Train `model` in place, as a job without more to it; see `run`."""
    return run(
        Job(model, samples, validation, settings, work, distributed.accelerator(), watch or Watch())
    )


def run(job: Job, *, dry: bool = False) -> Plan:
    """Do a job: its model is the best that was found on the way. The plan, as it came out.

    One that stopped in its folder goes on from its last checkpoint. With `dry` the watch
    is told the outlook, and no more.

    Raises:
        TrainingError: nothing to train on, a loss that went astray, or Ctrl-C.
    """
    settings, work, watch, accelerator = job.settings, job.work, job.watch, job.accelerator
    if not job.samples.trained():
        raise TrainingError(
            "no token would be trained: see `myna inspect`, and who may be cloned in people.toml"
        )
    main, sharded = accelerator.is_main_process, distributed.sharded(accelerator)
    optimizer, why = methods.make_optimizer(
        checkpoints.trainable(job.model).values(), settings, accelerator.device, split=sharded
    )
    parameters = checkpoints.counted(job.model)
    model, optimizer = distributed.spread(job.model, optimizer, accelerator)
    schedule = Schedule(job.samples.lengths(), settings.batch_tokens, settings.seed)
    step = checkpoints.restore(work / "checkpoints", model, optimizer)
    part_tokens = job.need.part_tokens if job.need else settings.part_tokens
    steps = Steps(model, job.samples, accelerator, part_tokens, watch.say)
    outlook, machine_rate = _outlook(job, model, schedule, steps, parameters, why, dry)
    route = outlook.plan
    watch.outlook(outlook)
    if dry:
        return route
    history = _history(work / "log.jsonl", step, main)
    if step:
        watch.say(f"going on after step {step} of {route.steps}")

    validated = _evenly(route.steps, settings.checks) | {route.steps}
    previewed = set() if sharded else _evenly(route.steps, settings.previews)
    save_every = config.seconds(settings.checkpoint_every)
    saved_at = time.monotonic()
    speed = _Speed(schedule, step, route.steps, _flops(job, outlook) / machine_rate)
    with asked_to_stop() as wish, _log(work, settings, step, main, watch) as write:
        while step < route.steps and not history.is_over(settings.patience):
            rate = plan.learning_rate(step, route.steps, settings)
            for group in optimizer.param_groups:
                group["lr"] = rate
            history.losses.append(steps.gradients(schedule.batch(step)))
            if astray := progress.divergence(history.losses):
                _give_up(job, astray)
            accelerator.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            speed.add(step)
            step += 1

            validation_loss = _validate(job, model, route) if step in validated else None
            if validation_loss is not None and history.is_best(step, validation_loss):
                checkpoints.save_best(work / "best", step, model, main=main)
            now = speed.progress(step, history.losses[-1], rate, validation_loss)
            write(now)
            watch.step(now)
            if step in previewed:
                watch.preview(model, step)

            is_due = time.monotonic() - saved_at >= save_every
            stop, is_due = map(bool, distributed.most([wish.stop, is_due], accelerator))
            last = step == route.steps or history.is_over(settings.patience)
            if stop or is_due or last:
                # One that is far above the start would take the place of a good one.
                if progress.is_sound(history.losses):
                    checkpoints.save(work / "checkpoints", step, model, optimizer, main=main)
                saved_at = time.monotonic()
            if stop and step < route.steps:
                raise TrainingError(f"stopped after step {step}: `myna train` goes on from there")
    return _best(job, model, route, schedule, step, history)


@dataclass
class _History:
    """The losses of a run so far, those before it was stopped included."""

    losses: list[float]
    """Of each step."""
    validations: dict[int, float]
    """The validation loss after some steps."""

    def is_best(self, step: int, validation_loss: float) -> bool:
        """Enter a validation loss; whether it is lower than all before."""
        self.validations[step] = validation_loss
        return self.best_step() == step

    def best_step(self) -> int | None:
        """The step after which the validation loss was lowest; None without any."""
        best = progress.best_validation(list(self.validations.values()))
        return None if best is None else list(self.validations)[best]

    def is_over(self, patience: int) -> bool:
        """Whether the validation loss has not been better for `patience` checks."""
        return progress.patience_is_over(list(self.validations.values()), patience)


class _Speed:
    """The tokens that were trained since a run was started, and how fast."""

    def __init__(self, schedule: Schedule, done: int, steps: int, share: float) -> None:
        """After `done` of `steps`; a token takes `share` of a second at the machine's peak."""
        self._schedule, self._steps, self._share = schedule, steps, share
        self._tokens = self._padded = 0
        self._ahead = sum(schedule.padded(step) for step in range(done, steps))
        self._started = time.monotonic()
        self._elapsed = 0.0

    def add(self, step: int) -> None:
        """Count a step that is done."""
        padded = self._schedule.padded(step)
        self._tokens += self._schedule.tokens(step)
        self._padded += padded
        self._ahead -= padded
        self._elapsed = time.monotonic() - self._started

    def progress(
        self, step: int, loss: float, rate: float, validation_loss: float | None
    ) -> Progress:
        """Where the run is after `step` steps."""
        per_second = self._tokens / self._elapsed
        return Progress(
            step=step,
            steps=self._steps,
            loss=loss,
            lr=rate,
            tokens=self._tokens,
            tokens_per_second=per_second,
            seconds_left=self._ahead * self._elapsed / self._padded,
            validation_loss=validation_loss,
            peak_share=self._share * per_second,
        )


def _evenly(steps: int, times: int) -> set[int]:
    """The steps after which something is done `times` times on the way, the end aside."""
    return {round(steps * (n + 1) / (times + 1)) for n in range(times)} - {0}


def _flops(job: Job, outlook: plan.Outlook) -> int:
    """Floating-point operations for one token: forwards and backwards, through each
    parameter twice each; weights that are trained take twice more for their gradients.
    """
    return outlook.parameters * (6 if job.settings.method == "full" else 4)


def _give_up(job: Job, astray: str) -> None:
    if job.accelerator.is_main_process:
        workspace.write_text(job.work / DIVERGED, astray + "\n")
    raise TrainingError(
        f"{astray}: lower train.lr (now {job.settings.lr:g}) and run `myna train` again; it "
        "goes on from the last good checkpoint, which is kept"
    )


def _validate(job: Job, model: Any, route: Plan) -> float | None:
    """The mean loss over the validation split, or as much of it as there is time for."""
    tokens = plan.validation_tokens(route, job.settings)
    device = job.accelerator.device
    loss: float | None = distributed.within(
        model, job.accelerator, lambda: mean_loss(model, job.validation, device, tokens)
    )
    return loss


def _best(
    job: Job, model: Any, route: Plan, schedule: Schedule, step: int, history: _History
) -> Plan:
    """Have the model as it was when the validation loss was lowest; the plan as it came out."""
    reason = route.reason
    if step < route.steps:
        reason = f"{reason}, ended by {job.settings.patience} checks that were no better"
    best = history.best_step()
    if best is not None and best < step:
        if checkpoints.load_best(job.work / "best", best, model):
            loss = history.validations[best]
            job.watch.say(f"the best was after step {best} (validation loss {loss:.3f}): kept")
            reason = f"{reason}; the best was after {best}"
        else:
            job.watch.say(f"the best, after step {best}, is damaged: the last is kept")
    tokens = sum(schedule.tokens(number) for number in range(step))
    return replace(
        route, steps=step, tokens=tokens, epochs=step / len(schedule.epoch(0)), reason=reason
    )


def _outlook(
    job: Job,
    model: Any,
    schedule: Schedule,
    steps: Steps,
    parameters: int,
    optimizer: str,
    dry: bool,
) -> tuple[plan.Outlook, float]:
    """What this run will be, its speed measured; and this machine's matrix-product rate.

    The plan is that which the run was begun with, or a new one.
    """
    settings, accelerator = job.settings, job.accelerator
    dtype = next(model.parameters()).dtype
    if not dtype.is_floating_point:
        dtype = torch.float32
    rate = hardware.matmul_rate(accelerator.device, dtype) * accelerator.num_processes
    path = job.work / "plan.json"
    written = workspace.read_json(path)
    if written is not None:
        route = Plan(**written)
    else:
        budget = config.seconds(settings.budget) if settings.budget else None
        speed = _speed(model, schedule, steps, settings)
        [micros] = distributed.most([round(1e6 * speed)], accelerator)
        route = plan.make(schedule, settings, micros / 1e6, budget)
        if not dry and accelerator.is_main_process:
            workspace.write_json(path, asdict(route))
        accelerator.wait_for_everyone()
    trained = sum(p.numel() for p in checkpoints.trainable(model).values())
    part = steps.part_tokens or settings.batch_tokens
    share = -(-settings.batch_tokens // accelerator.num_processes)
    padded = sum(schedule.padded(step) for step in range(route.steps))
    device, precision, kernels = job.notes
    outlook = plan.Outlook(
        plan=route,
        samples=len(job.samples.ids),
        trained_tokens=job.samples.trained(),
        seconds=padded / route.tokens_per_second if route.tokens_per_second else 0.0,
        device=device,
        precision=precision,
        kernels=list(kernels),
        optimizer=optimizer,
        parameters=parameters,
        trained_parameters=trained,
        need=job.need.total if job.need else 0,
        free=job.need.free if job.need else 0,
        part_tokens=part,
        parts=-(-share // part),
        checkpointing=bool(job.need and job.need.checkpointing),
        processes=accelerator.num_processes,
        peak_share=0.0,
    )
    reached = _flops(job, outlook) * (route.tokens_per_second or 0) / rate
    return replace(outlook, peak_share=reached), rate


def _speed(model: Any, schedule: Schedule, steps: Steps, settings: Train) -> float:
    """Padded tokens per second of the first steps, the very first one not counted.

    Nothing is learned from them: they come again.
    """
    begun, tokens = 0.0, 0
    wanted = schedule.steps(settings.epochs)
    for step in range(1 + (TIMED_STEPS if wanted > 20 * TIMED_STEPS else 1)):
        if step == 1:
            begun = time.monotonic()
        steps.gradients(schedule.batch(step % wanted))
        model.zero_grad(set_to_none=True)
        tokens += schedule.padded(step % wanted) if step else 0
    return tokens / max(time.monotonic() - begun, 1e-9)


def mean_loss(model: Any, samples: Samples, device: torch.device, most_tokens: int) -> float | None:
    """Mean loss (nats per trained token) over the first samples; None without any."""
    total, count, seen = 0.0, 0, 0
    with torch.inference_mode():
        for tokens, mask in zip(samples.ids, samples.loss_masks, strict=True):
            if seen and seen + len(tokens) > most_tokens:
                break
            seen += len(tokens)
            losses = sample_losses(model, [tokens], [mask], device)
            total += float(losses.sum())
            count += losses.numel()
    return total / count if count else None


def _history(path: Path, done: int, main: bool) -> _History:
    """The losses up to the last checkpoint; later lines of the log are cut off: they come again."""
    lines = path.read_text("utf-8").splitlines()[:done] if path.exists() else []
    if main and path.exists():
        workspace.write_text(path, "".join(line + "\n" for line in lines))
    steps = [json.loads(line) for line in lines]
    return _History(
        [step["loss"] for step in steps],
        {
            step["step"]: step["validation_loss"]
            for step in steps
            if step["validation_loss"] is not None
        },
    )


@contextmanager
def _log(work: Path, settings: Train, done: int, main: bool, watch: Watch) -> Iterator[Any]:
    """A function that takes a step's progress, into the log and the curves of trackers."""
    if not main:
        yield lambda _: None
        return
    curves = Curves(settings, work, done, watch.say)
    with (work / "log.jsonl").open("a", encoding="utf-8") as log:

        def write(now: Progress) -> None:
            log.write(json.dumps(asdict(now)) + "\n")
            log.flush()
            curves.add(now)

        try:
            yield write
        finally:
            curves.close()
