"""A language model small enough to train in a test, of the kind that myna trains."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def make() -> Any:
    torch.manual_seed(1)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=97,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
        )
    ).requires_grad_(False)
    model.lm_head.weight.mul_(20)  # a fresh one is too weak to tell any token from another
    return model
