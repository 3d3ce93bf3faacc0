"""The loop: what is trained, and that stopping changes nothing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.cases import EACH_STEP, SAMPLES, SETTINGS, losses, samples

from myna.config import Train
from myna.errors import TrainingError
from myna.training import checkpoints
from myna.training.data import Samples
from myna.training.distributed import accelerator
from myna.training.gradient_step import Steps
from myna.training.loop import Job, mean_loss, train
from myna.training.loop import run as run_job
from myna.training.methods import with_lora
from myna.training.plan import FEWEST, Outlook
from myna.training.progress import Progress, Watch

Run = Callable[..., Any]


@pytest.fixture
def run(small_model: Callable[[], Any]) -> Run:
    def run(work: Path, watch: Watch | None = None, settings: Train = SETTINGS) -> Any:
        work.mkdir(exist_ok=True)
        model = with_lora(small_model(), settings)
        train(model, samples(), samples(2), settings, work, watch)
        return model

    return run


def test_the_loss_falls_and_only_lora_is_trained(
    run: Run, small_model: Callable[[], Any], tmp_path: Path
) -> None:
    model = run(tmp_path, settings=SETTINGS.model_copy(update={"epochs": 30, "lr": 3e-2}))
    log = losses(tmp_path)
    assert sum(log[-3:]) < 0.8 * sum(log[:3])
    assert all("lora_" in name for name in checkpoints.trainable(model))
    before = small_model().state_dict()
    after = model.get_base_model().state_dict()
    for name, value in before.items():
        mine = name if name in after else name.replace(".weight", ".base_layer.weight")
        torch.testing.assert_close(after[mine], value)


def test_every_linear_layer_but_the_output_gets_lora(small_model: Callable[[], Any]) -> None:
    adapted = with_lora(small_model(), SETTINGS)
    layers = {n.split(".lora_")[0].rsplit(".", 1)[1] for n in checkpoints.trainable(adapted)}
    assert layers == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize("stop_after", [1, 5, 9])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    run: Run, tmp_path: Path, stop_after: int
) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    whole = run(unbroken)

    def stop(now: Progress) -> None:
        if now.step == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(TrainingError, match="goes on from the last checkpoint"):
        run(broken, Watch(step=stop), EACH_STEP)
    resumed = run(broken)
    assert losses(broken) == pytest.approx(losses(unbroken), abs=1e-6)
    for name, value in checkpoints.trainable(whole).items():
        torch.testing.assert_close(checkpoints.trainable(resumed)[name], value)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(run: Run, tmp_path: Path) -> None:
    def stop(now: Progress) -> None:
        if now.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(TrainingError):
        run(tmp_path, Watch(step=stop), EACH_STEP)
    newest = max((tmp_path / "checkpoints").glob("step-*"))
    state = newest / "state.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    steps: list[int] = []
    run(tmp_path, Watch(step=lambda now: steps.append(now.step)))
    assert steps[0] == 5


def test_nothing_to_train_is_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no token would be trained"):
        train(
            with_lora(model, SETTINGS),
            Samples([[1, 2, 3]], [[False] * 3]),
            Samples([], []),
            SETTINGS,
            tmp_path,
        )


def test_a_loss_that_is_no_number_stops_with_advice(run: Run, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"lr": 1e30, "clip": 1e30})
    with pytest.raises(TrainingError, match=r"lower train\.lr"):
        run(tmp_path, settings=settings)


def test_the_plan_is_made_once_and_kept(run: Run, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"budget": "1h"})
    run(tmp_path, settings=settings)
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["tokens_per_second"] > 0
    again: list[Progress] = []
    run(tmp_path, Watch(step=again.append), settings=settings)
    assert not again  # all of its steps are behind it


def checked(**change: Any) -> Train:
    return SETTINGS.model_copy(update={"epochs": 12, "checks": 8, **change})


def tune_losses(work: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    return {
        line["step"]: line["validation_loss"]
        for line in lines
        if line["validation_loss"] is not None
    }


STRANGERS = Samples([[9, 1, 5, 77, 30, 2, 66, 8]], [[i >= 2 for i in range(8)]])
"""What training on the samples soon makes worse."""


def test_the_best_on_the_tune_split_is_what_remains(
    small_model: Callable[[], Any], tmp_path: Path
) -> None:
    settings = checked(lr=0.05, patience=0)
    model = with_lora(small_model(), settings)
    train(model, samples(), STRANGERS, settings, tmp_path)
    found = tune_losses(tmp_path)
    assert len(found) == 9
    lowest = min(found, key=found.__getitem__)
    assert lowest < max(found)
    again = mean_loss(model, STRANGERS, torch.device("cpu"), FEWEST)
    assert again == pytest.approx(found[lowest], rel=1e-4)


def test_checks_that_are_no_better_end_the_training(
    small_model: Callable[[], Any], tmp_path: Path
) -> None:
    settings = checked(lr=0.05, patience=2)
    said: list[str] = []
    plan = train(
        with_lora(small_model(), settings), samples(), STRANGERS, settings, tmp_path,
        Watch(say=said.append),
    )  # fmt: skip
    found = [*tune_losses(tmp_path).values()]
    assert len(found) < 9
    assert min(found[:-2]) < min(found[-2:])
    assert plan.steps == len(losses(tmp_path))
    assert "ended by 2 checks that were no better" in plan.reason
    assert any("the best was after step" in line for line in said)


@pytest.mark.parametrize("stop_after", [7, 20])
def test_a_stop_does_not_change_what_is_best(run: Run, tmp_path: Path, stop_after: int) -> None:
    settings = checked(lr=0.3, clip=1e9, patience=0)
    whole = run(tmp_path / "unbroken", settings=settings)

    def stop(now: Progress) -> None:
        if now.step == stop_after:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingError, match="stopped after step"):
        run(tmp_path / "broken", Watch(step=stop), settings)
    resumed = run(tmp_path / "broken", settings=settings)
    assert tune_losses(tmp_path / "broken") == pytest.approx(tune_losses(tmp_path / "unbroken"))
    for name, value in checkpoints.trainable(whole).items():
        torch.testing.assert_close(checkpoints.trainable(resumed)[name], value)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_the_step_and_saves_it(run: Run, tmp_path: Path, number: int) -> None:
    handler = signal.getsignal(number)

    def interrupt(now: Progress) -> None:
        if now.step == 3:
            os.kill(os.getpid(), number)

    with pytest.raises(TrainingError, match="stopped after step 3: `myna train` goes on"):
        run(tmp_path, Watch(step=interrupt))
    assert signal.getsignal(number) is handler
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-0000003"]
    steps: list[int] = []
    run(tmp_path, Watch(step=lambda now: steps.append(now.step)))
    assert steps[0] == 4


def test_a_loss_that_climbs_and_stays_is_given_up_with_the_good_checkpoint_kept(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients, counted = Steps.gradients, iter(range(1000))

    def climbing(self: Steps, batch: list[int]) -> float:
        return gradients(self, batch) + (20 if next(counted) >= 12 else 0)

    monkeypatch.setattr(Steps, "gradients", climbing)
    settings = EACH_STEP.model_copy(update={"epochs": 40})
    with pytest.raises(TrainingError, match=r"the loss rose from .*lower train\.lr \(now 0\.01\)"):
        run(tmp_path, settings=settings)
    far = [loss > 20 for loss in losses(tmp_path)].index(True)
    newest = max((tmp_path / "checkpoints").glob("step-*"))
    # It needs some steps to see that this was no chance.
    assert far <= int(newest.name.removeprefix("step-")) < far + 5
    assert len(losses(tmp_path)) == far + 19
    assert "the loss rose" in (tmp_path / "diverged").read_text()


def test_a_dry_run_measures_and_leaves_nothing_behind(
    small_model: Callable[[], Any], tmp_path: Path
) -> None:
    seen: list[Outlook] = []
    settings = SETTINGS.model_copy(update={"epochs": 20})
    model = with_lora(small_model(), settings)
    before = {name: p.clone() for name, p in checkpoints.trainable(model).items()}
    job = Job(
        model, SAMPLES, samples(2), settings, tmp_path, accelerator(), Watch(outlook=seen.append)
    )
    plan = run_job(job, dry=True)
    assert not list(tmp_path.iterdir())
    [outlook] = seen
    assert outlook.plan == plan
    assert outlook.samples == 12
    assert outlook.trained_tokens == SAMPLES.trained()
    assert outlook.seconds > 0
    assert outlook.trained_parameters == sum(p.numel() for p in before.values())
    for name, value in checkpoints.trainable(model).items():
        assert torch.equal(value, before[name])


def test_progress_tells_the_share_of_the_machines_peak(run: Run, tmp_path: Path) -> None:
    seen: list[Progress] = []
    run(tmp_path, Watch(step=seen.append))
    assert all(now.peak_share is not None and 0 < now.peak_share < 1 for now in seen)
