"""An adapter as a GGUF file: by itself, or merged into a small base with 8 bits a weight.

llama.cpp reads prompts and speaks faster so than with 4 bits and a LoRA beside them:
`python benchmarks/talking.py` has the figures. A large base is kept as it is: there the
memory's speed counts, and the disk.

The form of an adapter by itself is that of llama.cpp's own ``convert_lora_to_gguf.py``: for
each adapted weight two tensors ``<weight>.lora_a`` (rank, in) and ``<weight>.lora_b`` (out,
rank), and ``adapter.lora.alpha``; llama.cpp scales by alpha / rank.
"""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myna.errors import ModelError
from myna.models import lora
from myna.models.bases import Base
from myna.models.fetch import Say, silent
from myna.models.gguf_file import Head, padded, read_head

if TYPE_CHECKING:
    from myna.models.lora import Array, Lora


ADAPTER_FILE = "adapter.gguf"


def gguf_adapter(adapter: Path, base: Base) -> Path:
    """The adapter folder's GGUF file, made where it is missing or not of this adapter.

    Raises:
        EngineError: llama.cpp cannot run such an adapter, or gguf is not installed.
        ModelError: the adapter is missing or damaged, or its folder cannot be written.
    """
    return lora.converted(adapter, base, ADAPTER_FILE, partial(convert, adapter, base))


def convert(adapter: Path, base: Base, target: Path, source: str = "") -> None:
    """Write the adapter in the folder `adapter` to `target`; `source` is noted in it.

    Raises:
        EngineError: llama.cpp cannot run such an adapter, or gguf is not installed.
        ModelError: the adapter is missing or damaged.
    """
    read = lora.read(adapter, base)
    if read.magnitudes:
        raise lora.unsupported(adapter, "DoRA")
    import gguf

    writer = gguf.GGUFWriter(target, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", read.alpha)
    writer.add_string(lora.SOURCE, source)
    for name in read.a:
        writer.add_tensor(f"{name}.lora_a", read.a[name])
        writer.add_tensor(f"{name}.lora_b", read.b[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


MERGED_FILE = "merged.gguf"
SMALL = 2**28
"""Bytes of a GGUF file up to which it is merged."""
_STRING = 8
"""GGUF's number of that type."""


def is_small(gguf: Path) -> bool:
    """Whether merging is worth its place on the disk."""
    return gguf.exists() and gguf.stat().st_size <= SMALL


def merged(adapter: Path, base: Base, gguf: Path, say: Say = silent) -> Path:
    """The merged file in the adapter's folder, made where it is missing or of another.

    `gguf` is the file of `base`.

    Raises:
        EngineError: llama.cpp cannot run such an adapter, or gguf is not installed.
        ModelError: base or adapter are missing or damaged, or the folder cannot be written.
    """
    return lora.converted(adapter, base, MERGED_FILE, partial(_write, adapter, base, gguf, say))


def _write(adapter: Path, base: Base, gguf: Path, say: Say, target: Path, source: str) -> None:
    """Write base and adapter to `target`.

    A weight that the adapter changes becomes Q8_0 (F16 where its rows do not divide into
    blocks); all others, and what the file says of itself, stay as they are.
    """
    read = lora.read(adapter, base)
    say("joining base and adapter for llama.cpp, once")
    import numpy as np
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import dequantize, quant_shape_to_byte_shape, quantize

    head = read_head(gguf)
    data = np.memmap(gguf, np.uint8, "r").view(np.ndarray)
    tensors: list[tuple[str, tuple[int, ...], int, Any]] = []
    for tensor in head.tensors:
        try:
            kind = GGMLQuantizationType(tensor.kind)
            size = quant_shape_to_byte_shape(tensor.shape, kind)
            values = data[tensor.at : tensor.at + int(np.prod(size))].reshape(size)
        except ValueError as error:
            raise ModelError(f"{gguf} is damaged: {tensor.name} is not whole") from error
        if tensor.name in read.a:
            weight = _changed(dequantize(values, kind), tensor.name, read)
            blocks, _ = GGML_QUANT_SIZES[GGMLQuantizationType.Q8_0]
            fits = tensor.shape[-1] % blocks == 0
            kind = GGMLQuantizationType.Q8_0 if fits else GGMLQuantizationType.F16
            values = quantize(weight, kind)
        tensors.append((tensor.name, tensor.shape, int(kind), values))
    missing = read.a.keys() - {name for name, *_ in tensors}
    if missing:
        raise ModelError(f"{gguf} has no {min(missing)}, which the adapter changes")
    _write_gguf(target, head, source, tensors)


def _changed(weight: Array, name: str, read: Lora) -> Array:
    """`weight` (out, in) with the adapter.

    DoRA: each row has a length of its own (arXiv:2402.09353, equation 5).
    """
    import numpy as np

    changed: Array = weight + read.scale * (read.b[name] @ read.a[name])
    if name in read.magnitudes:
        lengths = np.linalg.norm(changed, axis=1)
        changed *= (read.magnitudes[name] / lengths)[:, None]
    return changed


def _write_gguf(
    target: Path, head: Head, source: str, tensors: list[tuple[str, tuple[int, ...], int, Any]]
) -> None:
    """Write the key-values of `head` with `source`, and the tensors."""
    packed = [struct.pack("<4sIQQ", b"GGUF", head.version, len(tensors), head.count + 1)]
    packed += [head.values, _string(lora.SOURCE), struct.pack("<I", _STRING), _string(source)]
    at = 0
    for name, shape, kind, values in tensors:
        sizes = shape[::-1]
        packed += [_string(name), struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)]
        packed += [struct.pack("<IQ", kind, at)]
        at += padded(values.nbytes, head.alignment)
    with target.open("wb") as file:
        file.write(b"".join(packed))
        for *_, values in tensors:
            file.write(bytes(padded(file.tell(), head.alignment) - file.tell()))
            file.write(values.tobytes())
        file.write(bytes(padded(file.tell(), head.alignment) - file.tell()))


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw
