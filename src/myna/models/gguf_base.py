"""A GGUF file as a base: what preparing and training need is made of it once, and cached.

    gguf/<digest>/
      config.json, tokenizer.json, tokenizer_config.json
      model.safetensors          fp32; only where something needs it

llama.cpp runs the file itself, as it is.
"""

from __future__ import annotations

from pathlib import Path

from myna.errors import ModelError, first_line
from myna.models.fetch import Say, cache_folder, disk_errors, folder_for_parts
from myna.models.gguf_conversion import convert_gguf, convert_gguf_tokens
from myna.models.gguf_file import read_metadata


def folder_of(gguf: Path, digest: str, *, weights: bool, say: Say) -> Path:
    """The folder of the transformers kind that holds what is in a GGUF file.

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
