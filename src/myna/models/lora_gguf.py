"""A peft LoRA adapter as a GGUF file, for llama.cpp.

The form is that of llama.cpp's own ``convert_lora_to_gguf.py``: for each adapted weight
two tensors ``<weight>.lora_a`` (rank, in) and ``<weight>.lora_b`` (out, rank), and
``adapter.lora.alpha``; llama.cpp scales by alpha / rank. It orders the rows of q and k
in its own way for models like Llama, so their ``lora_b`` is reordered likewise. Made
with `gguf` and numpy alone, without torch.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myna.errors import EngineError, ModelError
from myna.models.bases import Base
from myna.models.fetch import disk_errors, folder_for_parts
from myna.models.gguf_metadata import read_metadata

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]

FILE = "adapter.gguf"
SUPPORTED = ("llama", "mistral")
"""transformers' names of the architectures that llama.cpp runs as "llama"."""

_RECIPE = "1"
"""Raise this when the conversion changes: converted files are then made anew."""
_SOURCE_KEY = "myna.source_sha256"
_UNKNOWN_TO_LLAMACPP = (
    "alora_invocation_tokens", "alpha_pattern", "fan_in_fan_out", "layer_replication", "lora_bias",
    "modules_to_save", "target_parameters", "trainable_token_indices", "use_dora", "use_qalora",
)  # fmt: skip


def gguf_adapter(adapter: Path, base: Base) -> Path:
    """The adapter folder's GGUF file, made where it is missing or not of this adapter.

    Raises:
        EngineError: llama.cpp cannot run such an adapter, or gguf is not installed.
        ModelError: the adapter is missing or damaged, or its folder cannot be written.
    """
    target = adapter / FILE
    source = _source_hash(adapter, base)
    if not _is_of(target, source):
        with disk_errors(adapter), folder_for_parts(adapter) as folder:
            part = folder / FILE
            convert(adapter, base, part, source)
            part.replace(target)
    return target


def convert(adapter: Path, base: Base, target: Path, source: str = "") -> None:
    """Write the adapter in the folder `adapter` to `target`; `source` is noted in it.

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
    settings = _adapter_settings(adapter)
    tensors = _read_safetensors(adapter / "adapter_model.safetensors")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, model["num_hidden_layers"])
    alpha = float(settings["lora_alpha"])
    if settings.get("use_rslora"):  # peft then scales by alpha / sqrt(rank)
        alpha *= math.sqrt(settings["r"])

    writer = gguf.GGUFWriter(target, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    writer.add_string(_SOURCE_KEY, source)
    for key, values in sorted(tensors.items()):
        module, part = _module_and_part(key)
        name = names.get_name(module)
        if name is None or (module == "lm_head" and model.get("tie_word_embeddings")):
            raise EngineError(
                f"the adapter in {adapter} changes {module}, which llama.cpp cannot: "
                'use engine = "transformers"'
            )
        if part == "lora_b":
            values = _llamacpp_rows(values, module, model)
        writer.add_tensor(f"{name}.weight.{part}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _llamacpp_rows(lora_b: Array, module: str, model: dict[str, Any]) -> Array:
    """`lora_b` (out, rank) with llama.cpp's order of rows, which differs for q and k.

    transformers turns each head's first half against its second (rotary positions),
    llama.cpp neighbours: row 2i + j of a head there is row j * half + i here.
    """
    heads = {
        "q_proj": model["num_attention_heads"],
        "k_proj": model.get("num_key_value_heads") or model["num_attention_heads"],
    }.get(module.rsplit(".", 1)[-1])
    if heads is None:
        return lora_b
    rows, rank = lora_b.shape
    return lora_b.reshape(heads, 2, rows // heads // 2, rank).swapaxes(1, 2).reshape(rows, rank)


def _supported_config(base: Base) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((base.folder / "config.json").read_text("utf-8"))
    kind = config.get("model_type")
    if kind not in SUPPORTED:
        raise EngineError(
            f"adapters of {base.name} (architecture {kind!r}) cannot be converted for llama.cpp, "
            f'only those of {" and ".join(SUPPORTED)}: use engine = "transformers"'
        )
    return config


def _adapter_settings(adapter: Path) -> dict[str, Any]:
    path = adapter / "adapter_config.json"
    try:
        settings: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if settings.get("peft_type") != "LORA":
            raise ModelError(f"{path} is not of a LoRA adapter: train it anew")
        _ = float(settings["lora_alpha"]), int(settings["r"])
    except OSError as error:
        raise ModelError(f"{adapter} holds no adapter: {path.name} is missing") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged: train the adapter anew") from error
    unknown = [key for key in _UNKNOWN_TO_LLAMACPP if settings.get(key)]
    if settings.get("bias", "none") != "none":
        unknown.append("bias")
    if unknown:
        raise EngineError(
            f"llama.cpp cannot run the adapter in {adapter}, which uses {', '.join(unknown)}: "
            'use engine = "transformers"'
        )
    return settings


def _module_and_part(key: str) -> tuple[str, str]:
    """``base_model.model.<module>.lora_A.weight`` as the module's name and ``lora_a``."""
    module, _, part = key.removeprefix("base_model.model.").rpartition(".lora_")
    if part not in ("A.weight", "B.weight"):
        raise EngineError(
            f'llama.cpp cannot run an adapter with {key}: use engine = "transformers"'
        )
    return module, f"lora_{part[0].lower()}"


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


def _source_hash(adapter: Path, base: Base) -> str:
    """What the GGUF file depends on: the adapter, the base's shape, and this module."""
    found = hashlib.sha256(_RECIPE.encode())
    files = (adapter / "adapter_config.json", adapter / "adapter_model.safetensors")
    for path in (*files, base.folder / "config.json"):
        try:
            found.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    return found.hexdigest()


def _is_of(path: Path, source: str) -> bool:
    try:
        return bool(read_metadata(path).get(_SOURCE_KEY) == source)
    except ModelError:
        return False
