"""The loss on trained tokens.

The output layer is the largest matrix of a small model: positions without a target never
reach it. Samples are packed into one row if the model can keep them apart, else padded on
the right: models here are causal, so that padding needs no attention mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from myna.errors import ModelError
from myna.training.kernels.attention import causal_model, is_packing, pack_samples

LOGIT_SCALING = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Model settings for more than a matrix product after the last layer."""


def collate(
    ids: Sequence[Sequence[int]], loss_masks: Sequence[Sequence[bool]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and loss masks of a batch, padded on the right with 0: both [batch, length]."""
    padded = torch.zeros((2, len(ids), max(map(len, ids))), dtype=torch.long)
    for row, (tokens, mask) in enumerate(zip(ids, loss_masks, strict=True)):
        padded[0, row, : len(tokens)] = torch.as_tensor(tokens)
        padded[1, row, : len(mask)] = torch.as_tensor(mask)
    padded = padded.to(device)
    return padded[0], padded[1].bool()


def token_losses(
    model: Any,
    ids: Sequence[Sequence[int]],
    loss_masks: Sequence[Sequence[bool]],
    device: torch.device,
) -> torch.Tensor:
    """The negative log-likelihood (nats, fp32) of each token in the loss masks, in order.

    The masks come from `myna.rendering.encode.loss_mask`: none has its sample's first token.

    Raises:
        ModelError: the model has no output layer of its own.
    """
    if not is_packing(model):
        padded, targets = collate(ids, loss_masks, device)
        return _target_losses(model, {"input_ids": padded}, targets[:, 1:])
    targets = torch.cat([torch.as_tensor(mask, dtype=torch.bool) for mask in loss_masks])
    return _target_losses(model, pack_samples(ids, device), targets[None, 1:].to(device))


def _target_losses(model: Any, inputs: dict[str, Any], targets: torch.Tensor) -> torch.Tensor:
    """Losses of the tokens after the positions in the mask `targets` [batch, length - 1]."""
    causal = causal_model(model)
    head = causal.get_output_embeddings()
    if head is None:
        raise ModelError(
            f"{type(causal).__name__} has no output layer: choose a causal language model as base"
        )
    labels = inputs["input_ids"][:, 1:][targets]
    if any(getattr(causal.config, name, None) for name in LOGIT_SCALING):
        logits = causal(**inputs, use_cache=False).logits[:, :-1][targets]
        return cross_entropy(logits.float(), labels, reduction="none")
    hidden = causal.get_decoder()(**inputs, use_cache=False).last_hidden_state
    return linear_cross_entropy(head, hidden[:, :-1][targets], labels)


MAX_LOGITS = 2**24
"""Logits computed at a time, about: 64 MiB in fp32."""


class LinearCrossEntropy(torch.autograd.Function):
    """(h [rows, size], W [tokens, size], bias or None, targets [rows]) → losses [rows], fp32."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
    ) -> Tensor:
        """See the module."""
        wide = torch.promote_types(hidden.dtype, torch.float32)
        losses = torch.empty(len(hidden), dtype=wide, device=hidden.device)
        dh = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        step = max(1, MAX_LOGITS // len(weight))
        for start in range(0, len(hidden), step):
            rows = slice(start, start + step)
            logits = torch.nn.functional.linear(hidden[rows], weight, bias).to(wide)
            labels = targets[rows, None]
            probabilities = logits.softmax(-1)
            # The largest is 1 / Σ exp(h W_j − max): it gives the sum, and is never too small.
            total = logits.amax(-1, keepdim=True) - probabilities.amax(-1, keepdim=True).log()
            losses[rows] = (total - logits.gather(-1, labels))[:, 0]
            if dh is not None:
                probabilities.scatter_add_(-1, labels, torch.full_like(total, -1))
                dh[rows] = probabilities.to(hidden.dtype) @ weight
        if dh is not None:
            ctx.save_for_backward(dh)
        return losses

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """See the module."""
        (dh,) = ctx.saved_tensors
        return dh * grad[:, None].to(dh.dtype), None, None, None


def linear_cross_entropy(head: torch.nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    """The negative log-likelihood (nats, fp32) of each row's target token.

    By `LinearCrossEntropy` if `head` is a plain frozen linear layer, else by autograd.
    """
    if type(head) is torch.nn.Linear and not any(w.requires_grad for w in head.parameters()):
        return LinearCrossEntropy.apply(hidden, head.weight, head.bias, targets)  # type: ignore[no-any-return, no-untyped-call]
    logits = head(hidden).float()
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")
