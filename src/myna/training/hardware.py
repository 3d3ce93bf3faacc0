"""Hardware: speed and free memory of this machine, and the memory that a training needs.

Weights are counted exactly, activations estimated from the shapes of the layers. The
estimate chooses micro-batches and checkpointing; a step that still runs out of memory is
redone in halves.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from myna.config import Train
from myna.errors import TrainingError
from myna.models.loading import cannot_load

NF4_BYTES = 0.516
"""Bytes of a weight in NF4 with double quantisation (QLoRA, section 3: 4.127 bits)."""
TRAINED_PARAMETER_BYTES = 16
"""Bytes of a trained parameter: value, gradient and AdamW's two moments, in fp32."""
USABLE_MEMORY_SHARE = 0.9
"""Share of the free memory that is planned with."""
MIN_MICRO_BATCH_TOKENS = 2048
"""Tokens that keep a GPU busy: gradient checkpointing comes before smaller micro-batches."""


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a base model that memory depends on."""

    parameters: int
    linear: int
    """Parameters of the linear layers without the output layer: those that NF4 compresses."""
    lora_dimensions: int
    """Sum of inputs and outputs of these layers: LoRA has `lora_r` parameters for each."""
    activations: int
    """Numbers that the backward pass keeps for one token, over all layers."""
    hidden: int
    layers: int
    vocabulary: int


@dataclass(frozen=True)
class MemoryEstimate:
    """Memory that a training needs, in bytes, and the micro-batches that fit."""

    weights: int
    trained: int
    step: int
    free: int
    micro_batch_tokens: int
    checkpointing: bool

    @property
    def total(self) -> int:
        """Bytes of weights, optimiser states and activations."""
        return self.weights + self.trained + self.step


def model_shape(model: Any) -> ModelShape:
    """The sizes of a transformers model, on any device."""
    head = model.get_output_embeddings()
    linear = [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]
    config = model.config.get_text_config()
    lora_dimensions = sum(layer.in_features + layer.out_features for layer in linear)
    return ModelShape(
        parameters=model.num_parameters(),
        linear=sum(layer.in_features * layer.out_features for layer in linear),
        lora_dimensions=lora_dimensions,
        # Each layer keeps its input; its norms and its nonlinearity keep about as much.
        activations=2 * sum(layer.in_features for layer in linear) + lora_dimensions // 2,
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        vocabulary=config.vocab_size,
    )


def meta_model(folder: Path) -> Any:
    """The model of a folder's config.json on the meta device: shapes without weights.

    Raises:
        ModelError: transformers cannot load it.
    """
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        with torch.device("meta"):
            return transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # transformers raises many kinds
        raise cannot_load(folder, error) from error


def estimate_memory(
    shape: ModelShape, settings: Train, free: int, longest: int, itemsize: int, processes: int = 1
) -> MemoryEstimate:
    """Estimate the memory of a training, and choose micro-batches and checkpointing.

    `free` is in bytes, before anything is loaded; `longest` is the longest sample's tokens;
    `itemsize` is the bytes of a number in the precision; `processes` share the weights.

    Raises:
        TrainingError: the weights alone do not fit.
    """
    if settings.method == "full":
        weights, trained = 0, shape.parameters * TRAINED_PARAMETER_BYTES
    else:
        linear_bytes = NF4_BYTES if settings.method == "qlora" else itemsize
        rest = (shape.parameters - shape.linear) * itemsize
        weights = int(shape.linear * linear_bytes + rest)
        trained = settings.lora_r * shape.lora_dimensions * TRAINED_PARAMETER_BYTES
    weights, trained = weights // processes, trained // processes
    # Logits, softmax and gradient of the output layer, for a micro-batch's trained tokens.
    logits = 3 * 4 * shape.vocabulary // 2
    token_bytes = shape.activations * itemsize + logits
    # The input of each layer is kept, and one layer at a time is recomputed.
    one_layer = shape.activations // shape.layers
    checkpointed_bytes = (shape.hidden * shape.layers + one_layer) * itemsize + logits
    left = int(free * USABLE_MEMORY_SHARE) - weights - trained
    if left <= 0:
        gigabytes = (weights + trained) / 1e9
        cheaper = {"lora": '"qlora"', "dora": '"qlora"', "full": '"lora"'}.get(settings.method)
        advice = f"train.method = {cheaper}, or a smaller base" if cheaper else "a smaller base"
        raise TrainingError(
            f"base and optimiser states take {gigabytes:.1f} GB, and {free / 1e9:.1f} GB are free: "
            f"use {advice}, or close other programs"
        )
    step = max(longest, settings.batch_tokens)
    wanted = max(
        longest, min(step, settings.micro_batch_tokens) if settings.micro_batch_tokens else step
    )
    least = max(longest, min(wanted, MIN_MICRO_BATCH_TOKENS))
    if token_bytes * least <= left:
        micro_batch = min(wanted, left // token_bytes)
        return MemoryEstimate(
            weights, trained, token_bytes * micro_batch, free, micro_batch, checkpointing=False
        )
    micro_batch = max(longest, min(wanted, left // checkpointed_bytes))
    return MemoryEstimate(
        weights, trained, checkpointed_bytes * micro_batch, free, micro_batch, checkpointing=True
    )


def is_out_of_memory(error: BaseException) -> bool:
    """True if an error means out of memory, on any device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    message = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in message or "out of memory" in message.lower()
    )


def empty_cache(device: torch.device) -> None:
    """Free the memory that the device's allocator caches."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


_CGROUP = Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int:
    """Free bytes on `device`; of the CPU's memory, within the container's limit."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    free = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):  # no container, or no limit
        limit = int((_CGROUP / "memory.max").read_text())
        stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        used = int((_CGROUP / "memory.current").read_text()) - int(stat["inactive_file"])
        free = min(free, limit - used)
    return int(free)


def matmul_rate(device: torch.device, dtype: torch.dtype, seconds: float = 0.2) -> float:
    """Measured peak of floating-point operations per second in a matrix product on `device`.

    The sizes are those of a small model's layers on a CPU, of a large one's on a GPU.
    """
    rows, columns = (512, 1536) if device.type == "cpu" else (4096, 8192)
    left = torch.randn(rows, columns, device=device, dtype=dtype)
    right = torch.randn(columns, columns, device=device, dtype=dtype)
    best, started = 0.0, time.monotonic()
    _synchronize(device)
    while time.monotonic() - started < seconds or not best:
        start = time.perf_counter()
        torch.mm(left, right)
        _synchronize(device)
        best = max(best, 2 * rows * columns * columns / (time.perf_counter() - start))
    return best


def device_name(device: torch.device) -> str:
    """A readable name of a device."""
    if device.type == "cuda":
        kind = "ROCm" if torch.version.hip else "CUDA"
        return f"{torch.cuda.get_device_name(device)} ({kind})"
    if device.type == "mps":
        return "Apple GPU (MPS)"
    threads = torch.get_num_threads()
    return f"CPU ({threads} thread{'s' if threads > 1 else ''})"


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
