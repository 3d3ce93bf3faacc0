"""Training methods: loading the base, adding LoRA, choosing the optimiser, saving.

lora    small matrices beside every linear layer of a frozen base
qlora   the same over a base with linear layers in 4 bits
dora    weight-decomposed LoRA: lora with a trained magnitude for each row
full    every weight of the base

The optimiser is AdamW, for qlora on CUDA with paged moments (QLoRA, section 3): they are in
memory that card and CPU share, and the driver moves them out rather than fail a step.

A trained model stays in evaluation mode: with dropout a step would depend on more than
(seed, step), and a resumed run would differ.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from peft import LoraConfig, get_peft_model

from myna import workspace
from myna.config import Train
from myna.errors import ModelError, TrainingError
from myna.models.bases import Base
from myna.models.gguf_file import quiet
from myna.models.loading import (
    FULL_MODEL_FOLDER,
    check_four_bits,
    load_adapter,
    load_base,
    precision,
)
from myna.training import distributed, hardware
from myna.training.checkpoints import trainable_parameters
from myna.training.distributed import full_tensor
from myna.training.hardware import MemoryEstimate
from myna.training.kernels.install import install_kernels

MIXER_LAYERS = ("out_proj", "dt_proj", "conv1d")
"""Layers whose weights a state-space mixer reads directly (transformers' Mamba and Jamba)."""
_TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "generation_config.json", "*.model")


def make_model(
    base: Base,
    settings: Train,
    accelerator: Accelerator,
    longest: int,
    continued: tuple[Path, str] | None = None,
) -> tuple[Any, MemoryEstimate, tuple[str, str, tuple[str, ...]]]:
    """Load the base, with what is trained in it and the fast kernels.

    Args:
        base: the model.
        settings: with the method.
        accelerator: with its device.
        longest: tokens of the longest sample.
        continued: folder and name of the adapter whose weights are trained on.

    Returns the model, the estimate of its memory, and the device, precision and kernels, with
    reasons.

    Raises:
        ModelError: the base cannot be loaded.
        TrainingError: it has no layers for LoRA, or the adapter does not fit.
    """
    device, is_sharded = accelerator.device, distributed.is_sharded(accelerator)
    memory = hardware.estimate_memory(
        hardware.model_shape(hardware.meta_model(base.folder)),
        settings,
        hardware.free_memory(device),
        longest,
        precision(device)[0].itemsize,
        accelerator.num_processes if is_sharded else 1,
    )
    model, reason = load_for_training(base, settings, device, split=is_sharded)
    if settings.method == "full":
        model = train_all_weights(load_adapter(model, continued[0]) if continued else model)
    else:
        model = add_lora(model, settings)
        if continued:
            load_lora_weights(model, continued[0], settings, continued[1])
    if memory.checkpointing:
        enable_gradient_checkpointing(model)
    kernels = add_kernels(model, settings.method, split=is_sharded)
    return model, memory, (hardware.device_name(device), reason, kernels)


def load_for_training(
    base: Base, settings: Train, device: torch.device, *, split: bool = False
) -> tuple[Any, str]:
    """Load the base for the method, frozen; return it and its precision with the reason.

    It is on the `device`, or ready to be `split` over several.

    Raises:
        ModelError: it cannot be loaded, or 4 bits are wanted and not available.
    """
    dtype, reason = precision(device)
    if settings.method == "full":
        # Small updates vanish in 16 bits: trained weights stay in 32.
        if dtype == torch.bfloat16:
            reason += "; the weights are kept in float32"
        dtype = torch.float32
    four_bits = settings.method == "qlora"
    if four_bits:
        reason += "; the base in 4 bits (NF4, double quantisation), for method qlora"
    return load_base(base, dtype=dtype, device=device, four_bits=four_bits, to_split=split), reason


def add_lora(model: Any, settings: Train) -> Any:
    """Add new LoRA matrices to all linear layers; only they are trained.

    Layers that a state-space mixer reads past their forward pass are left out: LoRA would
    learn nothing there.

    Raises:
        TrainingError: the model has no linear layers for LoRA.
    """
    set_seed(settings.seed)
    mixers = [name for name, module in model.named_modules() if hasattr(module, "A_log")]
    config = LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        target_modules="all-linear",
        exclude_modules=[f"{mixer}.{layer}" for mixer in mixers for layer in MIXER_LAYERS] or None,
        task_type="CAUSAL_LM",
        use_dora=settings.method == "dora",
    )
    try:
        with quiet():
            adapted = get_peft_model(model, config)
    except ValueError as error:
        raise TrainingError(f"LoRA matches no layer of this base: {error}") from error
    if not trainable_parameters(adapted):
        raise TrainingError("LoRA matches no layer of this base: choose another")
    return adapted.eval()


def train_all_weights(model: Any) -> Any:
    """Make every weight of the model trainable."""
    return model.eval().requires_grad_(True)


def enable_gradient_checkpointing(model: Any) -> None:
    """Recompute the model's activations in the backward pass, instead of keeping them."""
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for module in model.modules():
        if getattr(module, "gradient_checkpointing", False):
            # transformers requires it; the layers inside stay in evaluation mode.
            module.training = True


def load_lora_weights(model: Any, folder: Path, settings: Train, name: str) -> None:
    """Load the LoRA weights of the adapter in `folder` into the model.

    Raises:
        TrainingError: they have other settings, or are missing or damaged.
    """
    from peft import set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    adapter_config = workspace.read_json(folder / "adapter_config.json") or {}
    for setting, key in (("lora_r", "r"), ("lora_alpha", "lora_alpha")):
        if adapter_config.get(key) != getattr(settings, setting):
            raise TrainingError(
                f"adapter '{name}' has {setting} {adapter_config.get(key)}, and train.{setting} is "
                f"{getattr(settings, setting):g}: set it to the adapter's, or leave --continue out"
            )
    if bool(adapter_config.get("use_dora")) != (settings.method == "dora"):
        raise TrainingError(
            f"adapter '{name}' was trained by another method than {settings.method}: set "
            "train.method to the adapter's, or leave --continue out"
        )
    try:
        tensors = load_file(folder / "adapter_model.safetensors")
        with quiet():
            result = set_peft_model_state_dict(model, tensors)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise TrainingError(
            f"cannot continue training adapter '{name}': {str(error).splitlines()[0][:160]}"
        ) from error
    if result.unexpected_keys:
        raise TrainingError(f"adapter '{name}' fits another base: leave --continue out")


def save_trained(
    model: Any, base: Base, settings: Train, folder: Path, *, main: bool = True
) -> None:
    """Save what was trained: an adapter in peft's format, or a full model.

    All processes must call it, since weights may be sharded; `main` writes.
    """
    tensors = {
        name: full_tensor(p.detach()).cpu() for name, p in trainable_parameters(model).items()
    }
    if not main:
        return
    if settings.method != "full":
        model.save_pretrained(folder, state_dict=tensors)
        (folder / "README.md").unlink(missing_ok=True)  # a template
        return
    dtype = precision()[0]
    for tied in set(getattr(model, "_tied_weights_keys", None) or ()) - tensors.keys():
        tensors.pop(tied, None)
    with quiet():
        model.save_pretrained(
            folder / FULL_MODEL_FOLDER,
            state_dict={name: t.to(dtype) for name, t in tensors.items()},
        )
    for pattern in _TOKENIZER_FILES:
        for file in base.folder.glob(pattern):
            if file.suffix in (".json", ".model"):
                shutil.copy(file, folder / FULL_MODEL_FOLDER / file.name)


def add_kernels(model: Any, method: str, *, split: bool) -> tuple[str, ...]:
    """Add the fast kernels to the model; return what computes its passes and why, as lines.

    Weights that are `split` over processes can only be read in their own modules: such a
    model keeps its own code.
    """
    if split:
        lines = ["the model's own code: its weights are split over the processes"]
    else:
        lines = install_kernels(model)
    if method == "qlora":
        lines.append("4-bit linear layers by bitsandbytes")
    lines.append("output layer on trained tokens only: other tokens need no logits")
    return tuple(lines)


ADAM_BETAS = (0.9, 0.99)


def make_optimizer(
    parameters: Iterable[torch.nn.Parameter], settings: Train, device: torch.device, *, split: bool
) -> tuple[torch.optim.Optimizer, str]:
    """Make the optimiser of `parameters`; return it and its name with the reason.

    `split`: the parameters are sharded over several devices.

    Raises:
        TrainingError: paged moments are wanted and not available.
    """
    paged, reason = choose_optimizer(settings, device, split=split)
    options: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": ADAM_BETAS,
        "weight_decay": settings.weight_decay,
    }
    if not paged:
        return torch.optim.AdamW(parameters, **options), f"AdamW: {reason}"
    from bitsandbytes.optim import PagedAdamW

    return PagedAdamW(parameters, **options), f"AdamW, paged by bitsandbytes: {reason}"


def choose_optimizer(settings: Train, device: torch.device, *, split: bool) -> tuple[bool, str]:
    """Decide if AdamW's moments are paged; return that and the reason.

    Raises:
        TrainingError: paging is wanted and not available.
    """
    is_wanted = settings.optim == "paged"
    if device.type != "cuda":
        problem = "only a CUDA card's memory is paged"
    elif split:
        problem = "bitsandbytes cannot page what FSDP splits"
    else:
        problem = _four_bit_error(device) if is_wanted or settings.method == "qlora" else ""
    if is_wanted and problem:
        raise TrainingError(
            f'train.optim = "paged" is not available: {problem}; use "adamw" or "auto"'
        )
    if is_wanted or settings.optim == "adamw":
        return is_wanted, "set by train.optim"
    if settings.method != "qlora":
        return False, "without 4 bits its moments are small beside the base"
    if problem:
        return False, problem
    return True, "beside a base in 4 bits its moments are large"


def _four_bit_error(device: torch.device) -> str:
    try:
        check_four_bits(device)
    except ModelError as error:
        return str(error)
    return ""
