"""Several processes as one: who computes which samples, and gradients that add up.

Started by torchrun or `accelerate launch`. Each process holds the whole base, or its
share of it under FSDP; the batch of a step is the same however many share it. A config for
`accelerate launch` splits the weights over several cards, or several machines.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

from myna.config import Train
from myna.errors import SettingsError, TrainingError
from myna.models.loading import choose_device


def accelerator() -> Accelerator:
    """The process as it was started: alone, or one of several.

    Raises:
        TrainingError: it was started by DeepSpeed.
    """
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        raise TrainingError(NO_DEEPSPEED)
    # accelerate wants to be told of processes on CPUs; it takes each to be alone otherwise.
    place = Accelerator(cpu=choose_device().type == "cpu")
    asked = os.environ.get("ACCELERATE_USE_FSDP") == "true"
    if asked and place.distributed_type == DistributedType.MULTI_CPU:
        # On CPUs it leaves FSDP out in silence, where torch's own works as elsewhere.
        PartialState().distributed_type = place.state.distributed_type = DistributedType.FSDP
        place.state.fsdp_plugin = FullyShardedDataParallelPlugin()
    return place


def sharded(accelerator: Accelerator) -> bool:
    """Whether the weights themselves are split: a step then needs all processes at once."""
    return bool(accelerator.distributed_type == DistributedType.FSDP)


def spread(
    model: Any, optimizer: torch.optim.Optimizer, accelerator: Accelerator
) -> tuple[Any, Any]:
    """The model and its optimiser, ready on this process."""
    if not sharded(accelerator):
        # Trained matrices are small and all alike: `add_up` adds their gradients at the
        # end of a step, so that one that ran out of memory can be redone.
        return model, optimizer
    model.forward = _run
    model, optimizer = accelerator.prepare(model, optimizer)
    return model, optimizer


def _run(compute: Callable[[], Any]) -> Any:
    return compute()


def within(model: Any, accelerator: Accelerator, compute: Callable[[], Any]) -> Any:
    """`compute()`, with split weights gathered around it as the model's own call has them."""
    return model(compute) if sharded(accelerator) else compute()


def share(batch: Sequence[int], lengths: Sequence[int], processes: int, index: int) -> list[int]:
    """The samples of a batch that process `index` computes: the longest first, one each.

    The shares of all processes are the batch, each sample in one of them.
    """
    return sorted(batch, key=lambda i: (-lengths[i], i))[index::processes]


def split(samples: Sequence[int], lengths: Sequence[int], most: int) -> list[list[int]]:
    """Parts of at most `most` tokens, padding included; a longer sample is one of its own.

    0 makes one part of all.
    """
    parts: list[list[int]] = []
    for i in sorted(samples, key=lambda i: (lengths[i], i)):
        if parts and (not most or (len(parts[-1]) + 1) * lengths[i] <= most):
            parts[-1].append(i)
        else:
            parts.append([i])
    return parts


def add_up(model: Any, accelerator: Accelerator) -> None:
    """Give each process the sum of all processes' gradients."""
    if accelerator.num_processes == 1 or sharded(accelerator):
        return
    trained = [p for p in model.parameters() if p.requires_grad]
    flat = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).float().reshape(-1) for p in trained]
    )
    torch.distributed.all_reduce(flat)
    parts = torch.split_with_sizes(flat, [p.numel() for p in trained])
    for parameter, part in zip(trained, parts, strict=True):
        parameter.grad = part.view_as(parameter).to(parameter.dtype)


def total(value: torch.Tensor, accelerator: Accelerator) -> torch.Tensor:
    """The sum of a number over all processes."""
    if accelerator.num_processes > 1:
        torch.distributed.all_reduce(value)
    return value


def most(numbers: Sequence[int], accelerator: Accelerator) -> list[int]:
    """The largest of each number over all processes: what one wants, all do."""
    if accelerator.num_processes == 1:
        return list(numbers)
    told = torch.tensor(numbers, device=accelerator.device)
    torch.distributed.all_reduce(told, op=torch.distributed.ReduceOp.MAX)
    return [int(number) for number in told.tolist()]


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor's values on this process, gathered where they are split; all must call it."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def like(value: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """`value` on the device of `other`, and split as that is."""
    value = value.to(other.device)
    if not hasattr(other, "full_tensor"):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value, other.device_mesh, other.placements)  # type: ignore[attr-defined]


KINDS = ("fsdp",)

NO_DEEPSPEED = (
    "DeepSpeed takes the optimiser's step within the backward pass, where no step can be redone "
    "or resumed exactly: use `myna train --write-config fsdp`, which splits the same"
)

_FSDP = """\
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


def config_text(kind: str, settings: Train) -> str:
    """The text of a config, for the method of the settings.

    Raises:
        SettingsError: there is no config of that kind.
    """
    if kind == "deepspeed":
        raise SettingsError(NO_DEEPSPEED)
    if kind not in KINDS:
        raise SettingsError(f"--write-config {kind}: choose {' or '.join(KINDS)}")
    return _FSDP.format(efficient="false" if settings.method == "qlora" else "true")
