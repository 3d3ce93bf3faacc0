"""Which base models there are: the embedded one, a local folder, or one of a model hub.

find("smollm2-135m", ...)        the embedded base, the default
find("./my-model", ...)          a folder of the transformers kind
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

from myna.artifacts import AdapterInfo
from myna.errors import ModelError, first_line
from myna.models import embedded
from myna.models.fetch import Say, cache_folder, disk_errors, folder_for_parts, silent
from myna.models.gguf_file import convert_gguf, convert_gguf_tokens, read_metadata

DEFAULT = embedded.NAME


@dataclass(frozen=True)
class Base:
    """A base model on this machine."""

    name: str
    """As the user wrote it; `find` takes it again."""
    folder: Path
    """Holds tokenizer.json and config.json, and the safetensors where `weights` is true."""
    gguf: Path | None
    """The same model for llama.cpp, where there is one."""
    context: int
    """The most tokens that the model can take into account."""
    weights: bool
    """Whether the safetensors were asked for, and are there."""
    origin: str
    """What the weights are known by: a hash or a hub's revision; empty for a folder."""

    @cached_property
    def fingerprint(self) -> str:
        """A hash that tells bases apart, the same with and without `weights`.

        Of a local folder's weights it reads the head of each file (names and shapes)
        and pieces of it, not the gigabytes.
        """
        found = hashlib.sha256(self.origin.encode())
        for name in ("config.json", "tokenizer.json"):
            found.update(hashlib.sha256((self.folder / name).read_bytes()).digest())
        if not self.origin:
            for path in sorted(self.folder.glob("*.safetensors")):
                found.update(_sampled(path))
        return found.hexdigest()


def find(name: str, *, weights: bool, say: Say = silent) -> Base:
    """The base called `name`, fetched where that is needed.

    `weights=False` gives what tokenising needs, and the GGUF file of the embedded base;
    `weights=True` gives the transformers weights as well. `say` is told what takes long.

    Raises:
        ModelError: nothing goes by that name, it lacks a file, or it cannot be fetched.
    """
    if name == embedded.NAME:
        gguf = embedded.gguf_file(say)
        folder = embedded.transformers_folder(weights=weights, say=say)
        return _base(name, folder, gguf, weights, embedded.GGUF_SHA256)
    folder = Path(name).expanduser()
    if name.endswith(".gguf") and folder.is_file():
        return _gguf(name, folder.resolve(), weights, say)
    if name and folder.is_dir():
        return _local(name, folder.resolve(), weights)
    parts = name.split("/")
    if len(parts) == 2 and all(parts) and not name.startswith((".", "~")):
        folder = _snapshot(name, weights, say)
        # The hub's folders are named after the revision that they hold.
        return _base(name, folder, _only_gguf(folder), weights, f"{name}@{folder.name}")
    raise ModelError(
        f"no base model called {name!r}: use {DEFAULT!r}, the path of a folder with a "
        "config.json or of a GGUF file, or a model hub's org/name"
    )


def find_base_of(adapter: str, info: AdapterInfo, *, weights: bool, say: Say = silent) -> Base:
    """The base that the adapter was trained on, as `find` finds it.

    Raises:
        ModelError: as `find`, or what goes by its name now is another one.
    """
    base = find(info.base, weights=weights, say=say)
    info.check_base(adapter, base.fingerprint)
    return base


def _gguf(name: str, file: Path, weights: bool, say: Say) -> Base:

    digest = _sampled(file).hex()
    folder = gguf_folder(file, digest, weights=weights, say=say)
    return _base(name, folder, file, weights, digest)


def _local(name: str, folder: Path, weights: bool) -> Base:
    if weights and not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} has no *.safetensors: save the model there in that form "
            "(model.save_pretrained); pickled weights are never loaded"
        )
    return _base(name, folder, _only_gguf(folder), weights, "")


def _base(name: str, folder: Path, gguf: Path | None, weights: bool, origin: str) -> Base:
    """Check what every base must have, and read its context.

    Raises:
        ModelError: config.json or tokenizer.json is missing or says nothing useful.
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{folder / 'config.json'} does not say max_position_embeddings, the length of "
            "the context: add it, or choose another base"
        ) from error
    return Base(name, folder, gguf, context, weights, origin)


def _only_gguf(folder: Path) -> Path | None:
    """The folder's GGUF file, where it has exactly one: with several, who knows which."""
    found = list(folder.glob("*.gguf"))
    return found[0] if len(found) == 1 else None


def _sampled(path: Path, pieces: int = 64, length: int = 4096) -> bytes:
    """A digest of a file's name, size, and `pieces` pieces spread evenly over it."""
    size = path.stat().st_size
    found = hashlib.sha256(f"{path.name} {size}".encode())
    with path.open("rb") as file:
        for i in range(pieces):
            file.seek(i * max(size - length, 0) // max(pieces - 1, 1))
            found.update(file.read(length))
    return found.digest()


def _snapshot(name: str, weights: bool, say: Say) -> Path:
    """A hub model's folder, downloaded where it is not there yet: no pickle, no code.

    Raises:
        ModelError: huggingface_hub is missing, or the hub cannot be reached or has no
            such model.
    """
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{name} is a model hub's, and huggingface_hub is not installed: "
            "run `pip install huggingface_hub`, then this again"
        ) from error
    repository, _, revision = name.partition("@")
    patterns: Sequence[str] = ("*.json", "tokenizer.model", *(["*.safetensors"] if weights else []))
    say(f"fetching {name} from the model hub, where it is not here yet")
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


def gguf_folder(gguf: Path, digest: str, *, weights: bool, say: Say) -> Path:
    """The folder of the transformers kind that holds what is in a GGUF file.

        gguf/<digest>/
          config.json, tokenizer.json, tokenizer_config.json
          model.safetensors          fp32; only where something needs it

    It is made once; llama.cpp runs the file itself, as it is.

    Raises:
        ModelError: the file is damaged, of an architecture that transformers cannot load,
            or holds no tokenizer; or transformers is missing.
    """
    folder = cache_folder() / "gguf" / digest[:32]
    with disk_errors(folder.parent):
        if not (folder / "config.json").is_file():
            architecture = str(read_metadata(gguf).get("general.architecture", "unknown"))
            say(f"reading {gguf.name}")
            with folder_for_parts(folder.parent) as parts:
                convert_gguf_tokens(gguf, architecture, parts)
                folder.mkdir(parents=True, exist_ok=True)
                # config.json comes last: it says that all is there.
                for file in sorted(parts.iterdir(), key=lambda file: file.name == "config.json"):
                    file.replace(folder / file.name)
        if weights and not (folder / "model.safetensors").is_file():
            say(f"unpacking {gguf.name}, once")
            try:
                convert_gguf(gguf, folder / "model.safetensors")
            except (ValueError, RuntimeError, KeyError) as error:  # transformers' and gguf's
                why = first_line(error, 160)
                raise ModelError(f"cannot read the weights of {gguf}: {why}") from error
    return folder
