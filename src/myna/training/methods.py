"""Methods: what of a base is loaded how, what is trained, and how it is kept.

lora    small matrices beside every linear layer; the base as it is
qlora   the same, and the base's linear layers in 4 bits
dora    lora with a trained length for each row (weight-decomposed LoRA)
full    every weight of the base

The optimiser is AdamW, with its moments paged where a card's memory is short: paged moments
(QLoRA, section 3) lie in memory that a card and the CPU share, and in a spike the driver
moves them out, where a step would have run out of memory.

A model that is trained stays in evaluation mode: what dropout a base was made with would
make a step depend on more than (seed, step), and a resumed run another one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from peft import LoraConfig, get_peft_model

from myna import workspace
from myna.config import Train
from myna.errors import ModelError, TrainingError
from myna.models.bases import Base
from myna.models.libraries import quiet
from myna.models.loading import WHOLE, check_four_bits, load, precision
from myna.training.checkpoints import trainable
from myna.training.distributed import whole
from myna.training.kernels.install import install_kernels

READ_DIRECTLY = ("out_proj", "dt_proj", "conv1d")
"""Layers of a state-space mixer whose weights it reads itself (transformers' Mamba and Jamba)."""
_TOKENS = ("tokenizer*", "special_tokens_map.json", "generation_config.json", "*.model")


def loaded(
    base: Base, settings: Train, device: torch.device, *, split: bool = False
) -> tuple[Any, str]:
    """The base as the method wants it, frozen, and its precision with the reason.

    It is on the `device`, or ready to be `split` over several.

    Raises:
        ModelError: it cannot be loaded, or 4 bits are asked for and cannot be had.
    """
    dtype, reason = precision(device)
    if settings.method == "full":
        # Small updates vanish in 16 bits: weights that are trained stay in 32.
        if dtype == torch.bfloat16:
            reason += "; the weights themselves are kept in float32"
        return load(base, dtype=torch.float32, device=device, to_split=split), reason
    four_bits = settings.method == "qlora"
    if four_bits:
        reason += "; the base in 4 bits (NF4, double quantisation), as train.method asks"
    model = load(base, dtype=dtype, device=device, four_bits=four_bits, to_split=split)
    return model, reason


def with_lora(model: Any, settings: Train) -> Any:
    """The model with fresh LoRA matrices on all its linear layers; nothing else trained.

    A state-space mixer (Mamba and its kin) reads some weights beside their layers' own
    forward pass, where LoRA would learn nothing: these layers are left out.

    Raises:
        TrainingError: the model has no linear layers that LoRA can be put on.
    """
    set_seed(settings.seed)
    mixers = [name for name, module in model.named_modules() if hasattr(module, "A_log")]
    matrices = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules="all-linear",
        exclude_modules=[f"{mixer}.{layer}" for mixer in mixers for layer in READ_DIRECTLY] or None,
        task_type="CAUSAL_LM",
        use_dora=settings.method == "dora",
    )
    try:
        with quiet():
            adapted = get_peft_model(model, matrices)
    except ValueError as error:
        raise TrainingError(f"LoRA matches no layer of this base: {error}") from error
    if not trainable(adapted):
        raise TrainingError("LoRA matches no layer of this base: choose another")
    return adapted.eval()


def with_everything(model: Any) -> Any:
    """The model with every weight to be trained."""
    return model.eval().requires_grad_(True)


def recompute(model: Any) -> None:
    """Have the model's layers computed again on the way back, instead of kept till then."""
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for module in model.modules():
        if getattr(module, "gradient_checkpointing", False):
            # What transformers asks for; the layers in it stay as they are, without dropout.
            module.training = True


def go_on_from(model: Any, folder: Path, settings: Train, name: str) -> None:
    """Put the matrices of the adapter in `folder` in the place of fresh ones.

    Raises:
        TrainingError: they were made by other settings, or are missing or damaged.
    """
    from peft import set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    made = workspace.read_json(folder / "adapter_config.json") or {}
    for setting, key in (("rank", "r"), ("alpha", "lora_alpha")):
        if made.get(key) != getattr(settings, setting):
            raise TrainingError(
                f"adapter '{name}' has {setting} {made.get(key)}, and train.{setting} is "
                f"{getattr(settings, setting):g}: set it to the adapter's, or leave --continue out"
            )
    if bool(made.get("use_dora")) != (settings.method == "dora"):
        raise TrainingError(
            f"adapter '{name}' is of another method than {settings.method}: set train.method "
            "to the adapter's, or leave --continue out"
        )
    try:
        tensors = load_file(folder / "adapter_model.safetensors")
        with quiet():
            done = set_peft_model_state_dict(model, tensors)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise TrainingError(
            f"cannot go on from adapter '{name}': {str(error).splitlines()[0][:160]}"
        ) from error
    if done.unexpected_keys:
        raise TrainingError(f"adapter '{name}' fits another base: leave --continue out")


def save(model: Any, base: Base, settings: Train, folder: Path, *, main: bool = True) -> None:
    """Write what was trained: an adapter as peft keeps it, or a whole model.

    Where weights are split over processes all must call it; `main` writes.
    """
    tensors = {name: whole(p.detach()).cpu() for name, p in trainable(model).items()}
    if not main:
        return
    if settings.method != "full":
        model.save_pretrained(folder, state_dict=tensors)
        (folder / "README.md").unlink(missing_ok=True)  # peft's own, about nothing
        return
    dtype = precision()[0]
    for tied in set(getattr(model, "_tied_weights_keys", None) or ()) - tensors.keys():
        tensors.pop(tied, None)
    with quiet():
        model.save_pretrained(
            folder / WHOLE, state_dict={name: t.to(dtype) for name, t in tensors.items()}
        )
    for pattern in _TOKENS:
        for file in base.folder.glob(pattern):
            if file.suffix in (".json", ".model"):
                shutil.copy(file, folder / WHOLE / file.name)


def with_kernels(model: Any, method: str, *, split: bool) -> tuple[str, ...]:
    """Put the kernels into the model; what computes its passes, and why, a line each.

    Weights that are `split` over processes can be read in their own modules only: such a
    model keeps its own code.
    """
    if split:
        lines = ["the model's own code: its weights are split over the processes"]
    else:
        lines = install_kernels(model)
    if method == "qlora":
        lines.append("4-bit linear layers by bitsandbytes")
    lines.append("output layer on trained tokens only: the others' words need no logits")
    return tuple(lines)


BETAS = (0.9, 0.99)


def make_optimizer(
    parameters: Iterable[torch.nn.Parameter], settings: Train, device: torch.device, *, split: bool
) -> tuple[torch.optim.Optimizer, str]:
    """The optimiser of `parameters`, and which it is and why, as a line.

    `split` says that they lie in pieces on several devices.

    Raises:
        TrainingError: paged moments are asked for and cannot be had.
    """
    paged, reason = choose_optimizer(settings, device, split=split)
    options: dict[str, Any] = {
        "lr": settings.lr,
        "betas": BETAS,
        "weight_decay": settings.weight_decay,
    }
    if not paged:
        return torch.optim.AdamW(parameters, **options), f"AdamW: {reason}"
    from bitsandbytes.optim import PagedAdamW

    return PagedAdamW(parameters, **options), f"AdamW, paged by bitsandbytes: {reason}"


def choose_optimizer(settings: Train, device: torch.device, *, split: bool) -> tuple[bool, str]:
    """Whether the moments are paged, and why.

    Raises:
        TrainingError: that is asked for and cannot be had.
    """
    asked = settings.optimizer == "paged"
    if device.type != "cuda":
        lacking = "only a CUDA card's memory is paged"
    elif split:
        lacking = "bitsandbytes cannot page what FSDP splits"
    else:
        lacking = _lacking(device) if asked or settings.method == "qlora" else ""
    if asked and lacking:
        raise TrainingError(
            f'train.optimizer = "paged" cannot be had: {lacking}; use "adamw" or "auto"'
        )
    if asked or settings.optimizer == "adamw":
        return asked, "as train.optimizer asks"
    if settings.method != "qlora":
        return False, "beside a base that is not in 4 bits its moments are the smaller part"
    if lacking:
        return False, lacking
    return True, "in 4 bits the base leaves them the larger part, and a spike may move them out"


def _lacking(device: torch.device) -> str:
    try:
        check_four_bits(device)
    except ModelError as error:
        return str(error)
    return ""
