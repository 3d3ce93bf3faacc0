"""Adapters as GGUF files: by themselves, or merged into a small base with 8 bits a weight.

Merged ones are faster in llama.cpp than 4 bits with a LoRA (`python benchmarks/talking.py`
has the figures); large bases are limited by memory bandwidth, and stay as they are.

An adapter by itself has the format of llama.cpp's ``convert_lora_to_gguf.py``: for each
adapted weight two tensors ``<weight>.lora_a`` (rank, in) and ``<weight>.lora_b`` (out, rank),
and ``adapter.lora.alpha``; llama.cpp scales by alpha / rank.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myna.errors import ModelError
from myna.models import lora
from myna.models.bases import Base
from myna.models.fetch import Reporter, silent
from myna.models.gguf_file import GgufHeader, align, read_header

if TYPE_CHECKING:
    from myna.models.lora import Array, LoraWeights


ADAPTER_FILE = "adapter.gguf"


def gguf_adapter(adapter: Path, base: Base) -> Path:
    """The GGUF file in the adapter's folder, made unless up to date.

    Raises:
        EngineError: llama.cpp does not support the adapter, or gguf is not installed.
        ModelError: the adapter is missing or damaged, or its folder cannot be written.
    """
    return lora.convert_once(
        adapter, base, ADAPTER_FILE, partial(write_adapter_gguf, adapter, base)
    )


def write_adapter_gguf(
    adapter: Path,
    base: Base,
    target: Path,
    source: str = "",
    *,
    scale: float = 1.0,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write the adapter in the folder `adapter` to `target`, with the hash `source`.

    Its change of the weights is multiplied by `scale`; `about` has further texts for its metadata.

    Raises:
        EngineError: llama.cpp does not support the adapter, or gguf is not installed.
        ModelError: the adapter is missing or damaged.
    """
    weights = lora.read_adapter(adapter, base, scale)
    if weights.magnitudes:
        raise lora.unsupported_adapter(adapter, "DoRA")
    import gguf

    writer = gguf.GGUFWriter(target, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", weights.alpha)
    writer.add_string(lora.SOURCE_KEY, source)
    for key, text in (about or {}).items():
        writer.add_string(key, text)
    for name in weights.a:
        writer.add_tensor(f"{name}.lora_a", weights.a[name])
        writer.add_tensor(f"{name}.lora_b", weights.b[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


MERGED_FILE = "merged.gguf"
MAX_MERGED_BYTES = 2**28
"""Largest GGUF file of a base that is merged."""
_STRING = 8
"""GGUF's type number of strings."""


def is_worth_merging(gguf: Path) -> bool:
    """True if the base is small enough to be merged."""
    return gguf.exists() and gguf.stat().st_size <= MAX_MERGED_BYTES


def merged_gguf(
    adapter: Path, base: Base, gguf: Path, report: Reporter = silent, scale: float = 1.0
) -> Path:
    """The merged GGUF file in the adapter's folder, made unless up to date.

    `gguf` is the file of `base`; the adapter's change is multiplied by `scale`.

    Raises:
        EngineError: llama.cpp does not support the adapter, or gguf is not installed.
        ModelError: base or adapter are missing or damaged, or the folder cannot be written.
    """
    return lora.convert_once(
        adapter,
        base,
        MERGED_FILE,
        partial(_write_merged, adapter, base, gguf, report, scale),
        scale,
    )


def _write_merged(
    adapter: Path,
    base: Base,
    gguf: Path,
    report: Reporter,
    scale: float,
    target: Path,
    source: str,
) -> None:
    """Write the merged model to `target`.

    Adapted weights become Q8_0 (F16 if their rows do not divide into blocks); all other
    weights and the metadata stay.
    """
    weights = lora.read_adapter(adapter, base, scale)
    report("merging base and adapter for llama.cpp, once")
    import numpy as np
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import dequantize, quant_shape_to_byte_shape, quantize

    header = read_header(gguf)
    data = np.memmap(gguf, np.uint8, "r").view(np.ndarray)
    tensors: list[tuple[str, tuple[int, ...], int, Any]] = []
    for tensor in header.tensors:
        try:
            kind = GGMLQuantizationType(tensor.kind)
            size = quant_shape_to_byte_shape(tensor.shape, kind)
            values = data[tensor.offset : tensor.offset + int(np.prod(size))].reshape(size)
        except ValueError as error:
            raise ModelError(f"{gguf} is damaged: {tensor.name} is truncated") from error
        if tensor.name in weights.a:
            weight = _merged_weight(dequantize(values, kind), tensor.name, weights)
            blocks, _ = GGML_QUANT_SIZES[GGMLQuantizationType.Q8_0]
            fits = tensor.shape[-1] % blocks == 0
            kind = GGMLQuantizationType.Q8_0 if fits else GGMLQuantizationType.F16
            values = quantize(weight, kind)
        tensors.append((tensor.name, tensor.shape, int(kind), values))
    missing = weights.a.keys() - {name for name, *_ in tensors}
    if missing:
        raise ModelError(f"{gguf} has no {min(missing)}, which the adapter changes")
    _write_gguf(target, header, source, tensors)


def _merged_weight(weight: Array, name: str, weights: LoraWeights) -> Array:
    """`weight` (out, in) with the adapter; DoRA as in arXiv:2402.09353, equation 5."""
    import numpy as np

    merged: Array = weight + weights.scale * (weights.b[name] @ weights.a[name])
    if name in weights.magnitudes:
        norms = np.linalg.norm(merged, axis=1)
        merged *= (weights.magnitudes[name] / norms)[:, None]
    return merged


def _write_gguf(
    target: Path,
    header: GgufHeader,
    source: str,
    tensors: list[tuple[str, tuple[int, ...], int, Any]],
) -> None:
    """Write the key-values of `header`, with the hash `source`, and the tensors."""
    packed = [struct.pack("<4sIQQ", b"GGUF", header.version, len(tensors), header.count + 1)]
    packed += [header.values, _string(lora.SOURCE_KEY), struct.pack("<I", _STRING), _string(source)]
    offset = 0
    for name, shape, kind, values in tensors:
        sizes = shape[::-1]
        packed += [_string(name), struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)]
        packed += [struct.pack("<IQ", kind, offset)]
        offset += align(values.nbytes, header.alignment)
    with target.open("wb") as file:
        file.write(b"".join(packed))
        for *_, values in tensors:
            file.write(bytes(align(file.tell(), header.alignment) - file.tell()))
            file.write(values.tobytes())
        file.write(bytes(align(file.tell(), header.alignment) - file.tell()))


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw
