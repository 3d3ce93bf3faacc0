"""A language model small enough to train in a test, of the kind that myna trains."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def make(vocabulary: int = 97, **changes: Any) -> LlamaForCausalLM:
    """Two layers of random weights, always the same; `changes` are of its configuration."""
    sizes = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
    }  # fmt: skip
    torch.manual_seed(1)
    config = LlamaConfig(vocab_size=vocabulary, **{**sizes, **changes})
    model = LlamaForCausalLM(config).requires_grad_(False)
    model.lm_head.weight.mul_(20)  # a fresh one is too weak to tell any token from another
    return model
