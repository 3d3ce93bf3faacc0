"""A LoRA adapter as a GGUF file, which llama.cpp puts on a base.

The form is that of llama.cpp's own ``convert_lora_to_gguf.py``: for each adapted weight
two tensors ``<weight>.lora_a`` (rank, in) and ``<weight>.lora_b`` (out, rank), and
``adapter.lora.alpha``; llama.cpp scales by alpha / rank.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from myna.models import lora
from myna.models.bases import Base

FILE = "adapter.gguf"


def gguf_adapter(adapter: Path, base: Base) -> Path:
    """The adapter folder's GGUF file, made where it is missing or not of this adapter.

    Raises:
        EngineError: llama.cpp cannot run such an adapter, or gguf is not installed.
        ModelError: the adapter is missing or damaged, or its folder cannot be written.
    """
    return lora.converted(adapter, base, FILE, partial(convert, adapter, base))


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
