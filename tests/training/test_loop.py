"""The loop: what is trained, and that stopping changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from myna.config import Train
from myna.errors import TrainingError
from myna.training import checkpoints
from myna.training.loop import Progress, Samples, Watch, train, with_lora

Run = Callable[..., Any]
SETTINGS = Train(
    epochs=4, batch_tokens=64, lr=1e-2, rank=4, alpha=8, checkpoint_every="0.0001s", previews=1
)


def samples(count: int = 12) -> Samples:
    """Texts in which each token is the one before plus one, their second half labelled."""
    ids = [[(start * 7 + i) % 97 for i in range(16 + start % 3)] for start in range(count)]
    return Samples(ids, [[0] * 8 + [1] * (len(tokens) - 9) + [2] for tokens in ids])


def losses(work: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (work / "log.jsonl").read_text().splitlines()]


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
        run(broken, Watch(step=stop))
    resumed = run(broken)
    assert losses(broken) == pytest.approx(losses(unbroken), abs=1e-6)
    for name, value in checkpoints.trainable(whole).items():
        torch.testing.assert_close(checkpoints.trainable(resumed)[name], value)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(run: Run, tmp_path: Path) -> None:
    def stop(now: Progress) -> None:
        if now.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(TrainingError):
        run(tmp_path, Watch(step=stop))
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
            Samples([[1, 2, 3]], [[0, 0, 0]]),
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
