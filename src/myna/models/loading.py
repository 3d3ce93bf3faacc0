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


def load(
    base: Base, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> Any:
    """The base as a transformers causal language model: evaluating, all weights frozen.

    `dtype` is by default what `precision` says for `device`, and `device` what
    `choose_device` says. Safetensors only; no code of the model's folder is ever run.

    Raises:
        ModelError: torch or transformers is missing, or the folder cannot be loaded.
    """
    with _needing_train_extra(), quiet():
        import transformers

        place = choose_device() if device is None else device
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                base.folder,
                dtype=precision(place)[0] if dtype is None else dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
            )
            return model.to(place).eval().requires_grad_(False)
        except ModuleNotFoundError:
            raise
        except Exception as error:  # transformers, safetensors and torch raise many kinds
            raise ModelError(
                f"cannot load {base.name} from {base.folder}: {_line(error)}"
            ) from error


def load_adapter(model: Any, folder: Path) -> Any:
    """`model` with the LoRA adapter of `folder` on it: evaluating, all weights frozen.

    Raises:
        ModelError: there is no adapter in safetensors there, or it fits another base.
    """
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
