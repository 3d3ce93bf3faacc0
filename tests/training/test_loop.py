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
from tests.training.cases import EACH_STEP, SAMPLES, SETTINGS, losses, samples, train

from myna.config import Train
from myna.errors import TrainingError
from myna.training import checkpoints
from myna.training.data import Samples
from myna.training.distributed import make_accelerator
from myna.training.gradient_step import GradientAccumulator
from myna.training.loop import TrainingJob, mean_loss
from myna.training.loop import run as run_job
from myna.training.methods import add_lora
from myna.training.plan import MIN_VALIDATION_TOKENS, TrainingEstimate
from myna.training.progress import StepMetrics, TrainingCallbacks

Run = Callable[..., Any]


@pytest.fixture
def run(small_model: Callable[[], Any]) -> Run:
    def run(
        work: Path, callbacks: TrainingCallbacks | None = None, settings: Train = SETTINGS
    ) -> Any:
        work.mkdir(exist_ok=True)
        model = add_lora(small_model(), settings)
        train(model, samples(), samples(2), settings, work, callbacks)
        return model

    return run


def test_the_loss_falls_and_only_lora_is_trained(
    run: Run, small_model: Callable[[], Any], tmp_path: Path
) -> None:
    model = run(
        tmp_path,
        settings=SETTINGS.model_copy(update={"num_train_epochs": 30, "learning_rate": 3e-2}),
    )
    log = losses(tmp_path)
    assert sum(log[-3:]) < 0.8 * sum(log[:3])
    assert all("lora_" in name for name in checkpoints.trainable_parameters(model))
    before = small_model().state_dict()
    after = model.get_base_model().state_dict()
    for name, value in before.items():
        mine = name if name in after else name.replace(".weight", ".base_layer.weight")
        torch.testing.assert_close(after[mine], value)


def test_every_linear_layer_but_the_output_gets_lora(small_model: Callable[[], Any]) -> None:
    adapted = add_lora(small_model(), SETTINGS)
    layers = {
        n.split(".lora_")[0].rsplit(".", 1)[1] for n in checkpoints.trainable_parameters(adapted)
    }
    assert layers == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize("stop_after", [1, 5, 9])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    run: Run, tmp_path: Path, stop_after: int
) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    whole = run(unbroken)

    def stop(now: StepMetrics) -> None:
        if now.step == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(TrainingError, match="resumes from the last checkpoint"):
        run(broken, TrainingCallbacks(on_step=stop), EACH_STEP)
    resumed = run(broken)
    assert losses(broken) == pytest.approx(losses(unbroken), abs=1e-6)
    for name, value in checkpoints.trainable_parameters(whole).items():
        torch.testing.assert_close(checkpoints.trainable_parameters(resumed)[name], value)


def test_sample_replies_stand_beside_the_log(run: Run, tmp_path: Path) -> None:
    said = [("Ben: soup?", "Ana", "me"), ("Ana: tea?", "Ben", "")]
    run(tmp_path, TrainingCallbacks(on_preview=lambda _model, _step: said))
    lines = [json.loads(line) for line in (tmp_path / "previews.jsonl").read_text().splitlines()]
    assert [(line["asked"], line["person"], line["reply"]) for line in lines] == said
    assert 0 < lines[0]["step"] < len(losses(tmp_path))


def test_a_damaged_checkpoint_gives_way_to_the_one_before(run: Run, tmp_path: Path) -> None:
    def stop(now: StepMetrics) -> None:
        if now.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(TrainingError):
        run(tmp_path, TrainingCallbacks(on_step=stop), EACH_STEP)
    newest = max((tmp_path / "checkpoints").glob("step-*"))
    state = newest / "state.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    steps: list[int] = []
    run(tmp_path, TrainingCallbacks(on_step=lambda now: steps.append(now.step)))
    assert steps[0] == 5


def test_nothing_to_train_is_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no token would be trained"):
        train(
            add_lora(model, SETTINGS),
            Samples([[1, 2, 3]], [[False] * 3]),
            Samples([], []),
            SETTINGS,
            tmp_path,
        )


def test_a_loss_that_is_no_number_stops_with_advice(run: Run, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"learning_rate": 1e30, "max_grad_norm": 1e30})
    with pytest.raises(TrainingError, match=r"lower train\.learning_rate"):
        run(tmp_path, settings=settings)


def test_a_finished_run_is_not_trained_on(run: Run, tmp_path: Path) -> None:
    run(tmp_path)
    again: list[StepMetrics] = []
    run(tmp_path, TrainingCallbacks(on_step=again.append))
    assert not again  # all of its steps are behind it


def checked(**change: Any) -> Train:
    return SETTINGS.model_copy(update={"num_train_epochs": 12, "validations": 8, **change})


def tune_losses(work: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    return {
        line["step"]: line["validation_loss"]
        for line in lines
        if line["validation_loss"] is not None
    }


STRANGERS = Samples([[9, 1, 5, 77, 30, 2, 66, 8]], [[i >= 2 for i in range(8)]])
"""A validation split that training on the samples soon makes worse."""


def test_the_best_on_the_tune_split_is_what_remains(
    small_model: Callable[[], Any], tmp_path: Path
) -> None:
    settings = checked(learning_rate=0.05, patience=0)
    model = add_lora(small_model(), settings)
    train(model, samples(), STRANGERS, settings, tmp_path)
    found = tune_losses(tmp_path)
    assert len(found) == 9
    lowest = min(found, key=found.__getitem__)
    assert lowest < max(found)
    again = mean_loss(model, STRANGERS, torch.device("cpu"), MIN_VALIDATION_TOKENS)
    assert again == pytest.approx(found[lowest], rel=1e-4)


def test_validations_without_improvement_end_the_training(
    small_model: Callable[[], Any], tmp_path: Path
) -> None:
    settings = checked(learning_rate=0.05, patience=2)
    said: list[str] = []
    plan = train(
        add_lora(small_model(), settings), samples(), STRANGERS, settings, tmp_path,
        TrainingCallbacks(report=said.append),
    )  # fmt: skip
    found = [*tune_losses(tmp_path).values()]
    assert len(found) < 9
    assert min(found[:-2]) < min(found[-2:])
    assert plan.steps == len(losses(tmp_path))
    assert "stopped after 2 validation runs without improvement" in plan.reason
    assert any("kept the best checkpoint, of step" in line for line in said)


@pytest.mark.parametrize("stop_after", [7, 20])
def test_a_stop_does_not_change_what_is_best(run: Run, tmp_path: Path, stop_after: int) -> None:
    settings = checked(learning_rate=0.3, max_grad_norm=1e9, patience=0)
    whole = run(tmp_path / "unbroken", settings=settings)

    def stop(now: StepMetrics) -> None:
        if now.step == stop_after:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingError, match="stopped after step"):
        run(tmp_path / "broken", TrainingCallbacks(on_step=stop), settings)
    resumed = run(tmp_path / "broken", settings=settings)
    assert tune_losses(tmp_path / "broken") == pytest.approx(tune_losses(tmp_path / "unbroken"))
    for name, value in checkpoints.trainable_parameters(whole).items():
        torch.testing.assert_close(checkpoints.trainable_parameters(resumed)[name], value)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_the_step_and_saves_it(run: Run, tmp_path: Path, number: int) -> None:
    handler = signal.getsignal(number)

    def interrupt(now: StepMetrics) -> None:
        if now.step == 3:
            os.kill(os.getpid(), number)

    with pytest.raises(TrainingError, match="stopped after step 3: `myna train` resumes"):
        run(tmp_path, TrainingCallbacks(on_step=interrupt))
    assert signal.getsignal(number) is handler
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-0000003"]
    steps: list[int] = []
    run(tmp_path, TrainingCallbacks(on_step=lambda now: steps.append(now.step)))
    assert steps[0] == 4


def test_a_loss_that_climbs_and_stays_is_given_up_with_the_good_checkpoint_kept(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients, counted = GradientAccumulator.accumulate, iter(range(1000))

    def climbing(self: GradientAccumulator, batch: list[int]) -> float:
        return gradients(self, batch) + (20 if next(counted) >= 12 else 0)

    monkeypatch.setattr(GradientAccumulator, "accumulate", climbing)
    settings = EACH_STEP.model_copy(update={"num_train_epochs": 40})
    with pytest.raises(
        TrainingError, match=r"the loss rose from .*lower train\.learning_rate \(now 0\.01\)"
    ):
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
    seen: list[TrainingEstimate] = []
    settings = SETTINGS.model_copy(update={"num_train_epochs": 20})
    model = add_lora(small_model(), settings)
    before = {name: p.clone() for name, p in checkpoints.trainable_parameters(model).items()}
    job = TrainingJob(
        model,
        SAMPLES,
        samples(2),
        settings,
        tmp_path,
        make_accelerator(),
        TrainingCallbacks(on_estimate=seen.append),
    )
    plan = run_job(job, dry_run=True).plan
    assert not list(tmp_path.iterdir())
    [estimate] = seen
    assert estimate.plan == plan
    assert estimate.samples == 12
    assert estimate.trained_tokens == SAMPLES.trained_tokens()
    assert estimate.seconds > 0
    assert estimate.trained_parameters == sum(p.numel() for p in before.values())
    for name, value in checkpoints.trainable_parameters(model).items():
        assert torch.equal(value, before[name])


def test_progress_tells_the_share_of_the_machines_peak(run: Run, tmp_path: Path) -> None:
    seen: list[StepMetrics] = []
    run(tmp_path, TrainingCallbacks(on_step=seen.append))
    assert all(now.peak_share is not None and 0 < now.peak_share < 1 for now in seen)
