"""Loading a base model and its adapter with transformers and peft.

torch and transformers are imported inside the functions: importing this module is
cheap, and the rest of the program stays free of them.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myna.errors import ModelError
from myna.models.fetch import folder_for_parts

if TYPE_CHECKING:
    import torch

    from myna.models.bases import Base

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
    with _needing_train_extra(), quiet():
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
            return model.eval().requires_grad_(False)
        except ModuleNotFoundError:
            raise
        except Exception as error:  # transformers, safetensors and torch raise many kinds
            raise ModelError(
                f"cannot load {base.name} from {base.folder}: {_line(error)}"
            ) from error


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
            f"bitsandbytes does not work on {device}: {_line(error)}; {instead}"
        ) from error


def load_adapter(model: Any, folder: Path) -> Any:
    """`model` with the LoRA adapter of `folder` on it: evaluating, all weights frozen.

    Where every weight was trained, the folder `model` in it holds them in the base's place.

    Raises:
        ModelError: there is no adapter in safetensors there, or it fits another base.
    """
    if (folder / WHOLE).is_dir():
        from myna.models.bases import find

        return load(find(str(folder / WHOLE), weights=True), dtype=model.dtype, device=model.device)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            raise ModelError(f"{folder} holds no adapter: {name} is missing; train it anew")
    with _needing_train_extra(), quiet():
        import peft

        try:
            adapted = peft.PeftModel.from_pretrained(model, str(folder), is_trainable=False)
        except Exception as error:  # peft and safetensors raise many kinds
            raise ModelError(f"cannot load the adapter {folder}: {_line(error)}") from error
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
            raise ModelError(f"cannot load the adapter {folder}: {_line(error)}") from error


def choose_device() -> torch.device:
    """The first GPU, Apple's or another, or else the CPU."""
    with _needing_train_extra():
        import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def precision(device: torch.device | str | None = None) -> tuple[torch.dtype, str]:
    """The number format to compute in on `device`, and why, as half a sentence.

    bfloat16 is half the memory and faster where the hardware multiplies it; where it is
    emulated it is slower than float32.
    """
    with _needing_train_extra():
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


def convert_gguf_tokens(gguf: Path, architecture: str, folder: Path) -> None:
    """Write a GGUF file's configuration and tokenizer to `folder`, as transformers has them.

    Raises:
        ModelError: transformers or gguf is missing, cannot load this architecture, or the
            file holds no tokenizer.
    """
    with _needing_train_extra(), quiet():
        import transformers
        from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES as KNOWN

        importlib.import_module("gguf")  # transformers asks for it less helpfully
        try:
            options = {"gguf_file": gguf.name, "local_files_only": True}
            config = transformers.AutoConfig.from_pretrained(gguf.parent, **options)
            tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, **options)
        except Exception as error:  # transformers raises many kinds
            if architecture not in KNOWN:
                raise ModelError(
                    f"{gguf} is of the architecture '{architecture}', which transformers cannot "
                    "load from GGUF: use the model's own folder or hub id as the base instead"
                ) from error
            raise ModelError(f"cannot read {gguf}: {_line(error)}") from error
        config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if not (folder / "tokenizer.json").is_file():
            raise ModelError(
                f"{gguf} holds no tokenizer that transformers can read: use the model's own "
                "folder or hub id as the base instead"
            )


def convert_gguf(gguf: Path, target: Path) -> None:
    """Write a GGUF file's weights to `target` as fp32 safetensors, whole or not at all.

    transformers unpacks them and undoes llama.cpp's order of the q and k rows.

    Raises:
        ModelError: torch, transformers or gguf is missing.
        OSError: the disk is full.
    """
    with _needing_train_extra(), quiet():
        import safetensors
        import torch
        import transformers

        importlib.import_module("gguf")  # transformers asks for it less helpfully
        model = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            quantization_config=transformers.GgufConfig(dequantize=True),  # else: packed
            dtype=torch.float32,
            local_files_only=True,
        )
        with folder_for_parts(target.parent) as folder:
            try:
                model.save_pretrained(folder, max_shard_size="1TB")
            except safetensors.SafetensorError as error:  # what a full disk comes as
                raise OSError(errno.ENOSPC, str(error)) from error
            (folder / "model.safetensors").replace(target)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the progress bars and warnings of libraries off the terminal.

    Errors still come out as exceptions, and the libraries' settings are put back.
    """
    with _needing_train_extra():
        from transformers.utils import logging
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


@contextlib.contextmanager
def _needing_train_extra() -> Iterator[None]:
    """Turn a library that is missing into one clear line."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{error.name} is not installed, and this needs it: "
            "run `pip install 'myna[train]'`, then this again"
        ) from error


def _line(error: BaseException) -> str:
    """An exception's first line, short."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
