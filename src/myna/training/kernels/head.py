"""The loss of a frozen output layer, never holding all logits.

For a hidden state h whose next token is t, over the vocabulary's rows W:

    loss = log Σ_j exp(h W_j) − h W_t          dh = Σ_j softmax(h W)_j W_j − W_t

dh is made together with the loss, some rows at a time, while their logits are at hand:
nothing but dh is kept for the backward pass, which only scales it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LOGITS = 2**24
"""Most logits that exist at a time, about: 64 MiB in fp32."""


class HeadLosses(torch.autograd.Function):
    """(h [rows, size], W [tokens, size], bias or None, targets [rows]) → losses [rows], fp32."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
    ) -> Tensor:
        """See the module."""
        wide = torch.promote_types(hidden.dtype, torch.float32)
        losses = torch.empty(len(hidden), dtype=wide, device=hidden.device)
        dh = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        step = max(1, LOGITS // len(weight))
        for start in range(0, len(hidden), step):
            part = slice(start, start + step)
            logits = torch.nn.functional.linear(hidden[part], weight, bias).to(wide)
            right = targets[part, None]
            chances = logits.softmax(-1)
            # The largest is 1 / Σ exp(h W_j − max): it gives the sum, and is never too small.
            total = logits.amax(-1, keepdim=True) - chances.amax(-1, keepdim=True).log()
            losses[part] = (total - logits.gather(-1, right))[:, 0]
            if dh is not None:
                chances.scatter_add_(-1, right, torch.full_like(total, -1))
                dh[part] = chances.to(hidden.dtype) @ weight
        if dh is not None:
            ctx.save_for_backward(dh)
        return losses

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """See the module."""
        (dh,) = ctx.saved_tensors
        return dh * grad[:, None].to(dh.dtype), None, None, None


def head_losses(head: torch.nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    """The negative log-likelihood (nats, fp32) of each row's target token.

    By the formula above where `head` is a plain frozen linear layer, by autograd's own
    elsewhere (where it is trained, say).
    """
    if type(head) is torch.nn.Linear and not any(w.requires_grad for w in head.parameters()):
        return HeadLosses.apply(hidden, head.weight, head.bias, targets)  # type: ignore[no-any-return, no-untyped-call]
    logits = head(hidden).float()
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")
