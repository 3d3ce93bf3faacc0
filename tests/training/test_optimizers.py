"""The choice of the optimiser, and checkpoints of its states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.cases import SAMPLES, SETTINGS

from myna.config import Train
from myna.errors import ModelError, TrainingError
from myna.training import checkpoints, distributed, methods
from myna.training.gradient_step import backward

CPU, CARD = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card on which bitsandbytes works."""
    monkeypatch.setattr(methods, "check_four_bits", lambda _: None)


@pytest.mark.usefixtures("works")
@pytest.mark.parametrize(
    ("method", "optimizer", "paged"),
    [
        ("qlora", "auto", True), ("lora", "auto", False), ("full", "auto", False),
        ("lora", "paged", True), ("qlora", "adamw", False),
    ],
)  # fmt: skip
def test_moments_are_paged_for_qlora_or_where_that_is_asked_for(
    method: Any, optimizer: Any, paged: bool
) -> None:
    settings = Train(method=method, optim=optimizer)
    assert methods.choose_optimizer(settings, CARD, split=False)[0] == paged


@pytest.mark.usefixtures("works")
@pytest.mark.parametrize(
    ("device", "split", "line"),
    [(CPU, False, "only a CUDA card's memory is paged"), (CARD, True, "what FSDP splits")],
)
def test_paging_that_cannot_be_had_is_an_error_only_where_it_is_asked_for(
    device: torch.device, split: bool, line: str
) -> None:
    settings = Train(method="qlora")
    assert methods.choose_optimizer(settings, device, split=split)[0] is False
    asked = settings.model_copy(update={"optim": "paged"})
    with pytest.raises(TrainingError, match=f'"paged" is not available: .*{line}.*use "adamw"'):
        methods.choose_optimizer(asked, device, split=split)


def test_paging_without_bitsandbytes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> None:
        raise ModelError("4 bits need bitsandbytes")

    monkeypatch.setattr(methods, "check_four_bits", missing)
    with pytest.raises(TrainingError, match="is not available: 4 bits need bitsandbytes"):
        methods.choose_optimizer(Train(optim="paged"), CARD, split=False)


@pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU")
def test_the_paged_one_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(
    small_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "choose_optimizer", lambda *_, **__: (True, "as asked"))

    def begun() -> tuple[Any, Any]:
        model = methods.add_lora(small_model(), SETTINGS)
        return model, methods.make_optimizer(
            checkpoints.trainable_parameters(model).values(), SETTINGS, CPU, split=False
        )[0]

    def steps(model: Any, optimizer: Any, numbers: range) -> None:
        for number in numbers:
            backward(model, SAMPLES, [number], distributed.make_accelerator(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    whole, optimizer = begun()
    steps(whole, optimizer, range(2))
    checkpoints.save(tmp_path, 2, whole, optimizer)
    steps(whole, optimizer, range(2, 4))

    resumed, optimizer = begun()
    assert checkpoints.restore(tmp_path, resumed, optimizer) == 2
    steps(resumed, optimizer, range(2, 4))
    for name, value in checkpoints.trainable_parameters(whole).items():
        torch.testing.assert_close(
            checkpoints.trainable_parameters(resumed)[name], value, rtol=0, atol=0
        )
