"""GGUF files into what transformers loads."""

from __future__ import annotations

import errno
import importlib
from pathlib import Path

from myna.errors import ModelError, first_line
from myna.models.fetch import folder_for_parts
from myna.models.libraries import needing_train_extra, quiet


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
