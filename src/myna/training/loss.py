"""The loss on labelled positions, and nothing computed for the others' words.

The output layer is the largest matrix of a small model: positions without a label never
reach it. Samples are packed into one row where the model can keep them apart. Where it
cannot, they are padded on the right: every model here looks only backwards, so that
padding changes nothing and no attention mask is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from myna.errors import ModelError
from myna.training.kernels.attention import causal_of, pack, packs
from myna.training.kernels.head import head_losses

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


def sample_losses(
    model: Any,
    ids: Sequence[Sequence[int]],
    labels: Sequence[Sequence[int]],
    device: torch.device,
) -> torch.Tensor:
    """The negative log-likelihood (nats, fp32) of each labelled token of some samples.

    In order, and but for rounding the same whether the model `packs` them or not. A
    sample's first token has none: nothing is before it.

    Raises:
        ModelError: the model has no output layer of its own.
    """
    if not packs(model):
        padded, marks = collate(ids, labels, device)
        return _losses(model, {"input_ids": padded}, marks[:, 1:] > 0)
    wanted = torch.cat([torch.as_tensor([0, *marks[1:]]) for marks in labels]) > 0
    return _losses(model, pack(ids, device), wanted[None, 1:].to(device))


def _losses(model: Any, inputs: dict[str, Any], targets: torch.Tensor) -> torch.Tensor:
    """The losses of the tokens after those where `targets` [batch, length - 1] is true."""
    causal = causal_of(model)
    head = causal.get_output_embeddings()
    if head is None:
        raise ModelError(f"{type(causal).__name__} is no language model: choose another base")
    right = inputs["input_ids"][:, 1:][targets]
    if any(getattr(causal.config, name, None) for name in SCALES):
        logits = causal(**inputs, use_cache=False).logits[:, :-1][targets]
        return cross_entropy(logits.float(), right, reduction="none")
    hidden = causal.get_decoder()(**inputs, use_cache=False).last_hidden_state
    return head_losses(head, hidden[:, :-1][targets], right)
