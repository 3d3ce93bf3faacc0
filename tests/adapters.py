"""Bases and adapters that nobody trained: small, random, and of the real kinds."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from myna.models.bases import Base, find_base
from myna.models.gguf_file import quiet
from myna.models.loading import load_base

TOKEN_FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")


def tiny_base(folder: Path, like: Base) -> Base:
    """A base of a tiny Llama with the tokenizer of another."""
    from tests.small_model import make

    with quiet():
        make(
            49152, max_position_embeddings=512, tie_word_embeddings=True, eos_token_id=2
        ).save_pretrained(folder)
    for name in TOKEN_FILES:
        shutil.copyfile(like.folder / name, folder / name)
    return find_base(str(folder), weights=True)


def random_adapter(base: Base, folder: Path, *, rank: int = 4, qk: float = 0.06) -> Path:
    """A random LoRA on all linear layers, saved by peft.

    It changes q and k by a standard deviation of `qk`, and the rest by 0.004.
    """
    import peft
    import torch

    alpha = 2 * rank
    torch.manual_seed(11)
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear")
    with quiet():
        model = peft.get_peft_model(load_base(base, dtype=torch.float32, device="cpu"), config)
    for name, weight in model.named_parameters():
        if ".lora_" in name:
            wanted = qk if ".q_proj." in name or ".k_proj." in name else 0.004
            product = wanted / (alpha / rank) / math.sqrt(rank)
            torch.nn.init.normal_(weight, std=math.sqrt(product))
    model.save_pretrained(folder)
    return folder
