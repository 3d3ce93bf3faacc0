"""Memory estimates, and micro-batches that fit."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from myna.config import Train
from myna.errors import TrainingError
from myna.training.hardware import (
    MIN_MICRO_BATCH_TOKENS,
    TRAINED_PARAMETER_BYTES,
    USABLE_MEMORY_SHARE,
    ModelShape,
    estimate_memory,
    is_out_of_memory,
    model_shape,
)

MISTRAL = ModelShape(
    parameters=7_241_732_096,
    linear=32 * (4096 * (4096 + 1024 + 1024 + 4096) + 3 * 4096 * 14336),
    lora_dimensions=32 * (8192 + 2 * 5120 + 8192 + 3 * 18432),
    activations=32 * 100_000,
    hidden=4096,
    layers=32,
    vocabulary=32_000,
)
GB = 10**9


def test_the_shape_is_counted_from_the_layers(model: Any) -> None:
    sizes = model_shape(model)
    assert sizes.parameters == model.num_parameters()
    assert sizes.linear == 2 * (32 * (32 + 16 + 16 + 32) + 3 * 32 * 64)
    assert sizes.lora_dimensions == 2 * (64 + 48 + 48 + 64 + 3 * 96)
    assert (sizes.hidden, sizes.layers, sizes.vocabulary) == (32, 2, 97)


def test_four_bits_make_a_7b_base_fit_a_24_gb_card() -> None:
    settings = Train(method="qlora", lora_r=32, batch_tokens=65_536)
    found = estimate_memory(MISTRAL, settings, 24 * GB, longest=8192, itemsize=2)
    assert 3.9 * GB < found.weights < 4.3 * GB
    assert found.trained == 32 * MISTRAL.lora_dimensions * TRAINED_PARAMETER_BYTES
    assert found.total < 24 * GB
    assert found.micro_batch_tokens >= 8192
    assert found.checkpointing


def test_what_fits_is_computed_at_once_and_not_again() -> None:
    found = estimate_memory(MISTRAL, Train(batch_tokens=1024), 80 * GB, longest=512, itemsize=2)
    assert (found.micro_batch_tokens, found.checkpointing) == (1024, False)


def test_parts_shrink_before_layers_are_computed_twice() -> None:
    settings = Train(batch_tokens=65_536)
    found = estimate_memory(MISTRAL, settings, 48 * GB, longest=512, itemsize=2)
    assert MIN_MICRO_BATCH_TOKENS <= found.micro_batch_tokens < 65_536
    assert not found.checkpointing
    assert found.total <= 48 * GB * USABLE_MEMORY_SHARE


def test_a_bound_of_the_users_is_kept() -> None:
    settings = Train(batch_tokens=65_536, micro_batch_tokens=4096)
    assert (
        estimate_memory(MISTRAL, settings, 500 * GB, longest=512, itemsize=2).micro_batch_tokens
        == 4096
    )


@pytest.mark.parametrize(
    ("method", "advice"),
    [("full", '"lora"'), ("lora", '"qlora"'), ("qlora", "use a smaller base")],
)
def test_weights_that_do_not_fit_are_refused_with_advice(method: Any, advice: str) -> None:
    with pytest.raises(TrainingError, match=r"GB, and 3.0 GB are free: use ") as caught:
        estimate_memory(MISTRAL, Train(method=method), 3 * GB, longest=512, itemsize=2)
    assert advice in str(caught.value)


def test_processes_that_split_the_weights_each_need_less() -> None:
    alone = estimate_memory(MISTRAL, Train(), 80 * GB, 512, 2)
    split = estimate_memory(MISTRAL, Train(), 80 * GB, 512, 2, processes=4)
    assert split.weights == alone.weights // 4
    assert dataclasses.replace(alone, weights=0, trained=0).step == split.step


def test_running_out_of_memory_is_told_from_other_errors() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
