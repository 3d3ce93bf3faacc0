"""A step: the same gradients, however it is cut up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch

from myna.config import Train
from myna.errors import TrainingError
from myna.training.checkpoints import trainable_parameters
from myna.training.data import Samples
from myna.training.distributed import make_accelerator
from myna.training.gradient_step import GradientAccumulator, backward
from myna.training.methods import add_lora

SAMPLES = Samples(
    [[(7 * n + i) % 97 for i in range(12 + n)] for n in range(4)],
    [[i >= 4 for i in range(12 + n)] for n in range(4)],
)


def gradients(
    model: Any,
    micro_batch_tokens: int,
    compute: Any = backward,
    said: list[str] | None = None,
    samples: Samples = SAMPLES,
    batch: tuple[int, ...] = (0, 1, 2, 3),
) -> tuple[float, dict[str, torch.Tensor]]:
    report = (lambda _: None) if said is None else said.append
    with mock.patch("myna.training.gradient_step.backward", compute):
        loss = GradientAccumulator(
            model, samples, make_accelerator(), micro_batch_tokens, report
        ).accumulate([*batch])
    return loss, {
        name: p.grad for name, p in trainable_parameters(model).items() if p.grad is not None
    }


@pytest.fixture
def whole(small_model: Callable[[], Any]) -> tuple[float, dict[str, torch.Tensor]]:
    return gradients(add_lora(small_model(), Train()), 0)


@pytest.mark.parametrize("micro_batch_tokens", [1, 30, 45])
def test_parts_add_up_to_the_whole(
    small_model: Callable[[], Any], whole: Any, micro_batch_tokens: int
) -> None:
    loss, found = gradients(add_lora(small_model(), Train()), micro_batch_tokens)
    assert loss == pytest.approx(whole[0], rel=1e-5)
    for name, gradient in whole[1].items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("micro_batch_tokens", [0, 30])
def test_a_sample_of_no_weight_is_as_if_it_were_not_there(
    small_model: Callable[[], Any], micro_batch_tokens: int
) -> None:
    weighted = Samples(SAMPLES.ids, SAMPLES.loss_masks, [2.0, 0.0, 2.0, 0.0])
    loss, found = gradients(add_lora(small_model(), Train()), micro_batch_tokens, samples=weighted)
    wanted, expected = gradients(add_lora(small_model(), Train()), 0, batch=(0, 2))
    assert loss == pytest.approx(wanted, rel=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


def limited(most: int) -> Any:
    """A backward pass for a machine on which so many samples at once do not fit."""

    def limited_backward(
        model: Any, samples: Samples, part: list[int], *others: Any
    ) -> torch.Tensor:
        loss = backward(model, samples, part, *others)  # the memory runs out late
        if len(part) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return loss

    return limited_backward


def test_a_step_that_ran_out_of_memory_is_redone_in_halves_and_said_once(
    small_model: Callable[[], Any], whole: Any
) -> None:
    said: list[str] = []
    loss, found = gradients(add_lora(small_model(), Train()), 0, limited(1), said)
    assert loss == pytest.approx(whole[0], rel=1e-5)
    for name, gradient in whole[1].items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)
    assert len(said) == 1
    assert "out of memory" in said[0]


def test_a_sample_that_alone_does_not_fit_ends_with_advice(model: Any) -> None:
    with pytest.raises(TrainingError, match=r"a sample of 15 tokens does not fit .*max_length"):
        gradients(add_lora(model, Train()), 0, limited(0))


def test_other_errors_are_not_taken_for_a_lack_of_memory(model: Any) -> None:
    def broken(*_: Any) -> torch.Tensor:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        gradients(add_lora(model, Train()), 0, broken)
