"""The loss on labelled positions, and nothing computed for the others' words.

The output layer is the largest matrix of a small model: positions without a label never
reach it. Batches are padded on the right, and every model here looks only backwards, so
that padding changes nothing and no attention mask is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from myna.errors import ModelError

SCALES = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Settings of models that do more than a matrix product after their last layer."""


def collate(
    ids: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels of a batch, padded on the right with 0: both [batch, length]."""
    length = max(map(len, ids))
    padded = torch.zeros((2, len(ids), length), dtype=torch.long)
    for row, (tokens, marks) in enumerate(zip(ids, labels, strict=True)):
        padded[0, row, : len(tokens)] = torch.as_tensor(tokens)
        padded[1, row, : len(marks)] = torch.as_tensor(marks)
    padded = padded.to(device)
    return padded[0], padded[1]


def token_losses(
    model: Any, ids: torch.Tensor, wanted: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The negative log-likelihood (nats, fp32) of each wanted token, and their rows.

    `ids` is [batch, length]; `wanted` is a boolean of the same shape. Both results have
    one entry for each wanted token that has one before it, batch by batch, in order.

    Raises:
        ModelError: the model has no output layer of its own.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = causal.get_output_embeddings()
    if head is None:
        raise ModelError(f"{type(causal).__name__} is no language model: choose another base")
    targets = wanted[:, 1:]
    if any(getattr(causal.config, name, None) for name in SCALES):
        logits = causal(input_ids=ids, use_cache=False).logits[:, :-1][targets]
    else:
        hidden = causal.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
        logits = head(hidden[:, :-1][targets])
    rows = targets.nonzero()[:, 0]
    return cross_entropy(logits.float(), ids[:, 1:][targets], reduction="none"), rows
