"""`myna doctor`: installed packages, features that work here, and bases that fit.

Features are tried out on the device that would train.
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from myna import __version__
from myna.config import Settings
from myna.config.recipe_defaults import MISTRAL, RECIPES
from myna.errors import ModelError, TrainingError, first_line

PACKAGES = (
    "torch", "transformers", "peft", "accelerate", "bitsandbytes", "flash-attn", "liger-kernel",
    "xllamacpp", "tensorboardX", "wandb",
)  # fmt: skip

INSTALL = {
    "torch": ("training and evaluating", "pip install 'myna[train]'"),
    "transformers": ("training and evaluating", "pip install 'myna[train]'"),
    "peft": ("training and evaluating", "pip install 'myna[train]'"),
    "accelerate": ("training", "pip install 'myna[train]'"),
    "xllamacpp": ("talking on a CPU", "pip install 'myna[serve]'"),
    "tensorboardX": ("logs for TensorBoard", "pip install tensorboardX"),
    "bitsandbytes": ("training in 4 bits (QLoRA)", "pip install 'myna[gpu]'"),
    "flash-attn": ("faster attention", "pip install flash-attn --no-build-isolation"),
    "liger-kernel": ("less memory for large vocabularies", "pip install liger-kernel"),
}
"""Uses of packages, and the commands that install them."""
GPU_PACKAGES = {"bitsandbytes", "flash-attn", "liger-kernel"}

TRAINING_TOKENS = 100_000
"""Tokens that the time of a training is told for: some 8,000 messages."""
CHAT_SHARE = 0.5
"""Share of the memory's rate at which weights are read for each new token."""
CHAT_BYTES = {"CPU": 0.6, "MPS": 2.0}
"""Bytes of a weight while it talks: in 4 bits on a CPU; elsewhere in 16, or as it is trained."""
MAX_CHAT_RATE = 100.0
"""Tokens per second from which other costs decide; nobody reads faster."""

RECIPE_CARDS_GB = (("h100", 80), ("a40", 48), ("3090", 24))
"""Recipes and the memory in GB of the card that they are named after."""

MAX_SAMPLE_TOKENS = 512
"""Tokens of the longest sample in the memory estimates."""

NIGHT_HOURS = 8
NIGHT_PEAK_SHARE = 0.4
"""Share of the rate of matrix products that training is taken to reach, validation included
(`benchmarks/overnight.py` measures it)."""

CONFIG_KEYS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "vocab_size", "head_dim", "tie_word_embeddings",
)  # fmt: skip
BASES = {
    "smollm2-135m": (576, 1536, 30, 9, 3, 49_152, 64, True),
    "HuggingFaceTB/SmolLM2-360M-Instruct": (960, 2560, 32, 15, 5, 49_152, 64, True),
    "HuggingFaceTB/SmolLM2-1.7B": (2048, 8192, 24, 32, 32, 49_152, 64, True),
    "mistralai/Mistral-7B-v0.1": (4096, 14_336, 32, 32, 8, 32_000, 128, False),
    "mistralai/Mistral-Nemo-Base-2407": (5120, 14_336, 40, 32, 8, 131_072, 128, False),
    "meta-llama/Llama-3.1-70B": (8192, 28_672, 80, 64, 8, 128_256, 128, False),
}
"""Values of `CONFIG_KEYS` of the recipes' bases, and of one of a size between them."""


@dataclass(frozen=True)
class Check:
    """A feature that was tried out, with the outcome in words."""

    name: str
    works: bool
    told: str


def diagnose() -> dict[str, Any]:
    """Examine this machine; the report is plain data."""
    report: dict[str, Any] = {
        "myna": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "packages": {name: _installed_version(name) for name in PACKAGES},
    }
    if not report["packages"]["torch"]:
        return {**report, "missing": missing_packages(report, "CPU"), "answer": CANNOT_TRAIN}
    import torch

    from myna.models.loading import choose_device, precision
    from myna.training.hardware import device_name, free_memory, matmul_rate

    device = choose_device()
    dtype, reason = precision(device)
    free = free_memory(device)
    rate = matmul_rate(device, dtype)
    checks = [_check_gradients(device), _check_bitsandbytes(device), _check_flash_attention(device)]
    bases = memory_by_base(free, dtype.itemsize, four_bits=checks[1].works)
    accelerator = {"cuda": "ROCm" if torch.version.hip else "CUDA", "mps": "MPS"}
    report |= {
        "accelerator": accelerator.get(device.type, "CPU"),
        "device": device_name(device),
        "devices": torch.cuda.device_count() if device.type == "cuda" else 1,
        "free_memory": free,
        "precision": reason,
        "teraflops": rate / 1e12,
        "checks": [vars(check) for check in checks],
        "bytes_per_second": _read_rate(device),
        "bases": bases,
        "night": tokens_in_a_night(rate, [row["base"] for row in bases if row["lora"]]),
    }
    missing = missing_packages(report, report["accelerator"])
    if device.type == "cpu" and shutil.which("nvidia-smi"):
        missing.append(
            "PyTorch does not use the NVIDIA GPU of this machine: install its CUDA build, with "
            "the command that pytorch.org names"
        )
    return {**report, "missing": missing, "answer": answer(report)}


CANNOT_TRAIN = "This machine cannot train yet: pip install 'myna[train]'."


def answer(report: dict[str, Any]) -> str:
    """The sentence that says what this machine trains, in which time, and how fast it talks."""
    recipe = recommended_recipe(report).split('"')[1]
    base = str(RECIPES[recipe]["base"].value)
    method = str(RECIPES[recipe]["train.method"].value)
    parameters = _base_shape(base).parameters
    rate = tokens_in_a_night(report["teraflops"] * 1e12, [base])[base] / (NIGHT_HOURS * 3600)
    size = CHAT_BYTES.get(report["accelerator"], 0.6 if method == "qlora" else 2.0)
    chat = CHAT_SHARE * report["bytes_per_second"] / (size * parameters)
    speed = f"over {MAX_CHAT_RATE:.0f}" if chat > MAX_CHAT_RATE else f"about {chat:.0f}"
    how = {"qlora": " in 4 bits", "full": " with all weights"}.get(method, "")
    minutes = max(1, round(TRAINING_TOKENS / rate / 60))
    return (
        f"This machine trains {base}{how} on {TRAINING_TOKENS:,} tokens (some 8,000 messages) in "
        f"about {minutes:,} min, and chats with it at {speed} tokens/s."
    )


def missing_packages(report: dict[str, Any], accelerator: str) -> list[str]:
    """A line for each package that is missing and of use here, with how to install it."""
    return [
        f"{name}, for {use}: {command}"
        for name, (use, command) in INSTALL.items()
        if not report["packages"][name] and (accelerator == "CUDA" or name not in GPU_PACKAGES)
    ]


def _read_rate(device: Any, seconds: float = 0.1) -> float:
    """Measured bytes per second that are read from the device's memory."""
    import torch

    numbers = torch.ones(2**25, device=device)  # 128 MiB: more than caches hold
    best, started = 0.0, time.monotonic()
    while time.monotonic() - started < seconds or not best:
        begun = time.perf_counter()
        numbers.sum().item()
        best = max(best, numbers.nbytes / (time.perf_counter() - begun))
    return best


def tokens_in_a_night(rate: float, bases: Iterable[str]) -> dict[str, int]:
    """The tokens that LoRA of each of these bases sees in `NIGHT_HOURS`, about.

    Four floating-point operations for each parameter and token, at `rate` operations a second
    in matrix products.
    """
    done = NIGHT_HOURS * 3600 * NIGHT_PEAK_SHARE * rate
    return {base: int(done / (4 * _base_shape(base).parameters)) for base in bases}


def memory_by_base(free: int, itemsize: int, *, four_bits: bool) -> list[dict[str, Any]]:
    """Bytes that each method needs for each base, the smallest first; None: more than `free`."""
    from myna.training.hardware import estimate_memory

    rows = []
    for name in sorted(BASES, key=lambda name: _base_shape(name).parameters):
        row: dict[str, Any] = {"base": name}
        for method in ("qlora", "lora", "full"):
            settings = Settings().train.model_copy(update={"method": method})
            try:
                memory = estimate_memory(
                    _base_shape(name), settings, free, MAX_SAMPLE_TOKENS, itemsize
                )
            except TrainingError:
                row[method] = None
            else:
                fits = memory.total <= free and (four_bits or method != "qlora")
                row[method] = memory.total if fits else None
        rows.append(row)
    return rows


@functools.cache
def _base_shape(name: str) -> Any:
    """The `ModelShape` of a base, from its config alone."""
    import torch
    import transformers

    from myna.training.hardware import model_shape

    config = transformers.LlamaConfig(**dict(zip(CONFIG_KEYS, BASES[name], strict=True)))
    with torch.device("meta"):
        return model_shape(transformers.LlamaForCausalLM(config))


def recommended_recipe(report: dict[str, Any]) -> str:
    """The line of myna.toml with the recipe that suits this machine."""
    free = report["free_memory"]
    if report["accelerator"] == "MPS":
        return 'recipe = "mac"'
    if report["accelerator"] != "CPU":
        methods = {row["base"]: row for row in report["bases"]}[MISTRAL]
        for recipe, gigabytes in RECIPE_CARDS_GB:
            method = str(RECIPES[recipe]["train.method"].value)
            # A card's memory is never all free.
            if methods[method] is not None and free >= 0.85 * gigabytes * 1e9:
                return f'recipe = "{recipe}"'
        if methods["qlora"] is not None:
            return 'recipe = "3090" with samples.max_length = 1024'
    return 'recipe = "laptop"'


def _installed_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _check_gradients(device: Any) -> Check:
    import torch

    try:
        x = torch.ones(8, 8, device=device, requires_grad=True)
        torch.autograd.grad((x @ x).sum(), x)
    except Exception as error:  # of the driver and the device, of many kinds
        return Check("gradients", works=False, told=first_line(error, 160))
    return Check("gradients", works=True, told=f"a matrix product and its gradient on {device}")


def _check_bitsandbytes(device: Any) -> Check:
    from myna.models.loading import check_four_bits

    try:
        check_four_bits(device)
    except ModelError as error:
        return Check("bitsandbytes", works=False, told=str(error))
    return Check("bitsandbytes", works=True, told=f"a 4-bit layer and its gradient on {device}")


def _check_flash_attention(device: Any) -> Check:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    name = "flash attention"
    if "flash_attn" in sys.modules or _installed_version("flash-attn"):
        try:
            from flash_attn import flash_attn_func

            x = torch.ones(1, 8, 2, 64, device=device, dtype=torch.bfloat16)
            flash_attn_func(x, x, x, causal=True)
            return Check(name, works=True, told="the package flash-attn")
        except Exception as error:  # of the package, the driver and the device
            return Check(
                name, works=False, told=f"flash-attn is installed: {first_line(error, 160)}"
            )
    try:
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        x = torch.ones(1, 2, 8, 64, device=device, dtype=dtype)
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            scaled_dot_product_attention(x, x, x, is_causal=True)
    except Exception as error:  # of the driver and the device
        return Check(name, works=False, told=first_line(error, 160))
    return Check(name, works=True, told="PyTorch's own")
