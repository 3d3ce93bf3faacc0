"""`myna doctor`: what is installed, what the machine can do, and which bases fit it.

Nothing is taken on trust: what can be tried is tried, on the device that would train.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from dataclasses import dataclass
from typing import Any

from myna import __version__
from myna.config import Settings
from myna.config.recipes import MISTRAL, RECIPES
from myna.errors import ModelError, TrainingError, first_line

PACKAGES = (
    "torch", "transformers", "peft", "accelerate", "bitsandbytes", "flash-attn", "liger-kernel",
    "xllamacpp", "tensorboardX", "wandb",
)  # fmt: skip

CARDS = (("h100", 80), ("a40", 48), ("3090", 24))
"""Recipes by the memory of the card that they are named after, in GB."""

LONGEST = 512
"""Tokens of the longest sample that bases are judged with."""


@dataclass(frozen=True)
class Size:
    """The sizes of a base, as its config.json says them."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_heads: int
    vocabulary: int
    tied: bool = False
    head: int = 0
    """The size of a head, where that is not hidden / heads."""


BASES = {
    "smollm2-135m": Size(576, 1536, 30, 9, 3, 49_152, tied=True),
    "HuggingFaceTB/SmolLM2-360M-Instruct": Size(960, 2560, 32, 15, 5, 49_152, tied=True),
    "HuggingFaceTB/SmolLM2-1.7B": Size(2048, 8192, 24, 32, 32, 49_152, tied=True),
    "mistralai/Mistral-7B-v0.1": Size(4096, 14_336, 32, 32, 8, 32_000),
    "mistralai/Mistral-Nemo-Base-2407": Size(5120, 14_336, 40, 32, 8, 131_072, head=128),
    "meta-llama/Llama-3.1-70B": Size(8192, 28_672, 80, 64, 8, 128_256),
}
"""The bases that recipes name, and one between them."""


@dataclass(frozen=True)
class Check:
    """Something that was tried: whether it works, and what came of it."""

    name: str
    works: bool
    told: str


def examine() -> dict[str, Any]:
    """Everything there is to say, as plain data."""
    report: dict[str, Any] = {
        "myna": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
    }
    if not report["packages"]["torch"]:
        return {**report, "training": "torch is missing: pip install 'myna[train]'"}
    import torch

    from myna.models.loading import choose_device, precision
    from myna.training.hardware import device_name, free_memory, matmul_rate

    device = choose_device()
    dtype, reason = precision(device)
    free = free_memory(device)
    checks = [_try_device(device), _try_four_bits(device), _try_flash_attention(device)]
    return {
        **report,
        "accelerator": {"cuda": "ROCm" if torch.version.hip else "CUDA", "mps": "MPS"}.get(
            device.type, "CPU"
        ),
        "device": device_name(device),
        "devices": torch.cuda.device_count() if device.type == "cuda" else 1,
        "free_memory": free,
        "precision": reason,
        "teraflops": matmul_rate(device, dtype) / 1e12,
        "checks": [vars(check) for check in checks],
        "bases": fitting(free, dtype.itemsize, four_bits=checks[1].works),
    }


def fitting(free: int, itemsize: int, *, four_bits: bool) -> list[dict[str, Any]]:
    """For each base, what each method needs of `free` bytes; None where it does not fit."""
    from myna.training.hardware import need

    rows = []
    for name, size in BASES.items():
        row: dict[str, Any] = {"base": name}
        for method in ("qlora", "lora", "full"):
            settings = Settings().train.model_copy(update={"method": method})
            try:
                found = need(_shape(size), settings, free, LONGEST, itemsize)
            except TrainingError:
                row[method] = None
            else:
                fits = found.total <= free and (four_bits or method != "qlora")
                row[method] = found.total if fits else None
        rows.append(row)
    return rows


def _shape(size: Size) -> Any:
    """The sizes that memory depends on, of a Llama-like decoder."""
    from myna.training.hardware import Shape

    head = size.head or size.hidden // size.heads
    inner, wide = size.hidden, size.intermediate
    queries, keys = head * size.heads, head * size.key_heads
    layers = [
        (inner, queries), (inner, keys), (inner, keys), (queries, inner),
        (inner, wide), (inner, wide), (wide, inner),
    ]  # fmt: skip
    linear = size.layers * sum(a * b for a, b in layers)
    sides = size.layers * sum(a + b for a, b in layers)
    words = size.vocabulary * size.hidden * (1 if size.tied else 2)
    return Shape(
        parameters=linear + words + (2 * size.layers + 1) * size.hidden,
        linear=linear,
        sides=sides,
        widths=2 * size.layers * sum(a for a, _ in layers) + sides // 2,
        hidden=size.hidden,
        layers=size.layers,
        vocabulary=size.vocabulary,
    )


def advice(report: dict[str, Any]) -> str:
    """The recipe that this machine suits, as a line."""
    free = report["free_memory"]
    if report["accelerator"] == "MPS":
        return 'recipe = "mac"'
    if report["accelerator"] != "CPU":
        works = {row["base"]: row for row in report["bases"]}[MISTRAL]
        for recipe, gigabytes in CARDS:
            method = str(RECIPES[recipe]["train.method"].value)
            # A card's memory is never all free.
            if works[method] is not None and free >= 0.85 * gigabytes * 1e9:
                return f'recipe = "{recipe}"'
        if works["qlora"] is not None:
            return 'recipe = "3090" with samples.max_length = 1024'
    return 'recipe = "laptop"'


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _try_device(device: Any) -> Check:
    import torch

    try:
        given = torch.ones(8, 8, device=device, requires_grad=True)
        torch.autograd.grad((given @ given).sum(), given)
    except Exception as error:  # of the driver and the device, of many kinds
        return Check("gradients", works=False, told=first_line(error, 160))
    return Check("gradients", works=True, told=f"a matrix product and its gradient on {device}")


def _try_four_bits(device: Any) -> Check:
    from myna.models.loading import check_four_bits

    try:
        check_four_bits(device)
    except ModelError as error:
        return Check("bitsandbytes", works=False, told=str(error))
    return Check("bitsandbytes", works=True, told=f"a 4-bit layer and its gradient on {device}")


def _try_flash_attention(device: Any) -> Check:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    name = "flash attention"
    if "flash_attn" in sys.modules or _version("flash-attn"):
        try:
            from flash_attn import flash_attn_func

            given = torch.ones(1, 8, 2, 64, device=device, dtype=torch.bfloat16)
            flash_attn_func(given, given, given, causal=True)
            return Check(name, works=True, told="the package flash-attn")
        except Exception as error:  # of the package, the driver and the device
            return Check(
                name, works=False, told=f"flash-attn is installed: {first_line(error, 160)}"
            )
    try:
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        given = torch.ones(1, 2, 8, 64, device=device, dtype=dtype)
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            scaled_dot_product_attention(given, given, given, is_causal=True)
    except Exception as error:  # of the driver and the device
        return Check(name, works=False, told=first_line(error, 160))
    return Check(name, works=True, told="PyTorch's own")
