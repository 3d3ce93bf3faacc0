"""GGUF files: reading the header with the standard library, and conversion to transformers.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3,
little-endian): key-values, then the position of each tensor, then the data. The `gguf`
package needs four seconds for SmolLM2's header; this takes a fifth of one.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from myna.errors import ModelError, first_line
from myna.leftovers import temporary_folder

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?"}
_SCALARS |= {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
MAX_ARRAY_ITEMS, MAX_ARRAY_DEPTH = 2**23, 4
"""Longest array, of some million tokens, and deepest: those of models are not nested."""
MAX_DIMENSIONS, MAX_ALIGNMENT = 8, 2**20
"""GGML has four dimensions, and aligns by some hundred bytes at most."""


@dataclass(frozen=True)
class GgufTensor:
    """A tensor in a file: `shape` slowest first, `kind` by GGML's number, `offset` in bytes."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class GgufHeader:
    """Everything before the tensors' data."""

    version: int
    count: int
    values: bytes
    """The `count` key-values as bytes of the file."""
    alignment: int
    tensors: list[GgufTensor]


def read_metadata(path: Path) -> dict[str, Any]:
    """Read all key-values of a GGUF file; arrays become lists.

    Raises:
        ModelError: not a GGUF file, or truncated.
    """
    with _open_gguf(path) as (file, _, _, count):
        return dict(_read_entry(file) for _ in range(count))


def read_header(path: Path) -> GgufHeader:
    """Read key-values and tensor positions of a GGUF file.

    Raises:
        ModelError: not a GGUF file, or truncated.
    """
    with _open_gguf(path) as (file, version, tensors, count):
        start = file.tell()
        metadata = dict(_read_entry(file) for _ in range(count))
        end = file.tell()
        relative = [_read_tensor(file) for _ in range(tensors)]
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or not 1 <= alignment <= MAX_ALIGNMENT:
            raise ModelError(f"{path} is damaged: its alignment is {alignment!r:.40}")
        data = align(file.tell(), alignment)
        file.seek(start)
        values = file.read(end - start)
    absolute = [replace(tensor, offset=tensor.offset + data) for tensor in relative]
    return GgufHeader(version, count, values, alignment, absolute)


def align(size: int, alignment: int) -> int:
    """`size`, rounded up to a multiple of `alignment`."""
    return -(-size // alignment) * alignment


@contextmanager
def _open_gguf(path: Path) -> Iterator[tuple[_BoundedFile, int, int, int]]:
    """Open a file after its preamble; with its version and numbers of tensors and key-values."""
    try:
        with path.open("rb") as file:
            magic, version, tensors, count = struct.unpack("<4sIQQ", file.read(24))
            if magic != b"GGUF" or version not in (2, 3):
                raise ModelError(f"{path} is not a GGUF file of version 2 or 3")
            yield _BoundedFile(file, path.stat().st_size), version, tensors, count
    except (struct.error, UnicodeDecodeError, KeyError, OverflowError) as error:
        raise ModelError(f"{path} is damaged: its metadata cannot be read") from error
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


class _BoundedFile:
    """A file whose parts are read only as far as it has bytes for them."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        """Read exactly `size` bytes.

        Raises:
            struct.error: the file has not as many left.
        """
        if size > self._size - self._file.tell():
            raise struct.error("the file ends before")
        return self._file.read(size)


def _read_tensor(file: _BoundedFile) -> GgufTensor:
    """Read a tensor; its offset is from the start of the data."""
    name = _read_string(file)
    dimensions = _read_number(file, "I")
    if dimensions > MAX_DIMENSIONS:
        raise struct.error("too many dimensions")
    shape = tuple(_read_number(file, "Q") for _ in range(dimensions))
    return GgufTensor(name, shape[::-1], _read_number(file, "I"), _read_number(file, "Q"))


def _read_entry(file: _BoundedFile) -> tuple[str, Any]:
    key = _read_string(file)
    return key, _read_value(file, _read_number(file, "I"))


def _read_number(file: _BoundedFile, code: str) -> Any:
    return struct.unpack(f"<{code}", file.read(struct.calcsize(f"<{code}")))[0]


def _read_string(file: _BoundedFile) -> str:
    return file.read(_read_number(file, "Q")).decode("utf-8")


def _read_value(file: _BoundedFile, kind: int, depth: int = 0) -> Any:
    if kind == _STRING:
        return _read_string(file)
    if kind != _ARRAY:
        return _read_number(file, _SCALARS[kind])
    inner, size = _read_number(file, "I"), _read_number(file, "Q")
    if size > MAX_ARRAY_ITEMS or depth > MAX_ARRAY_DEPTH:
        raise struct.error("an array is too long or too deep")
    if inner in (_STRING, _ARRAY):
        return [_read_value(file, inner, depth + 1) for _ in range(size)]
    item = struct.calcsize(f"<{_SCALARS[inner]}")
    return list(struct.unpack(f"<{size}{_SCALARS[inner]}", file.read(size * item)))


def convert_gguf_tokenizer(gguf: Path, architecture: str, folder: Path) -> None:
    """Write a GGUF file's configuration and tokenizer to `folder` for transformers.

    Raises:
        ModelError: transformers or gguf is missing, the architecture is not supported, or
            the file has no tokenizer.
    """
    with requires_train_extra(), quiet():
        import transformers
        from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES as KNOWN

        importlib.import_module("gguf")  # transformers' own message is less helpful
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


def convert_gguf_weights(gguf: Path, target: Path) -> None:
    """Write a GGUF file's weights to `target` as fp32 safetensors, atomically.

    transformers unpacks them and undoes llama.cpp's order of the q and k rows.

    Raises:
        ModelError: torch, transformers or gguf is missing.
        OSError: the disk is full.
    """
    with requires_train_extra(), quiet():
        import safetensors
        import torch
        import transformers

        importlib.import_module("gguf")  # transformers' own message is less helpful
        model = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            quantization_config=transformers.GgufConfig(dequantize=True),  # else: packed
            dtype=torch.float32,
            local_files_only=True,
        )
        with temporary_folder(target) as folder:
            try:
                model.save_pretrained(folder, max_shard_size="1TB")
            except safetensors.SafetensorError as error:  # the error of a full disk
                raise OSError(errno.ENOSPC, str(error)) from error
            (folder / "model.safetensors").replace(target)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide the progress bars and warnings of libraries; errors are still raised."""
    with requires_train_extra():
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
def requires_train_extra() -> Iterator[None]:
    """Turn a ModuleNotFoundError into a ModelError with advice."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{error.name} is not installed, and this needs it: "
            "run `pip install 'myna[train]'`, then this again"
        ) from error
