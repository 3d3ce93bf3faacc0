"""GGUF files: the head, read with the standard library alone, and the way to transformers.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3,
little-endian): key-values, then where each tensor is, then their data. The `gguf`
package reads the same in four seconds for SmolLM2; this takes a fifth of one, and needs
nothing installed.
"""

from __future__ import annotations

import errno
import importlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from myna.errors import ModelError, first_line
from myna.models.fetch import folder_for_parts
from myna.models.libraries import needing_train_extra, quiet

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?"}
_SCALARS |= {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class Tensor:
    """A tensor in a file: `shape` slowest first, `kind` by GGML's number, `at` in bytes."""

    name: str
    shape: tuple[int, ...]
    kind: int
    at: int


@dataclass(frozen=True)
class Head:
    """What comes before the tensors' data."""

    version: int
    count: int
    values: bytes
    """The `count` key-values, as they stand in the file."""
    alignment: int
    tensors: list[Tensor]


def read_metadata(path: Path) -> dict[str, Any]:
    """All key-values of a GGUF file; arrays become lists.

    Raises:
        ModelError: the file is no GGUF, or ends in the middle of its metadata.
    """
    with _opened(path) as (file, _, _, count):
        return dict(_entry(file.read) for _ in range(count))


def read_head(path: Path) -> Head:
    """Key-values and tensors of a GGUF file.

    Raises:
        ModelError: the file is no GGUF, or ends in the middle of them.
    """
    with _opened(path) as (file, version, tensors, count):
        begun = file.tell()
        metadata = dict(_entry(file.read) for _ in range(count))
        ended = file.tell()
        found = [_tensor(file.read) for _ in range(tensors)]
        alignment = metadata.get("general.alignment", 32)
        data = padded(file.tell(), alignment)
        file.seek(begun)
        values = file.read(ended - begun)
    placed = [Tensor(one.name, one.shape, one.kind, one.at + data) for one in found]
    return Head(version, count, values, alignment, placed)


def padded(size: int, alignment: int) -> int:
    """`size`, rounded up to a multiple of `alignment`."""
    return -(-size // alignment) * alignment


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int, int, int]]:
    """The file behind its first words: version, tensors and key-values that follow."""
    try:
        with path.open("rb") as file:
            magic, version, tensors, count = struct.unpack("<4sIQQ", file.read(24))
            if magic != b"GGUF" or version not in (2, 3):
                raise ModelError(f"{path} is not a GGUF file of version 2 or 3")
            yield file, version, tensors, count
    except (struct.error, UnicodeDecodeError, KeyError) as error:
        raise ModelError(f"{path} is damaged: its metadata cannot be read") from error
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


def _tensor(read: Any) -> Tensor:
    """A tensor; `at` counts from where the data begins."""
    name = _string(read)
    shape = tuple(_number(read, "Q") for _ in range(_number(read, "I")))
    return Tensor(name, shape[::-1], _number(read, "I"), _number(read, "Q"))


def _entry(read: Any) -> tuple[str, Any]:
    key = _string(read)
    return key, _value(read, _number(read, "I"))


def _number(read: Any, code: str) -> Any:
    return struct.unpack(f"<{code}", read(struct.calcsize(f"<{code}")))[0]


def _string(read: Any) -> str:
    size = _number(read, "Q")
    raw: bytes = read(size)
    if len(raw) != size:
        raise struct.error("the file ends inside a string")
    return raw.decode("utf-8")


def _value(read: Any, kind: int) -> Any:
    if kind == _STRING:
        return _string(read)
    if kind != _ARRAY:
        return _number(read, _SCALARS[kind])
    inner, size = _number(read, "I"), _number(read, "Q")
    if inner in (_STRING, _ARRAY):
        return [_value(read, inner) for _ in range(size)]
    code = f"<{size}{_SCALARS[inner]}"
    return list(struct.unpack(code, read(struct.calcsize(code))))


def convert_gguf_tokens(gguf: Path, architecture: str, folder: Path) -> None:
    """Write a GGUF file's configuration and tokenizer to `folder`, as transformers has them.

    Raises:
        ModelError: transformers or gguf is missing, cannot load this architecture, or the
            file holds no tokenizer.
    """
    with needing_train_extra(), quiet():
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
            raise ModelError(f"cannot read {gguf}: {first_line(error)}") from error
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
    with needing_train_extra(), quiet():
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
