"""Loading a base model and its adapter with transformers and peft.

torch and transformers are imported inside the functions, so that this module loads fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from myna.errors import ModelError, first_line
from myna.models.bases import Base, find_base
from myna.models.gguf_file import quiet, requires_train_extra

if TYPE_CHECKING:
    import torch

FULL_MODEL_FOLDER = "model"
"""Folder inside an adapter's with a full model, if every weight was trained."""


def load_base(
    base: Base,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    four_bits: bool = False,
    to_split: bool = False,
) -> Any:
    """Load the base as a transformers causal language model, frozen, in evaluation mode.

    `device` is by default that of `choose_device`, and `dtype` that of `precision`. With
    `four_bits` the linear layers are NF4 with double quantisation, computed in `dtype`. A
    model `to_split` over devices stays in the CPU's memory. Safetensors only; no code of the
    model's folder is run.

    Raises:
        ModelError: torch, transformers or bitsandbytes is missing, or loading failed.
    """
    with requires_train_extra(), quiet():
        import torch
        import transformers

        device = choose_device() if device is None else device
        dtype = precision(device)[0] if dtype is None else dtype
        options: dict[str, Any] = {}
        if four_bits:
            check_four_bits(device)
            options = {
                "quantization_config": transformers.BitsAndBytesConfig(
                    load_in_4bit=True,
                    bnb_4bit_quant_type="nf4",
                    bnb_4bit_use_double_quant=True,
                    bnb_4bit_compute_dtype=dtype,
                    # FSDP splits floating-point numbers only: the packed bytes are stored as such.
                    bnb_4bit_quant_storage=dtype if to_split else torch.uint8,
                ),
                "device_map": {"": device},
            }
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                base.folder,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                **options,
            )
            model = model if four_bits or to_split else model.to(device)
            _disable_fused_cpu_product(model)
            return model.eval().requires_grad_(False)
        except ModuleNotFoundError:
            raise
        except Exception as error:  # transformers, safetensors and torch raise many kinds
            raise cannot_load(base.folder, error) from error


def cannot_load(folder: Path, error: Exception) -> ModelError:
    """The error for a base that transformers cannot load."""
    if "trust_remote_code" in str(error):
        return ModelError(
            f"{folder} needs code of its own, and myna runs no code of models: choose a base "
            "whose architecture transformers knows"
        )
    return ModelError(f"cannot load {folder}: {first_line(error)}")


def _disable_fused_cpu_product(model: Any) -> None:
    """Switch off bitsandbytes' fused product on CPUs with bfloat16: it has no gradient."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def check_four_bits(device: torch.device | str) -> None:
    """Check that a tiny 4-bit layer and its gradient work on `device`.

    Raises:
        ModelError: bitsandbytes is missing, or does not work here.
    """
    advice = 'use train.method = "lora", or another machine'
    try:
        with quiet():
            import bitsandbytes
            import torch

            layer = bitsandbytes.nn.Linear4bit(
                64, 64, bias=False, quant_type="nf4", compute_dtype=torch.float32
            ).to(device)
            x = torch.ones(2, 64, device=device, requires_grad=True)
            layer(x).sum().backward()
    except ModuleNotFoundError as error:
        raise ModelError(
            f"4 bits need bitsandbytes, and {error.name} is not installed: "
            f"run `pip install 'myna[gpu]'`, or {advice}"
        ) from error
    except Exception as error:  # of the library, the driver and the device, of many kinds
        raise ModelError(
            f"bitsandbytes does not work on {device}: {first_line(error)}; {advice}"
        ) from error


def load_adapter(model: Any, folder: Path, scale: float = 1.0) -> Any:
    """Put the LoRA adapter in `folder` on `model`, frozen, in evaluation mode.

    Its change of the weights is multiplied by `scale`.

    If every weight was trained, return the full model in the folder instead.

    Raises:
        ModelError: no adapter in safetensors there, or one of another base.
    """
    if (folder / FULL_MODEL_FOLDER).is_dir():
        return load_base(
            find_base(str(folder / FULL_MODEL_FOLDER), weights=True),
            dtype=model.dtype,
            device=model.device,
        )
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            raise ModelError(f"{folder} holds no adapter: {name} is missing; train it again")
    with requires_train_extra(), quiet():
        import peft

        try:
            adapted = peft.PeftModel.from_pretrained(model, str(folder), is_trainable=False)
        except Exception as error:  # peft and safetensors raise many kinds
            raise ModelError(f"cannot load the adapter {folder}: {first_line(error)}") from error
        _scale(adapted, "default", scale)  # peft's name for an adapter without one
        return adapted.eval()


def add_adapter(model: Any, folder: Path, name: str, scale: float = 1.0) -> None:
    """Add another LoRA, with a name and a scale, to a model from `load_adapter`.

    Raises:
        ModelError: no adapter in safetensors there, or one of another base.
    """
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(f"{folder} holds no adapter: its weights are missing; train it again")
    with quiet():
        try:
            model.load_adapter(str(folder), adapter_name=name, is_trainable=False)
        except Exception as error:  # peft and safetensors raise many kinds
            raise ModelError(f"cannot load the adapter {folder}: {first_line(error)}") from error
        _scale(model, name, scale)


def _scale(model: Any, adapter: str, scale: float) -> None:
    """Multiply an adapter's change of the weights by `scale`."""
    for module in model.modules():
        factors = getattr(module, "scaling", None)  # attention has a number of this name
        if isinstance(factors, dict) and adapter in factors:
            factors[adapter] *= scale


def choose_device() -> torch.device:
    """The first GPU, or else the CPU."""
    with requires_train_extra():
        import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def precision(device: torch.device | str | None = None) -> tuple[torch.dtype, str]:
    """The number format to compute in on `device`, and the reason, as half a sentence.

    bfloat16 needs half the memory, but is slower than float32 if it is only emulated.
    """
    with requires_train_extra():
        import torch

    kind = (choose_device() if device is None else torch.device(device)).type
    if kind == "cuda":
        name = torch.cuda.get_device_name(device)
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16, f"bfloat16: {name} computes in it"
        return torch.float32, f"float32: {name} has no bfloat16"
    if kind == "mps":
        return torch.float32, "float32: bfloat16 is not tested on Apple's GPUs"
    if torch.cpu._is_amx_tile_supported():
        return torch.bfloat16, "bfloat16: this CPU computes in it (AMX)"
    if torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16, "bfloat16: this CPU computes in it (AVX512_BF16)"
    return torch.float32, "float32: this CPU has neither AMX nor AVX512_BF16"
