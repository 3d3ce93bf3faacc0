"""Checkpoints: the trained matrices and the optimiser, whole or not at all.

safetensors only, no pickle: a checkpoint is data, and loading it runs nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from myna import workspace
from myna.training.distributed import like, whole

KEPT = 2
"""Checkpoints that stay: the newest, and the one before in case it is damaged."""


def trainable(model: Any) -> dict[str, torch.nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def counted(model: Any) -> int:
    """All of a model's parameters; packed 4-bit ones count as many as they are."""
    return sum(
        p.quant_state.shape.numel() if getattr(p, "quant_state", None) else p.numel()
        for p in model.parameters()
    )


def save(folder: Path, step: int, model: Any, optimizer: Any, *, main: bool = True) -> None:
    """Write the checkpoint after `step` steps; older ones beyond `KEPT` go.

    Of several processes all call it, since weights may be split, and `main` writes.
    """
    tensors = state(model, optimizer)
    if not main:
        return
    with workspace.atomic_folder(folder / f"step-{step:07d}") as new:
        save_file(tensors, new / "state.safetensors")
        workspace.write_json(new / "step.json", {"step": step})
    for old in _newest_first(folder)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def state(model: Any, optimizer: Any = None) -> dict[str, torch.Tensor]:
    """What is trained, and the optimiser's state, on the CPU, as names that files have."""
    parameters = trainable(model)
    tensors = {f"model/{name}": _copied(p.detach()) for name, p in parameters.items()}
    for name, parameter in parameters.items() if optimizer is not None else ():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer/{key}/{name}"] = _copied(torch.as_tensor(value))
    return tensors


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    return whole(tensor).cpu().contiguous()


def save_best(folder: Path, step: int, model: Any, *, main: bool = True) -> None:
    """Write what is trained, in the place of the best that was there before."""
    tensors = state(model)
    if main:
        with workspace.atomic_folder(folder) as new:
            save_file(tensors, new / "state.safetensors")
            workspace.write_json(new / "step.json", {"step": step})


def load_best(folder: Path, step: int, model: Any) -> bool:
    """Have the model as it was after `step`; False where that is damaged or another step."""
    try:
        found = int(json.loads((folder / "step.json").read_text("utf-8"))["step"])
        tensors = load_file(folder / "state.safetensors")
        if found != step:
            return False
        _put(model, {name: tensors[f"model/{name}"] for name in trainable(model)})
    except (OSError, ValueError, KeyError, SafetensorError):
        return False
    return True


def _put(model: Any, values: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in trainable(model).items():
            parameter.copy_(like(values[name], parameter))


def restore(folder: Path, model: Any, optimizer: Any) -> int:
    """Load the newest sound checkpoint; the steps that it has behind it, 0 without one."""
    parameters = trainable(model)
    for path in _newest_first(folder):
        try:
            step = int(json.loads((path / "step.json").read_text("utf-8"))["step"])
            tensors = load_file(path / "state.safetensors")
            values = {name: tensors[f"model/{name}"] for name in parameters}
            if any(values[name].shape != p.shape for name, p in parameters.items()):
                continue
        except (OSError, ValueError, KeyError, SafetensorError):
            continue  # damaged: the one before it is used
        _put(model, values)
        for key, value in tensors.items():
            kind, _, rest = key.partition("/")
            if kind == "optimizer":
                field, _, name = rest.partition("/")
                optimizer.state[parameters[name]][field] = _kept(optimizer, value, parameters[name])
        return step
    return 0


def _kept(optimizer: Any, value: torch.Tensor, parameter: torch.nn.Parameter) -> Any:
    """A value of the optimiser's, of the kind and in the place that it keeps it."""
    if not value.ndim:
        return value if value.is_floating_point() else int(value)
    if hasattr(optimizer, "get_state_buffer"):  # bitsandbytes': paged, or not
        return optimizer.get_state_buffer(parameter).copy_(value)
    return like(value, parameter)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)
