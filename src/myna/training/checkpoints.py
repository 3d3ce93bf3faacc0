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

KEPT = 2
"""Checkpoints that stay: the newest, and the one before in case it is damaged."""


def trainable(model: Any) -> dict[str, torch.nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def save(folder: Path, step: int, model: Any, optimizer: torch.optim.Optimizer) -> None:
    """Write the checkpoint after `step` steps; older ones beyond `KEPT` go."""
    parameters = trainable(model)
    tensors = {f"model/{name}": p.detach().cpu().contiguous() for name, p in parameters.items()}
    for name, parameter in parameters.items():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer/{key}/{name}"] = torch.as_tensor(value).cpu().contiguous()
    with workspace.folder(folder / f"step-{step:07d}") as new:
        save_file(tensors, new / "state.safetensors")
        workspace.write_json(new / "step.json", {"step": step})
    for old in _newest_first(folder)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def restore(folder: Path, model: Any, optimizer: torch.optim.Optimizer) -> int:
    """Load the newest sound checkpoint; the steps that it has behind it, 0 without one."""
    parameters = trainable(model)
    for path in _newest_first(folder):
        try:
            step = int(json.loads((path / "step.json").read_text("utf-8"))["step"])
            tensors = load_file(path / "state.safetensors")
            values = {name: tensors[f"model/{name}"] for name in parameters}
        except (OSError, ValueError, KeyError, SafetensorError):
            continue  # damaged: the one before it is used
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(values[name])
        for key, value in tensors.items():
            kind, _, rest = key.partition("/")
            if kind == "optimizer":
                field, _, name = rest.partition("/")
                parameter = parameters[name]
                place = "cpu" if value.ndim == 0 else parameter.device
                optimizer.state[parameter][field] = value.to(place)
        return step
    return 0


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)
