"""The machine that trains: its speed, its free memory, and what a training needs of it.

Estimates: the weights are counted exactly, what a step holds on to is counted from the
shapes of the layers. What they are good for is to choose; a step that runs out of memory
all the same is cut in two and redone.
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

NF4 = 0.516
"""Bytes of a weight in NF4 with double quantisation (QLoRA, section 3: 4.127 bits)."""
TRAINED = 16
"""Bytes of a trained number: its value, gradient and AdamW's two moments, in fp32."""
SPARE = 0.9
"""The share of the free memory that is planned with."""
LEAST = 2048
"""Tokens that keep a GPU busy: parts are not planned smaller while checkpointing helps."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a base model that memory depends on."""

    parameters: int
    linear: int
    """Those of the linear layers but the output layer: what NF4 makes small."""
    sides: int
    """The widths and heights of these layers, added up: LoRA has `rank` numbers for each."""
    widths: int
    """The numbers that one token leaves in all layers for the way back."""
    hidden: int
    layers: int
    vocabulary: int


@dataclass(frozen=True)
class Need:
    """What a training takes, in bytes, and how it is made to fit."""

    weights: int
    trained: int
    step: int
    free: int
    part_tokens: int
    checkpointing: bool

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.trained + self.step


def shape(model: Any) -> Shape:
    """The sizes of a model as transformers makes it, on whatever device."""
    head = model.get_output_embeddings()
    linear = [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]
    config = model.config.get_text_config()
    sides = sum(layer.in_features + layer.out_features for layer in linear)
    return Shape(
        parameters=model.num_parameters(),
        linear=sum(layer.in_features * layer.out_features for layer in linear),
        sides=sides,
        # Each layer keeps what goes into it, its norms and its nonlinearity about as much.
        widths=2 * sum(layer.in_features for layer in linear) + sides // 2,
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        vocabulary=config.vocab_size,
    )


def empty(folder: Any) -> Any:
    """The model of a folder's config.json without its weights: shapes only."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=False)


def need(
    sizes: Shape, settings: Train, free: int, longest: int, itemsize: int, processes: int = 1
) -> Need:
    """The memory that a training takes and the parts that its steps are computed in.

    `free` is in bytes, before anything is loaded; `longest` is the longest sample's tokens;
    `itemsize` is the bytes of a number as it is computed; `processes` share the weights.

    Raises:
        TrainingError: the weights alone do not fit.
    """
    if settings.method == "full":
        weights, trained = 0, sizes.parameters * TRAINED
    else:
        small = NF4 if settings.method == "qlora" else itemsize
        rest = (sizes.parameters - sizes.linear) * itemsize
        weights = int(sizes.linear * small + rest)
        trained = settings.rank * sizes.sides * TRAINED
    weights, trained = weights // processes, trained // processes
    # The output layer's logits, their softmax and their gradient, for a part's labelled tokens.
    logits = 3 * 4 * sizes.vocabulary // 2
    plain = sizes.widths * itemsize + logits
    # What goes into each layer is kept, and one layer at a time is computed again.
    one_layer = sizes.widths // sizes.layers
    checkpointed = (sizes.hidden * sizes.layers + one_layer) * itemsize + logits
    left = int(free * SPARE) - weights - trained
    if left <= 0:
        gigabytes = (weights + trained) / 1e9
        less = {"lora": '"qlora"', "dora": '"qlora"', "full": '"lora"'}.get(settings.method)
        advice = f"train.method = {less}, or a smaller base" if less else "a smaller base"
        raise TrainingError(
            f"the base and what is trained take {gigabytes:.1f} GB, and {free / 1e9:.1f} GB are "
            f"free: use {advice}, or end what else is running"
        )
    step = max(longest, settings.batch_tokens)
    wanted = max(longest, min(step, settings.part_tokens) if settings.part_tokens else step)
    least = max(longest, min(wanted, LEAST))
    if plain * least <= left:
        part = min(wanted, left // plain)
        return Need(weights, trained, plain * part, free, part, checkpointing=False)
    part = max(longest, min(wanted, left // checkpointed))
    return Need(weights, trained, checkpointed * part, free, part, checkpointing=True)


def ran_out(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on whatever device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in said or "out of memory" in said.lower()
    )


def release(device: torch.device) -> None:
    """Hand back what the device's allocator keeps for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


_CGROUP = Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int:
    """The bytes that are free on `device`, whatever its size.

    Of the CPU's memory a container's limit may leave less than the system says.
    """
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
    """Floating-point operations a second of a matrix product on `device`: its own peak.

    The sizes are those of a small model's layers on a CPU, of a large one's on a GPU.
    """
    rows, columns = (512, 1536) if device.type == "cpu" else (4096, 8192)
    left = torch.randn(rows, columns, device=device, dtype=dtype)
    right = torch.randn(columns, columns, device=device, dtype=dtype)
    best, begun = 0.0, time.monotonic()
    _wait(device)
    while time.monotonic() - begun < seconds or not best:
        start = time.perf_counter()
        torch.mm(left, right)
        _wait(device)
        best = max(best, 2 * rows * columns * columns / (time.perf_counter() - start))
    return best


def device_name(device: torch.device) -> str:
    """What a device is called, for people."""
    if device.type == "cuda":
        kind = "ROCm" if torch.version.hip else "CUDA"
        return f"{torch.cuda.get_device_name(device)} ({kind})"
    if device.type == "mps":
        return "Apple GPU (MPS)"
    threads = torch.get_num_threads()
    return f"CPU ({threads} thread{'s' if threads > 1 else ''})"


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
