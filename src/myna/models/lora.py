"""Reading a peft LoRA adapter for llama.cpp, with its weight names and order of q and k rows."""

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
from myna.leftovers import temporary_folder
from myna.models.bases import Base
from myna.models.fetch import disk_errors
from myna.models.gguf_file import read_metadata

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]

SUPPORTED_ARCHITECTURES = ("llama", "mistral")
"""Architectures by transformers' name that llama.cpp runs as "llama"."""
SOURCE_KEY = "myna.source_sha256"
"""Key in a converted file with the hash of its sources."""

_CONVERSION_VERSION = "2"
"""Raise this when a conversion changes: converted files are then made again."""
_UNSUPPORTED_SETTINGS = (
    "alora_invocation_tokens", "alpha_pattern", "fan_in_fan_out", "layer_replication", "lora_bias",
    "modules_to_save", "target_parameters", "trainable_token_indices", "use_qalora",
)  # fmt: skip


@dataclass(frozen=True)
class LoraWeights:
    """LoRA weights by llama.cpp's name of the adapted weight: weight + scale * b @ a."""

    alpha: float
    """The scale times the rank, as in llama.cpp."""
    scale: float
    a: dict[str, Array]
    """(rank, in) each."""
    b: dict[str, Array]
    """(out, rank) each."""
    magnitudes: dict[str, Array]
    """DoRA's magnitudes of the rows, (out,) each; empty for a plain LoRA."""


def read_adapter(adapter: Path, base: Base, scale: float = 1.0) -> LoraWeights:
    """Read the adapter in the folder `adapter`, trained on `base`, its change times `scale`.

    Raises:
        EngineError: llama.cpp does not support the adapter, or gguf is not installed.
        ModelError: the adapter is missing or damaged.
    """
    try:
        import gguf
    except ModuleNotFoundError as error:
        raise EngineError(
            f"{error.name} is not installed, and llama.cpp needs it to convert the adapter: "
            "run `pip install 'myna[serve]'`, then this again"
        ) from error
    model = _supported_config(base)
    config = _read_adapter_config(adapter)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, model["num_hidden_layers"])
    rank = config["r"]
    alpha = float(config["lora_alpha"]) * scale
    if config.get("use_rslora"):  # peft then scales by alpha / sqrt(rank)
        alpha *= math.sqrt(rank)
    lora = LoraWeights(alpha, alpha / rank, {}, {}, {})
    kinds = {"lora_A": lora.a, "lora_B": lora.b, "lora_magnitude_vector": lora.magnitudes}
    path = adapter / "adapter_model.safetensors"
    for key, values in sorted(_read_safetensors(path).items()):
        module, _, kind = (
            key.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".")
        )
        name = names.get_name(module)
        tied = module == "lm_head" and model.get("tie_word_embeddings")
        if name is None or tied or kind not in kinds:
            raise EngineError(
                f"the adapter in {adapter} changes {module or key}, which llama.cpp cannot: "
                'use engine = "transformers"'
            )
        ordered = values if kind == "lora_A" else _to_llamacpp_rows(values, module, model)
        kinds[kind][f"{name}.weight"] = ordered
    if lora.a.keys() != lora.b.keys() or not lora.magnitudes.keys() <= lora.a.keys():
        raise ModelError(f"{path} is damaged: train the adapter again")
    return lora


def convert_once(
    adapter: Path,
    base: Base,
    file: str,
    write: Callable[[Path, str], None],
    scale: float = 1.0,
) -> Path:
    """`file` in the adapter's folder, made by `write(target, source)` unless up to date.

    `write` stores `source`, which depends on `scale`, too, under the key `SOURCE_KEY`.

    Raises:
        ModelError: the adapter is missing, or its folder cannot be written.
    """
    target, source = adapter / file, _source_hash(adapter, base, scale)
    if not _was_made_from(target, source):
        with disk_errors(adapter), temporary_folder(target) as folder:
            path = folder / file
            write(path, source)
            path.replace(target)
    return target


def _to_llamacpp_rows(values: Array, module: str, model: dict[str, Any]) -> Array:
    """`values` (out, …) with llama.cpp's order of rows in q and k.

    transformers rotates each head's first half against its second (rotary positions),
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
    if kind not in SUPPORTED_ARCHITECTURES:
        raise EngineError(
            f"adapters of {base.name} (architecture {kind!r}) cannot be converted for llama.cpp, "
            f'only those of {" and ".join(SUPPORTED_ARCHITECTURES)}: use engine = "transformers"'
        )
    return config


def _read_adapter_config(adapter: Path) -> dict[str, Any]:
    path = adapter / "adapter_config.json"
    try:
        settings: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if settings.get("peft_type") != "LORA":
            raise ModelError(f"{path} is not of a LoRA adapter: train it again")
        _ = float(settings["lora_alpha"]), 1 / int(settings["r"])
    except OSError as error:
        raise ModelError(f"{adapter} holds no adapter: {path.name} is missing") from error
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise ModelError(f"{path} is damaged: train the adapter again") from error
    unknown = [key for key in _UNSUPPORTED_SETTINGS if settings.get(key)]
    if settings.get("bias", "none") != "none":
        unknown.append("bias")
    if unknown:
        raise unsupported_adapter(adapter, ", ".join(unknown))
    return settings


def unsupported_adapter(adapter: Path, feature: str) -> EngineError:
    """The error for an adapter with a feature that llama.cpp lacks."""
    return EngineError(
        f"llama.cpp cannot run the adapter in {adapter}, which uses {feature}: "
        'use engine = "transformers"'
    )


def _read_safetensors(path: Path) -> dict[str, Array]:
    """Read all tensors of a safetensors file as float32.

    Format: https://github.com/huggingface/safetensors#format. Read by hand because numpy
    has no bfloat16.

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
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} is damaged: train the adapter again") from error
    return tensors


def _source_hash(adapter: Path, base: Base, scale: float) -> str:
    """A hash of the adapter, its scale, the base and the version of the conversion."""
    digest = hashlib.sha256(f"{_CONVERSION_VERSION} {scale!r}".encode())
    files = (adapter / "adapter_config.json", adapter / "adapter_model.safetensors")
    try:
        for path in (*files, base.folder / "config.json"):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        if base.gguf is not None:  # too large to be read for this
            digest.update(f"{(stat := base.gguf.stat()).st_size} {stat.st_mtime_ns}".encode())
    except OSError as error:
        raise ModelError(f"cannot read {error.filename}: {error.strerror or error}") from error
    return digest.hexdigest()


def _was_made_from(path: Path, source: str) -> bool:
    try:
        return bool(read_metadata(path).get(SOURCE_KEY) == source)
    except ModelError:
        return False
