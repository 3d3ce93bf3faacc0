"""Base models: the embedded one, a local folder or GGUF file, or one of a model hub.

find("smollm2-135m", ...)        the embedded base, the default
find("./my-model", ...)          a transformers folder
find("./my-model.gguf", ...)     a GGUF file of an architecture that transformers can load
find("org/name", ...)            a model hub's; "org/name@revision" fixes a version
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from myna.errors import ModelError, first_line
from myna.leftovers import temporary_folder
from myna.models import embedded
from myna.models.fetch import Reporter, cache_folder, disk_errors, silent
from myna.models.gguf_file import convert_gguf_tokenizer, convert_gguf_weights, read_metadata

DEFAULT_BASE = embedded.NAME


@dataclass(frozen=True)
class Base:
    """A base model on this machine."""

    name: str
    """As the user wrote it, for `find_base`."""
    folder: Path
    """Holds tokenizer.json and config.json, and safetensors if `weights` is true."""
    gguf: Path | None
    """The same model for llama.cpp, if available."""
    context: int
    """Context length in tokens."""
    weights: bool
    """True if the safetensors are there."""
    origin: str
    """Hash or hub revision of the weights; empty for a folder."""

    @cached_property
    def fingerprint(self) -> str:
        """A hash that identifies the base, the same with and without `weights`.

        Of a local folder's weights it reads a few pieces of each file, not the gigabytes.
        """
        digest = hashlib.sha256(self.origin.encode())
        for name in ("config.json", "tokenizer.json"):
            digest.update(hashlib.sha256((self.folder / name).read_bytes()).digest())
        if not self.origin:
            for path in sorted(self.folder.glob("*.safetensors")):
                digest.update(_sampled_digest(path))
        return digest.hexdigest()


def find_base(name: str, *, weights: bool, report: Reporter = silent) -> Base:
    """Find the base called `name`; download it if necessary.

    `weights=False` gives the files for tokenising, and the GGUF file of the embedded base;
    `weights=True` gives the transformers weights as well. `report` gets lines on slow steps.

    Raises:
        ModelError: unknown name, a file is missing, or the download failed.
    """
    if name == embedded.NAME:
        gguf = embedded.gguf_file(report)
        folder = embedded.transformers_folder(weights=weights, report=report)
        return _checked_base(name, folder, gguf, weights, embedded.GGUF_SHA256)
    folder = Path(name).expanduser()
    if name.endswith(".gguf") and folder.is_file():
        return _gguf_base(name, folder.resolve(), weights, report)
    if name and folder.is_dir():
        return _local_base(name, folder.resolve(), weights)
    parts = name.split("/")
    if len(parts) == 2 and all(parts) and not name.startswith((".", "~")):
        folder = _download_snapshot(name, weights, report)
        # The hub's folders are named after the revision that they hold.
        return _checked_base(name, folder, _only_gguf(folder), weights, f"{name}@{folder.name}")
    raise ModelError(
        f"no base model called {name!r}: use {DEFAULT_BASE!r}, the path of a folder with a "
        "config.json or of a GGUF file, or a model hub's org/name"
    )


def _gguf_base(name: str, file: Path, weights: bool, report: Reporter) -> Base:
    digest = _sampled_digest(file).hex()
    folder = gguf_folder(file, digest, weights=weights, report=report)
    return _checked_base(name, folder, file, weights, digest)


def _local_base(name: str, folder: Path, weights: bool) -> Base:
    if weights and not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} has no *.safetensors: save the model there in that form "
            "(model.save_pretrained); pickled weights are never loaded"
        )
    return _checked_base(name, folder, _only_gguf(folder), weights, "")


def _checked_base(name: str, folder: Path, gguf: Path | None, weights: bool, origin: str) -> Base:
    """Check the files of a base, and read its context length.

    Raises:
        ModelError: config.json or tokenizer.json is missing or incomplete.
    """
    for file in ("config.json", "tokenizer.json"):
        if not (folder / file).is_file():
            raise ModelError(
                f"{folder} has no {file}: a base model needs one; save the model and its "
                "tokenizer there with the transformers library (save_pretrained)"
            )
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        text = config.get("text_config", config)  # models that also see images nest it
        context = int(text["max_position_embeddings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{folder / 'config.json'} does not say max_position_embeddings, the length of "
            "the context: add it, or choose another base"
        ) from error
    if not 0 < context < 2**31:
        raise ModelError(
            f"{folder / 'config.json'} says max_position_embeddings = {context:.3g}: correct it, "
            "or choose another base"
        )
    return Base(name, folder, gguf, context, weights, origin)


def _only_gguf(folder: Path) -> Path | None:
    """The folder's GGUF file; None if it has none or several."""
    files = list(folder.glob("*.gguf"))
    return files[0] if len(files) == 1 else None


def _sampled_digest(path: Path, pieces: int = 64, length: int = 4096) -> bytes:
    """A digest of a file's name, size, and `pieces` pieces spread evenly over it."""
    size = path.stat().st_size
    digest = hashlib.sha256(f"{path.name} {size}".encode())
    with path.open("rb") as file:
        for i in range(pieces):
            file.seek(i * max(size - length, 0) // max(pieces - 1, 1))
            digest.update(file.read(length))
    return digest.digest()


def _download_snapshot(name: str, weights: bool, report: Reporter) -> Path:
    """Download a hub model, unless it is cached; return its folder. No pickle, no code.

    Raises:
        ModelError: huggingface_hub is missing, the hub is unreachable, or has no such model.
    """
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{name} is on a model hub, and huggingface_hub is not installed: "
            "run `pip install huggingface_hub`, then this again"
        ) from error
    repository, _, revision = name.partition("@")
    patterns: Sequence[str] = ("*.json", "tokenizer.model", *(["*.safetensors"] if weights else []))
    report(f"fetching {name} from the model hub, unless it is cached")
    try:
        folder = huggingface_hub.snapshot_download(
            repository, revision=revision or None, allow_patterns=list(patterns)
        )
    except Exception as error:  # the hub's, the network's and the disk's, of many kinds
        reason = first_line(error, 160)
        raise ModelError(
            f"cannot fetch {name} from the model hub: {reason}; check its name and the "
            f"network, or give the path of a folder that holds the model instead"
        ) from error
    return Path(os.fspath(folder))


def gguf_folder(gguf: Path, digest: str, *, weights: bool, report: Reporter) -> Path:
    """Convert a GGUF file into a transformers folder in the cache, once; return the folder.

        gguf/<digest>/
          config.json, tokenizer.json, tokenizer_config.json
          model.safetensors          fp32; only if `weights`

    llama.cpp runs the GGUF file itself.

    Raises:
        ModelError: the file is damaged, of an architecture that transformers cannot load,
            or holds no tokenizer; or transformers is missing.
    """
    folder = cache_folder() / "gguf" / digest[:32]
    with disk_errors(folder.parent):
        if not (folder / "config.json").is_file():
            architecture = str(read_metadata(gguf).get("general.architecture", "unknown"))
            report(f"reading {gguf.name}")
            with temporary_folder(folder) as temp_dir:
                convert_gguf_tokenizer(gguf, architecture, temp_dir)
                folder.mkdir(parents=True, exist_ok=True)
                # config.json comes last: it marks the folder as complete.
                for file in sorted(temp_dir.iterdir(), key=lambda file: file.name == "config.json"):
                    file.replace(folder / file.name)
        if weights and not (folder / "model.safetensors").is_file():
            report(f"unpacking {gguf.name}, once")
            try:
                convert_gguf_weights(gguf, folder / "model.safetensors")
            except (ValueError, RuntimeError, KeyError) as error:  # transformers' and gguf's
                reason = first_line(error, 160)
                raise ModelError(f"cannot read the weights of {gguf}: {reason}") from error
    return folder
