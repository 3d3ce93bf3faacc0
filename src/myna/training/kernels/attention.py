"""Causal attention over packed samples, end to end in one row: none attends to another.

    tokens   a0 a1 a2 b0 b1 c0          ends = 3, 5, 6
    a1 sees  a0 a1          b0 sees  b0         c0 sees  c0

For one sample, one head, scale s and the causal mask M (0 or −∞):

    P = softmax(s Q Kᵀ + M)       O = P V
    dV = Pᵀ dO     dP = dO Vᵀ     dS = P (dP − Σ P dP)     dQ = s dS K     dK = s dSᵀ Q

At the lengths of chats a block of P fits into a processor's cache: blocks of queries meet
the keys before them in batched matrix products, and P is recomputed in the backward pass.
Heads that share a key (grouped queries, Ainslie et al., arXiv 2305.13245) are rows of one
product: keys are never repeated.

A packed row takes the keyword arguments of transformers' variable-length flash attention.
Models that pass them on to its attention interface can take packed rows; `install` proves
it on the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

ATTENTION_NAME = "myna"
"""Name of our attention in transformers."""
REPLACED_ATTENTIONS = ("sdpa", "flash_attention_2")
"""Attentions that it can replace: others do more than a softmax."""


def causal_model(model: Any) -> Any:
    """The transformers model in `model`, which may be wrapped by peft."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def is_packing(model: Any) -> bool:
    """True if `model` takes packed rows."""
    return bool(causal_model(model).config._attn_implementation == ATTENTION_NAME)


def pack_samples(texts: Sequence[Sequence[int]], device: torch.device) -> dict[str, Any]:
    """Arguments of a decoder that `is_packing`, for token ids of texts.

    input_ids         a0 a1 a2 b0 b1
    position_ids       0  1  2  0  1
    cu_seq_lens        0        3     5
    """
    lengths = [len(text) for text in texts]
    ends = torch.tensor([0, *lengths]).cumsum(0, dtype=torch.int32).to(device)
    return {
        "input_ids": torch.cat([torch.as_tensor(text) for text in texts])[None].to(device),
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None].to(device),
        # transformers passes a 4D mask on as it is, and so builds none.
        "attention_mask": torch.ones((1, 1, 1, 1), dtype=torch.bool, device=device),
        "cu_seq_lens_q": ends,
        "cu_seq_lens_k": ends,
        "max_length_q": max(lengths),
        "max_length_k": max(lengths),
    }


def install_attention(causal: Any) -> None:
    """Set our attention in a transformers model whose attention it can replace.

    Rows that are not packed go to torch's own attention. Models with a state space or a
    convolution are left as they are: packed samples would mix there, too faintly to measure.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION_NAME, _attention)
    AttentionMaskInterface.register(ATTENTION_NAME, sdpa_mask)
    mixes_elsewhere = any(
        hasattr(m, "A_log") or isinstance(m, torch.nn.Conv1d) for m in causal.modules()
    )
    if causal.config._attn_implementation in REPLACED_ATTENTIONS and not mixes_elsewhere:
        causal.set_attn_implementation(ATTENTION_NAME)


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
    """Attention with transformers' interface: [1, heads, tokens, size] in, tokens first out."""
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


BLOCK_QUERIES = 128
"""Queries at once: more waste products above the diagonal, fewer waste calls."""


class _Block(NamedTuple):
    """Queries [start, end) of a sample, and the keys [first, end) that they attend to."""

    first: int
    start: int
    end: int


class PackedAttention(torch.autograd.Function):
    """(q [tokens, heads, size], k, v [tokens, key heads, size], ends, scale, window) → o."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, ends: list[int], scale: float, window: int | None
    ) -> Tensor:
        """See the module."""
        ctx.save_for_backward(q, k, v)
        ctx.ends, ctx.scale, ctx.window = ends, scale, window
        q, out, groups = q * scale, torch.empty_like(q), k.shape[1]
        for block in _blocks(ends, window):
            first, start, end = block
            p = _attention_weights(_to_rows(q[start:end], groups), k, block, window)
            rows = torch.bmm(p, v[first:end].transpose(0, 1))
            out[start:end] = _from_rows(rows, end - start)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """See the module."""
        q, k, v = ctx.saved_tensors
        q, groups = q * ctx.scale, k.shape[1]
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for block in _blocks(ctx.ends, ctx.window):
            first, start, end = block
            rows, do = _to_rows(q[start:end], groups), _to_rows(grad[start:end], groups)
            p = _attention_weights(rows, k, block, ctx.window)
            dv[first:end] += torch.bmm(p.transpose(1, 2), do).transpose(0, 1)
            dp = torch.bmm(do, v[first:end].permute(1, 2, 0))
            ds = torch._softmax_backward_data(dp, p, -1, p.dtype)
            dk[first:end] += torch.bmm(ds.transpose(1, 2), rows).transpose(0, 1)
            dq[start:end] = _from_rows(torch.bmm(ds, k[first:end].transpose(0, 1)), end - start)
        return dq.mul_(ctx.scale), dk, dv, None, None, None


def packed_attention(
    q: Tensor, k: Tensor, v: Tensor, ends: Tensor, longest: int, scale: float, window: int | None
) -> Tensor:
    """Attention of each sample to itself, [tokens, heads, size].

    `ends` starts with 0 (int32, on the device): the samples are `ends[i]:ends[i + 1]`.
    A token attends to the `window` tokens up to itself, or with None to all. On a GPU with
    16-bit floats this is variable-length flash attention, elsewhere the kernel above.
    """
    if q.is_cuda and q.dtype in (torch.bfloat16, torch.float16):
        from torch.nn.attention.varlen import varlen_attn

        before = -1 if window is None else window - 1
        return varlen_attn(  # type: ignore[return-value]
            *(q, k, v, ends, ends, longest, longest),
            scale=scale,
            window_size=(before, 0),
            enable_gqa=q.shape[1] != k.shape[1],
        )
    return PackedAttention.apply(q, k, v, ends.tolist()[1:], scale, window)  # type: ignore[no-any-return, no-untyped-call]


def _blocks(ends: list[int], window: int | None) -> Iterator[_Block]:
    begin = 0
    for stop in ends:
        for start in range(begin, stop, BLOCK_QUERIES):
            first = begin if window is None else max(begin, start - window + 1)
            yield _Block(first, start, min(stop, start + BLOCK_QUERIES))
        begin = stop


def _attention_weights(rows: Tensor, k: Tensor, block: _Block, window: int | None) -> Tensor:
    """P of a block: [key heads, heads of each x queries, keys]; `rows` are scaled already."""
    first, start, end = block
    scores = torch.bmm(rows, k[first:end].permute(1, 2, 0))
    # All queries of the block attend to every key before it, unless a window excludes it.
    since = start if window is None else first
    query = torch.arange(start, end, device=k.device)[:, None]
    key = torch.arange(since, end, device=k.device)
    masked = key > query if window is None else (key > query) | (key <= query - window)
    # Adding −∞ takes a tenth of the time of filling it in.
    mask = torch.zeros(masked.shape, dtype=k.dtype, device=k.device)
    mask.masked_fill_(masked, -torch.inf)
    scores.view(len(rows), -1, *mask.shape[:1], end - first)[..., since - first :].add_(mask)
    return torch.softmax(scores, -1, dtype=_at_least_float32(k)).to(k.dtype)


def _at_least_float32(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _to_rows(x: Tensor, groups: int) -> Tensor:
    """[queries, heads, size] as [key heads, heads of each x queries, size]."""
    return x.view(len(x), groups, -1, x.shape[-1]).permute(1, 2, 0, 3).flatten(1, 2)


def _from_rows(rows: Tensor, queries: int) -> Tensor:
    """The inverse of `_to_rows`."""
    return rows.view(len(rows), -1, queries, rows.shape[-1]).permute(2, 0, 1, 3).flatten(1, 2)
