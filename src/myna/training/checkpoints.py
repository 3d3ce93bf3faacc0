"""Checkpoints: trained parameters and optimiser states, written atomically.

safetensors only, no pickle: loading a checkpoint runs no code.
"""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from myna import workspace
from myna.training.distributed import distribute_like, full_tensor

SAVE_TOTAL_LIMIT = 2
"""Checkpoints kept: the newest, and the one before in case it is damaged."""


def trainable_parameters(model: Any) -> dict[str, torch.nn.Parameter]:
    """The trained parameters by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def count_parameters(model: Any) -> int:
    """Number of parameters of a model; packed 4-bit weights count as many as they hold."""
    return sum(
        p.quant_state.shape.numel() if getattr(p, "quant_state", None) else p.numel()
        for p in model.parameters()
    )


def save(folder: Path, step: int, model: Any, optimizer: Any, *, main: bool = True) -> None:
    """Write the checkpoint after `step` steps, and delete all but the newest `SAVE_TOTAL_LIMIT`.

    All processes must call it, since weights may be sharded; `main` writes.
    """
    _write(folder / f"step-{step:07d}", step, trained_tensors(model, optimizer), main)
    for old in _newest_first(folder)[SAVE_TOTAL_LIMIT:] if main else ():
        shutil.rmtree(old, ignore_errors=True)


def save_best(folder: Path, step: int, model: Any, *, main: bool = True) -> None:
    """Write the trained parameters as the best so far, over those before."""
    _write(folder, step, trained_tensors(model), main)


def _write(folder: Path, step: int, tensors: dict[str, torch.Tensor], main: bool) -> None:
    if main:
        with workspace.atomic_folder(folder) as new:
            save_file(tensors, new / "state.safetensors")
            workspace.write_json(new / "step.json", {"step": step})


def _read(folder: Path, model: Any) -> tuple[int, dict[str, torch.Tensor]]:
    """Step and tensors of a checkpoint; step -1 if it is damaged or of another model."""
    try:
        step = int(json.loads((folder / "step.json").read_text("utf-8"))["step"])
        tensors = load_file(folder / "state.safetensors")
        parameters = trainable_parameters(model).items()
        if any(tensors[f"model/{name}"].shape != p.shape for name, p in parameters):
            return -1, {}
    except (OSError, ValueError, KeyError, SafetensorError):
        return -1, {}
    return step, tensors


def trained_tensors(model: Any, optimizer: Any = None) -> dict[str, torch.Tensor]:
    """Trained parameters and optimiser states on the CPU, by their names in checkpoint files."""
    parameters = trainable_parameters(model)
    tensors = {f"model/{name}": _to_cpu(p.detach()) for name, p in parameters.items()}
    for name, parameter in parameters.items() if optimizer is not None else ():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer/{key}/{name}"] = _to_cpu(torch.as_tensor(value))
    return tensors


def _to_cpu(tensor: torch.Tensor) -> torch.Tensor:
    return full_tensor(tensor).cpu().contiguous()


def load_best(folder: Path, step: int, model: Any) -> bool:
    """Load the best parameters into the model; False if damaged or not those of `step`."""
    saved_step, tensors = _read(folder, model)
    if saved_step == step:
        _load_parameters(model, tensors)
    return saved_step == step


def _load_parameters(model: Any, tensors: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in trainable_parameters(model).items():
            parameter.copy_(distribute_like(tensors[f"model/{name}"], parameter))


def restore(folder: Path, model: Any, optimizer: Any) -> int:
    """Load the newest undamaged checkpoint; return its step, 0 without one."""
    parameters = trainable_parameters(model)
    for path in _newest_first(folder):
        step, tensors = _read(path, model)
        if step < 0:
            continue  # damaged: the one before it is used
        _load_parameters(model, tensors)
        for key, value in tensors.items():
            kind, _, rest = key.partition("/")
            if kind == "optimizer":
                field, _, name = rest.partition("/")
                parameter = parameters[name]
                optimizer.state[parameter][field] = _optimizer_value(optimizer, value, parameter)
        return step
    return 0


def can_resume(started: dict[str, Any], wanted: dict[str, Any], *, any_rate: bool) -> bool:
    """True if the started training is the wanted one, at any learning rate with `any_rate`."""
    if not any_rate or not started:
        return started == wanted
    one, other = copy.deepcopy([started, wanted])
    for each in (one, other):
        each["settings"]["train"]["learning_rate"] = 0
    return bool(one == other)


def _optimizer_value(optimizer: Any, value: torch.Tensor, parameter: torch.nn.Parameter) -> Any:
    """A saved value with the type and on the device that the optimiser keeps it."""
    if not value.ndim:
        return value if value.is_floating_point() else int(value)
    if hasattr(optimizer, "get_state_buffer"):  # bitsandbytes': paged, or not
        return optimizer.get_state_buffer(parameter).copy_(value)
    return distribute_like(value, parameter)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)
