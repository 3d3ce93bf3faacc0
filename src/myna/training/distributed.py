"""Distributed training: samples split over processes, gradients summed, FSDP.

Started by torchrun or `accelerate launch`. Each process holds the whole base, or its
shard of it under FSDP; the batch of a step does not depend on the number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch.distributed.fsdp import FSDPModule

from myna.config import Train
from myna.errors import SettingsError, TrainingError
from myna.models.loading import choose_device


def make_accelerator() -> Accelerator:
    """The `Accelerator` of this process, alone or one of several.

    Raises:
        TrainingError: started by DeepSpeed.
    """
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        raise TrainingError(NO_DEEPSPEED)
    # accelerate has to be told of processes on CPUs, or takes each to be the only one.
    accelerator = Accelerator(cpu=choose_device().type == "cpu")
    is_fsdp = os.environ.get("ACCELERATE_USE_FSDP") == "true"
    if is_fsdp and accelerator.distributed_type == DistributedType.MULTI_CPU:
        # On CPUs accelerate silently leaves FSDP out; torch's own works there too.
        PartialState().distributed_type = DistributedType.FSDP
        accelerator.state.distributed_type = DistributedType.FSDP
        accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin()
    return accelerator


def is_sharded(accelerator: Accelerator) -> bool:
    """True under FSDP: weights are sharded, and a step needs all processes at once."""
    return bool(accelerator.distributed_type == DistributedType.FSDP)


def prepare_model(
    model: Any, optimizer: torch.optim.Optimizer, accelerator: Accelerator
) -> tuple[Any, Any]:
    """The model and its optimiser, sharded under FSDP, else as they are."""
    if not is_sharded(accelerator):
        # Trained matrices are small: `all_reduce_gradients` sums their gradients at the end of
        # a step, so that a step that ran out of memory can be redone.
        return model, optimizer
    model.forward = _call
    model, optimizer = accelerator.prepare(model, optimizer)
    return model, optimizer


def _call(compute: Callable[[], Any]) -> Any:
    return compute()


def with_gathered_weights(model: Any, accelerator: Accelerator, compute: Callable[[], Any]) -> Any:
    """`compute()`, with split weights gathered around it as the model's own call has them."""
    if not is_sharded(accelerator):
        return compute()
    found = model(compute)
    # Without a backward pass the last layers' weights would stay gathered.
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.reshard()
    return found


def process_share(
    batch: Sequence[int], lengths: Sequence[int], processes: int, index: int
) -> list[int]:
    """The samples of a batch for process `index`: dealt out in turn, the longest first."""
    return sorted(batch, key=lambda i: (-lengths[i], i))[index::processes]


def micro_batches(
    samples: Sequence[int], lengths: Sequence[int], max_tokens: int
) -> list[list[int]]:
    """Micro-batches of at most `max_tokens`, padding included; a longer sample is one by itself.

    0 makes one of all samples.
    """
    batches: list[list[int]] = []
    for i in sorted(samples, key=lambda i: (lengths[i], i)):
        if batches and (not max_tokens or (len(batches[-1]) + 1) * lengths[i] <= max_tokens):
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def all_reduce_gradients(model: Any, accelerator: Accelerator) -> None:
    """Sum the gradients over all processes."""
    if accelerator.num_processes == 1 or is_sharded(accelerator):
        return
    trained = [p for p in model.parameters() if p.requires_grad]
    flat = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).float().reshape(-1) for p in trained]
    )
    torch.distributed.all_reduce(flat)
    gradients = torch.split_with_sizes(flat, [p.numel() for p in trained])
    for parameter, gradient in zip(trained, gradients, strict=True):
        parameter.grad = gradient.view_as(parameter).to(parameter.dtype)


def all_reduce_sum(value: torch.Tensor, accelerator: Accelerator) -> torch.Tensor:
    """The sum of a number over all processes, in place."""
    if accelerator.num_processes > 1:
        torch.distributed.all_reduce(value)
    return value


def all_reduce_max(numbers: Sequence[int], accelerator: Accelerator) -> list[int]:
    """The maximum of each number over all processes."""
    if accelerator.num_processes == 1:
        return list(numbers)
    maxima = torch.tensor(numbers, device=accelerator.device)
    torch.distributed.all_reduce(maxima, op=torch.distributed.ReduceOp.MAX)
    return [int(number) for number in maxima.tolist()]


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor gathered from its shards; all processes must call it."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def distribute_like(value: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """`value` on the device of `other`, and sharded like it."""
    value = value.to(other.device)
    if not hasattr(other, "full_tensor"):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value, other.device_mesh, other.placements)  # type: ignore[attr-defined]


CONFIG_KINDS = ("fsdp",)

NO_DEEPSPEED = (
    "DeepSpeed takes the optimiser's step within the backward pass, where no step can be redone "
    "or resumed exactly: use `myna train --write-config fsdp`"
)

_FSDP_CONFIG = """\
# Written by `myna train --write-config fsdp`. Start it in the workspace with
#   accelerate launch --config_file fsdp.yaml -m myna train
# Several machines: set num_machines, and on each its machine_rank and the first one's
# main_process_ip.
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
num_machines: 1
num_processes: 2
machine_rank: 0
main_process_port: 29500
rdzv_backend: static
same_network: true
# The base is loaded in the number format it is computed in; nothing is cast again.
mixed_precision: "no"
main_training_function: main
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_reshard_after_forward: true
  # Only the first process of a machine reads the weights; in 4 bits each makes its own.
  fsdp_cpu_ram_efficient_loading: {efficient}
  fsdp_offload_params: false
  fsdp_state_dict_type: SHARDED_STATE_DICT
"""


def accelerate_config(kind: str, settings: Train) -> str:
    """The text of an `accelerate launch` config, for the method of the settings.

    Raises:
        SettingsError: no config of that kind.
    """
    if kind == "deepspeed":
        raise SettingsError(NO_DEEPSPEED)
    if kind not in CONFIG_KINDS:
        raise SettingsError(f"--write-config {kind}: choose {' or '.join(CONFIG_KINDS)}")
    return _FSDP_CONFIG.format(efficient="false" if settings.method == "qlora" else "true")
