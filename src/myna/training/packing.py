"""Samples end to end in one row, so that nothing is padded and none sees another.

A packed row goes through transformers' models as rows do for flash attention of variable
lengths: the same keyword arguments, answered by our own attention. Models that pass
them on to transformers' attention interface can take packed rows; `myna.training.fast`
proves it on the model itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from myna.training.kernels.attention import packed_attention

NAME = "myna"
"""What transformers knows our attention by."""
REPLACES = ("sdpa", "flash_attention_2")
"""The attentions that it can stand in for: others do more than a plain softmax."""


def causal_of(model: Any) -> Any:
    """The transformers causal language model in `model`, which may be peft's around it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def packs(model: Any) -> bool:
    """Whether `model` may be given a packed row."""
    return bool(causal_of(model).config._attn_implementation == NAME)


def pack(texts: Sequence[Sequence[int]], device: torch.device) -> dict[str, Any]:
    """What a decoder that `packs` takes for token ids of texts.

    input_ids         a0 a1 a2 b0 b1
    position_ids       0  1  2  0  1
    cu_seq_lens        0        3     5

    """
    lengths = [len(text) for text in texts]
    ends = torch.tensor([0, *lengths]).cumsum(0, dtype=torch.int32).to(device)
    return {
        "input_ids": torch.cat([torch.as_tensor(text) for text in texts])[None].to(device),
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None].to(device),
        # A mask of four dimensions is handed on as it is, so that none is ever made.
        "attention_mask": torch.ones((1, 1, 1, 1), dtype=torch.bool, device=device),
        "cu_seq_lens_q": ends,
        "cu_seq_lens_k": ends,
        "max_length_q": max(lengths),
        "max_length_k": max(lengths),
    }


def use_attention(causal: Any) -> None:
    """Have a transformers model compute its attention by ours, where it lets itself be told.

    Rows that are not packed go to torch's own attention, as before. A model in which tokens
    also meet elsewhere, in a state space or a convolution, is left as it is: packed samples
    would see each other there, be it too faintly for a proof by numbers.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    elsewhere = any(hasattr(m, "A_log") or isinstance(m, torch.nn.Conv1d) for m in causal.modules())
    if causal.config._attn_implementation in REPLACES and not elsewhere:
        causal.set_attn_implementation(NAME)


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention as transformers asks for it: [1, heads, tokens, size] in, tokens first out."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    ends = kwargs.get("cu_seq_lens_q")
    if ends is None:
        return sdpa_attention_forward(  # type: ignore[no-any-return]
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs
        )
    if dropout or kwargs.get("softcap") is not None or kwargs.get("s_aux") is not None:
        raise NotImplementedError("this attention does more than a softmax")
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out = packed_attention(q, k, v, ends, kwargs["max_length_q"], scale, sliding_window)
    return out[None], None
