"""A peft LoRA adapter in llama.cpp's terms, read with numpy alone.

llama.cpp has names of its own for the weights, and for models like Llama its own order of
the rows of q and k.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myna.errors import EngineError, ModelError
from myna.models.bases import Base
from myna.models.fetch import disk_errors, folder_for_parts
from myna.models.gguf_file import read_metadata

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]

SUPPORTED = ("llama", "mistral")
"""transformers' names of the architectures that llama.cpp runs as "llama"."""
SOURCE = "myna.source_sha256"
"""The key in a converted file that says what it was made of."""

_RECIPE = "2"
"""Raise this when a conversion changes: converted files are then made anew."""
_UNKNOWN = (
    "alora_invocation_tokens", "alpha_pattern", "fan_in_fan_out", "layer_replication", "lora_bias",
    "modules_to_save", "target_parameters", "trainable_token_indices", "use_qalora",
)  # fmt: skip


@dataclass(frozen=True)
class Lora:
    """What an adapter changes: weight + scale * b @ a, by llama.cpp's name of the weight."""

    alpha: float
    """The scale times the rank, as llama.cpp has it."""
    scale: float
    a: dict[str, Array]
    """(rank, in) each."""
    b: dict[str, Array]
    """(out, rank) each."""
    magnitudes: dict[str, Array]
    """DoRA's length of each row, (out,) each; empty for a plain LoRA."""


def read(adapter: Path, base: Base) -> Lora:
    """The adapter in the folder `adapter`, which was trained on `base`.

    Raises:
        EngineError: llama.cpp cannot run such an adapter, or gguf is not installed.
        ModelError: the adapter is missing or damaged.
    """
    try:
        import gguf
    except ModuleNotFoundError as error:
        raise EngineError(
            f"{error.name} is not installed, and llama.cpp needs the adapter in its form: "
            "run `pip install 'myna[serve]'`, then this again"
        ) from error
    model = _supported_config(base)
    settings = _settings(adapter)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, model["num_hidden_layers"])
    rank = settings["r"]
    alpha = float(settings["lora_alpha"])
    if settings.get("use_rslora"):  # peft then scales by alpha / sqrt(rank)
        alpha *= math.sqrt(rank)
    lora = Lora(alpha, alpha / rank, {}, {}, {})
    parts = {"lora_A": lora.a, "lora_B": lora.b, "lora_magnitude_vector": lora.magnitudes}
    path = adapter / "adapter_model.safetensors"
    for key, values in sorted(_read_safetensors(path).items()):
        module, _, part = (
            key.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".")
        )
        name = names.get_name(module)
        tied = module == "lm_head" and model.get("tie_word_embeddings")
        if name is None or tied or part not in parts:
            raise EngineError(
                f"the adapter in {adapter} changes {module or key}, which llama.cpp cannot: "
                'use engine = "transformers"'
            )
        ordered = values if part == "lora_A" else _llamacpp_rows(values, module, model)
        parts[part][f"{name}.weight"] = ordered
    if lora.a.keys() != lora.b.keys() or not lora.magnitudes.keys() <= lora.a.keys():
        raise ModelError(f"{path} is damaged: train the adapter anew")
    return lora


def converted(adapter: Path, base: Base, file: str, write: Callable[[Path, str], None]) -> Path:
    """`file` in the adapter's folder, made where it is missing or not of this adapter.

    `write(target, source)` makes it, and notes `source` under the key `SOURCE`.

    Raises:
        ModelError: the adapter is missing, or its folder cannot be written.
    """
    target, source = adapter / file, _source(adapter, base)
    if not _is_of(target, source):
        with disk_errors(adapter), folder_for_parts(adapter) as folder:
            part = folder / file
            write(part, source)
            part.replace(target)
    return target


def _llamacpp_rows(values: Array, module: str, model: dict[str, Any]) -> Array:
    """`values` (out, …) with llama.cpp's order of rows, which differs for q and k.

    transformers turns each head's first half against its second (rotary positions),
    llama.cpp neighbours: row 2i + j of a head there is row j * half + i here.
    """
    heads = {
        "q_proj": model["num_attention_heads"],
        "k_proj": model.get("num_key_value_heads") or model["num_attention_heads"],
    }.get(module.rsplit(".", 1)[-1])
    if heads is None:
        return values
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _supported_config(base: Base) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((base.folder / "config.json").read_text("utf-8"))
    kind = config.get("model_type")
    if kind not in SUPPORTED:
        raise EngineError(
            f"adapters of {base.name} (architecture {kind!r}) cannot be converted for llama.cpp, "
            f'only those of {" and ".join(SUPPORTED)}: use engine = "transformers"'
        )
    return config


def _settings(adapter: Path) -> dict[str, Any]:
    path = adapter / "adapter_config.json"
    try:
        settings: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if settings.get("peft_type") != "LORA":
            raise ModelError(f"{path} is not of a LoRA adapter: train it anew")
        _ = float(settings["lora_alpha"]), 1 / int(settings["r"])
    except OSError as error:
        raise ModelError(f"{adapter} holds no adapter: {path.name} is missing") from error
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise ModelError(f"{path} is damaged: train the adapter anew") from error
    unknown = [key for key in _UNKNOWN if settings.get(key)]
    if settings.get("bias", "none") != "none":
        unknown.append("bias")
    if unknown:
        raise unsupported(adapter, ", ".join(unknown))
    return settings


def unsupported(adapter: Path, what: str) -> EngineError:
    """That llama.cpp cannot run an adapter because of what it uses."""
    return EngineError(
        f"llama.cpp cannot run the adapter in {adapter}, which uses {what}: "
        'use engine = "transformers"'
    )


def _read_safetensors(path: Path) -> dict[str, Array]:
    """All tensors of a safetensors file as float32.

    Format: https://github.com/huggingface/safetensors#format. Read by hand because
    numpy has no bfloat16, which adapters are often saved in.

    Raises:
        ModelError: the file is missing or damaged.
    """
    import numpy as np

    try:
        raw = path.read_bytes()
        (size,) = struct.unpack("<Q", raw[:8])
        header = json.loads(raw[8 : 8 + size])
        header.pop("__metadata__", None)
        tensors = {}
        for name, entry in header.items():
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            data, kind = raw[begin:end], entry["dtype"]
            if kind == "BF16":  # the upper half of a float32
                wide = np.frombuffer(data, "<u2").astype(np.uint32) << 16
                values = wide.view(np.float32)
            else:
                values = np.frombuffer(data, {"F32": "<f4", "F16": "<f2"}[kind]).astype(np.float32)
            tensors[name] = values.reshape(entry["shape"])
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged: train the adapter anew") from error
    return tensors


def _source(adapter: Path, base: Base) -> str:
    """What a conversion depends on: the adapter, the base, and how it is done."""
    found = hashlib.sha256(_RECIPE.encode())
    files = (adapter / "adapter_config.json", adapter / "adapter_model.safetensors")
    try:
        for path in (*files, base.folder / "config.json"):
            found.update(hashlib.sha256(path.read_bytes()).digest())
        if base.gguf is not None:  # too large to be read for this
            found.update(f"{(kept := base.gguf.stat()).st_size} {kept.st_mtime_ns}".encode())
    except OSError as error:
        raise ModelError(f"cannot read {error.filename}: {error.strerror or error}") from error
    return found.hexdigest()


def _is_of(path: Path, source: str) -> bool:
    try:
        return bool(read_metadata(path).get(SOURCE) == source)
    except ModelError:
        return False
