"""Loading a base model and its adapter with transformers and peft.

torch and transformers are imported inside the functions: importing this module is
cheap, and the rest of the program stays free of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from myna.errors import ModelError, first_line
from myna.models.bases import Base, find
from myna.models.libraries import needing_train_extra, quiet

if TYPE_CHECKING:
    import torch

WHOLE = "model"
"""The folder in an adapter's that holds a whole model, where every weight was trained."""


def load(
    base: Base,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    four_bits: bool = False,
    to_split: bool = False,
) -> Any:
    """The base as a transformers causal language model: evaluating, all weights frozen.

    `dtype` is by default what `precision` says for `device`, and `device` what
    `choose_device` says. With `four_bits` the linear layers are NF4 with double
    quantisation, computed in `dtype`. One `to_split` over devices waits in the CPU's memory
    for that, since no device may hold it all. Safetensors only; no code of the model's
    folder is ever run.

    Raises:
        ModelError: torch, transformers or bitsandbytes is missing, or the folder cannot
            be loaded.
    """
    with needing_train_extra(), quiet():
        import torch
        import transformers

        place = choose_device() if device is None else device
        number = precision(place)[0] if dtype is None else dtype
        options: dict[str, Any] = {}
        if four_bits:
            check_four_bits(place)
            options = {
                "quantization_config": transformers.BitsAndBytesConfig(
                    load_in_4bit=True,
                    bnb_4bit_quant_type="nf4",
                    bnb_4bit_use_double_quant=True,
                    bnb_4bit_compute_dtype=number,
                    # FSDP splits floating-point numbers only: the packed bytes are stored as such.
                    bnb_4bit_quant_storage=number if to_split else torch.uint8,
                ),
                "device_map": {"": place},
            }
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                base.folder,
                dtype=number,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                **options,
            )
            model = model if four_bits or to_split else model.to(place)
            _keep_gradients(model)
            return model.eval().requires_grad_(False)
        except ModuleNotFoundError:
            raise
        except Exception as error:  # transformers, safetensors and torch raise many kinds
            raise ModelError(
                f"cannot load {base.name} from {base.folder}: {first_line(error)}"
            ) from error


def _keep_gradients(model: Any) -> None:
    """Keep bitsandbytes from its fused product on CPUs with bfloat16.

    It has no gradient, and takes only rows of whole blocks of 64 numbers.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def check_four_bits(device: torch.device | str) -> None:
    """Try a tiny 4-bit matrix product and its gradient on `device`.

    Raises:
        ModelError: bitsandbytes is missing, or does not work here.
    """
    instead = 'use train.method = "lora", or another machine'
    try:
        with quiet():
            import bitsandbytes
            import torch

            layer = bitsandbytes.nn.Linear4bit(
                64, 64, bias=False, quant_type="nf4", compute_dtype=torch.float32
            ).to(device)
            given = torch.ones(2, 64, device=device, requires_grad=True)
            layer(given).sum().backward()
    except ModuleNotFoundError as error:
        raise ModelError(
            f"4 bits need bitsandbytes, and {error.name} is not installed: "
            f"run `pip install 'myna[gpu]'`, or {instead}"
        ) from error
    except Exception as error:  # of the library, the driver and the device, of many kinds
        raise ModelError(
            f"bitsandbytes does not work on {device}: {first_line(error)}; {instead}"
        ) from error


def load_adapter(model: Any, folder: Path) -> Any:
    """`model` with the LoRA adapter of `folder` on it: evaluating, all weights frozen.

    Where every weight was trained, the folder `model` in it holds them in the base's place.

    Raises:
        ModelError: there is no adapter in safetensors there, or it fits another base.
    """
    if (folder / WHOLE).is_dir():
        return load(find(str(folder / WHOLE), weights=True), dtype=model.dtype, device=model.device)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            raise ModelError(f"{folder} holds no adapter: {name} is missing; train it anew")
    with needing_train_extra(), quiet():
        import peft

        try:
            adapted = peft.PeftModel.from_pretrained(model, str(folder), is_trainable=False)
        except Exception as error:  # peft and safetensors raise many kinds
            raise ModelError(f"cannot load the adapter {folder}: {first_line(error)}") from error
        return adapted.eval()


def add_adapter(model: Any, folder: Path, name: str) -> None:
    """Put one more LoRA on a model that `load_adapter` gave, under a name.

    Raises:
        ModelError: there is no adapter in safetensors there, or it fits another base.
    """
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(f"{folder} holds no adapter: its weights are missing; train it anew")
    with quiet():
        try:
            model.load_adapter(str(folder), adapter_name=name, is_trainable=False)
        except Exception as error:  # peft and safetensors raise many kinds
            raise ModelError(f"cannot load the adapter {folder}: {first_line(error)}") from error


def choose_device() -> torch.device:
    """The first GPU, Apple's or another, or else the CPU."""
    with needing_train_extra():
        import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def precision(device: torch.device | str | None = None) -> tuple[torch.dtype, str]:
    """The number format to compute in on `device`, and why, as half a sentence.

    bfloat16 is half the memory and faster where the hardware multiplies it; where it is
    emulated it is slower than float32.
    """
    with needing_train_extra():
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
