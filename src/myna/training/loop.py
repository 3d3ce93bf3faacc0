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
from accelerate.utils import set_seed
from peft import LoraConfig, get_peft_model

from myna import config, workspace
from myna.config import Train
from myna.errors import TrainingError
from myna.models.libraries import quiet
from myna.training import checkpoints, health, machine, optimizers, parallel, plan
from myna.training.batches import Schedule
from myna.training.loss import sample_losses
from myna.training.memory import Need
from myna.training.samples import Samples
from myna.training.steps import Steps
from myna.training.stopping import asked_to_stop
from myna.training.watching import Curves, Progress, Watch

TIMED_STEPS = 3
READ_DIRECTLY = ("out_proj", "dt_proj", "conv1d")
"""Layers of a state-space mixer whose weights it reads itself (transformers' Mamba and Jamba)."""
DIVERGED = "diverged"
"""The file in a training's folder that says why it went astray."""


def with_lora(model: Any, settings: Train) -> Any:
    """The model with fresh LoRA matrices on all its linear layers; nothing else trained.

    A state-space mixer (Mamba and its kin) reads some weights beside their layers' own
    forward pass, where LoRA would learn nothing: these layers are left out.

    Raises:
        TrainingError: the model has no linear layers that LoRA can be put on.
    """
    set_seed(settings.seed)
    mixers = [name for name, module in model.named_modules() if hasattr(module, "A_log")]
    matrices = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules="all-linear",
        exclude_modules=[f"{mixer}.{layer}" for mixer in mixers for layer in READ_DIRECTLY] or None,
        task_type="CAUSAL_LM",
        use_dora=settings.method == "dora",
    )
    try:
        with quiet():
            adapted = get_peft_model(model, matrices)
    except ValueError as error:
        raise TrainingError(f"LoRA matches no layer of this base: {error}") from error
    if not checkpoints.trainable(adapted):
        raise TrainingError("LoRA matches no layer of this base: choose another")
    return adapted.eval()


@dataclass(frozen=True)
class Job:
    """A training: what, on what, how, and where its checkpoints, plan and log go."""

    model: Any
    """Of `with_lora`, or with every weight to be trained."""
    samples: Samples
    tune: Samples
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
    tune: Samples,
    settings: Train,
    work: Path,
    watch: Watch | None = None,
) -> plan.Plan:
    """Train `model` in place, as a job without more to it; see `run`."""
    return run(Job(model, samples, tune, settings, work, parallel.accelerator(), watch or Watch()))


def run(job: Job, *, dry: bool = False) -> plan.Plan:
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
    main = accelerator.is_main_process
    optimizer, why = optimizers.make(
        checkpoints.trainable(job.model).values(),
        settings,
        accelerator.device,
        split=parallel.sharded(accelerator),
    )
    parameters = checkpoints.counted(job.model)
    model, optimizer = parallel.spread(job.model, optimizer, accelerator)
    schedule = Schedule(job.samples.lengths(), settings.batch_tokens, settings.seed)
    done = checkpoints.restore(work / "checkpoints", model, optimizer)
    part_tokens = job.need.part_tokens if job.need else settings.part_tokens
    steps = Steps(_step, model, job.samples, accelerator, part_tokens, watch.say)
    outlook, rate_of_machine = _outlook(job, model, schedule, steps, parameters, why, dry)
    route = outlook.plan
    watch.outlook(outlook)
    if dry:
        return route
    before = _cut_log(work / "log.jsonl", done, main)
    if done:
        watch.say(f"going on after step {done} of {route.steps}")

    losses = [line["loss"] for line in before]
    checked = [line["step"] for line in before if line["tune_loss"] is not None]
    checks = [line["tune_loss"] for line in before if line["tune_loss"] is not None]
    checking, previews = (
        _evenly(route.steps, settings.checks),
        _evenly(route.steps, settings.previews),
    )
    tune_tokens = plan.tune_tokens(route, settings)
    every = config.seconds(settings.checkpoint_every)
    saved = started = time.monotonic()
    tokens = padded = 0
    ahead = sum(schedule.padded(step) for step in range(done, route.steps))
    step = done
    with asked_to_stop() as wish, _log(work, settings, done, main, watch) as write:
        while step < route.steps and not health.over(checks, settings.patience):
            rate = plan.learning_rate(step, route.steps, settings)
            for group in optimizer.param_groups:
                group["lr"] = rate
            losses.append(steps.gradients(schedule.batch(step)))
            if astray := health.diverged(losses):
                _give_up(job, astray)
            accelerator.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

            tokens += schedule.tokens(step)
            padded += schedule.padded(step)
            ahead -= schedule.padded(step)
            step += 1
            elapsed = time.monotonic() - started
            last = step == route.steps
            tune_loss = None
            if step in checking or last:
                tune_loss = parallel.within(
                    model,
                    accelerator,
                    lambda: mean_loss(model, job.tune, accelerator.device, tune_tokens),
                )
            if tune_loss is not None:
                checked.append(step)
                checks.append(tune_loss)
                if health.best(checks) == len(checks) - 1:
                    checkpoints.save_best(work / "best", step, model, main=main)
            now = Progress(
                step,
                route.steps,
                losses[-1],
                rate,
                tokens,
                tokens / elapsed,
                ahead * elapsed / padded,
                tune_loss,
                _flops(job, outlook) * tokens / elapsed / rate_of_machine,
            )
            write(now)
            watch.step(now)
            if step in previews and not parallel.sharded(accelerator):
                watch.preview(model, step)
            stop, due = parallel.most([wish.stop, time.monotonic() - saved >= every], accelerator)
            if stop or due or last or health.over(checks, settings.patience):
                # One that is far above the start would take the place of a good one.
                if health.sound(losses):
                    checkpoints.save(work / "checkpoints", step, model, optimizer, main=main)
                saved = time.monotonic()
            if stop and not last:
                raise TrainingError(f"stopped after step {step}: `myna train` goes on from there")
    return _best(job, model, route, schedule, step, checked, checks)


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


def _best(
    job: Job,
    model: Any,
    route: plan.Plan,
    schedule: Schedule,
    step: int,
    checked: list[int],
    checks: list[float],
) -> plan.Plan:
    """Have the model as it was when the tune loss was lowest; the plan as it came out."""
    reason = route.reason
    if step < route.steps:
        reason = f"{reason}, ended by {job.settings.patience} checks that were no better"
    lowest = health.best(checks)
    if lowest is not None and checked[lowest] < step:
        best = checked[lowest]
        if checkpoints.load_best(job.work / "best", best, model):
            job.watch.say(f"the best was after step {best} (tune loss {checks[lowest]:.3f}): kept")
            reason = f"{reason}; the best was after {best}"
        else:
            job.watch.say(f"the best, after step {best}, is damaged: the last is kept")
    tokens = sum(schedule.tokens(number) for number in range(step))
    return replace(
        route, steps=step, tokens=tokens, epochs=step / len(schedule.epoch(0)), reason=reason
    )


def _step(
    model: Any, samples: Samples, batch: list[int], accelerator: Accelerator, weight: float = 1.0
) -> torch.Tensor:
    """Gradients of the mean loss over these samples' trained tokens, times `weight`; that loss."""
    ids, masks = [samples.ids[i] for i in batch], [samples.loss_masks[i] for i in batch]
    losses: torch.Tensor = parallel.within(
        model, accelerator, lambda: sample_losses(model, ids, masks, accelerator.device)
    )
    loss = losses.sum() / max(1, losses.numel())
    accelerator.backward(loss * weight)
    return loss.detach()


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
    rate = machine.matmul_rate(accelerator.device, dtype) * accelerator.num_processes
    path = job.work / "plan.json"
    written = workspace.read_json(path)
    if written is not None:
        route = plan.Plan(**written)
    else:
        budget = config.seconds(settings.budget) if settings.budget else None
        speed = _speed(model, schedule, steps, settings)
        [micros] = parallel.most([round(1e6 * speed)], accelerator)
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


def _cut_log(path: Path, done: int, main: bool) -> list[dict[str, Any]]:
    """The log's lines up to the last checkpoint; later ones are cut off: they come again."""
    if not path.exists():
        return []
    lines = path.read_text("utf-8").splitlines()[:done]
    if main:
        workspace.write_text(path, "".join(line + "\n" for line in lines))
    return [json.loads(line) for line in lines]


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
