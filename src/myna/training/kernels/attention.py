"""Causal attention over samples that lie end to end in one row: none sees another.

    tokens   a0 a1 a2 b0 b1 c0          ends = 3, 5, 6
    a1 sees  a0 a1          b0 sees  b0         c0 sees  c0

For one sample, one head, scale s and the causal mask M (0 or −∞):

    P = softmax(s Q Kᵀ + M)       O = P V
    dV = Pᵀ dO     dP = dO Vᵀ     dS = P (dP − Σ P dP)     dQ = s dS K     dK = s dSᵀ Q

At the lengths of chats a block of P fits into a processor's cache, so blocks of queries
meet the keys before them in plain batched matrix products, and P is made again for the
backward pass instead of kept. Heads that share a key (grouped queries, Ainslie et al.,
arXiv 2305.13245) are rows of one product: keys are never repeated.

A packed row goes through transformers' models as rows do for flash attention of variable
lengths: the same keyword arguments, answered by this attention. Models that pass them on to
transformers' attention interface can take packed rows; `install` proves it on the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

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


BLOCK = 128
"""Queries at once: more waste products above the diagonal, fewer waste calls."""


class _Block(NamedTuple):
    """Queries [start, end) of a sample, and the keys [first, end) that they may see."""

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
            p = _weights(_rows(q[start:end], groups), k, block, window)
            found = torch.bmm(p, v[first:end].transpose(0, 1))
            out[start:end] = _heads(found, end - start)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """See the module."""
        q, k, v = ctx.saved_tensors
        q, groups = q * ctx.scale, k.shape[1]
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for block in _blocks(ctx.ends, ctx.window):
            first, start, end = block
            rows, do = _rows(q[start:end], groups), _rows(grad[start:end], groups)
            p = _weights(rows, k, block, ctx.window)
            dv[first:end] += torch.bmm(p.transpose(1, 2), do).transpose(0, 1)
            dp = torch.bmm(do, v[first:end].permute(1, 2, 0))
            ds = torch._softmax_backward_data(dp, p, -1, p.dtype)
            dk[first:end] += torch.bmm(ds.transpose(1, 2), rows).transpose(0, 1)
            dq[start:end] = _heads(torch.bmm(ds, k[first:end].transpose(0, 1)), end - start)
        return dq.mul_(ctx.scale), dk, dv, None, None, None


def packed_attention(
    q: Tensor, k: Tensor, v: Tensor, ends: Tensor, longest: int, scale: float, window: int | None
) -> Tensor:
    """Attention of each sample to itself, [tokens, heads, size].

    `ends` begins with 0 (int32, on the device): the samples are `ends[i]:ends[i + 1]`.
    A token sees the `window` tokens up to itself, or with None all. On a GPU with 16-bit
    floats this is flash attention of variable lengths; it is the kernel above elsewhere.
    """
    if q.is_cuda and q.dtype in (torch.bfloat16, torch.float16):
        from torch.nn.attention.varlen import varlen_attn

        back = -1 if window is None else window - 1
        found: Tensor = varlen_attn(  # type: ignore[assignment]
            q,
            k,
            v,
            ends,
            ends,
            longest,
            longest,
            scale=scale,
            window_size=(back, 0),
            enable_gqa=q.shape[1] != k.shape[1],
        )
        return found
    cuts = ends.tolist()[1:]
    return PackedAttention.apply(q, k, v, cuts, scale, window)  # type: ignore[no-any-return, no-untyped-call]


def _blocks(ends: list[int], window: int | None) -> Iterator[_Block]:
    begin = 0
    for stop in ends:
        for start in range(begin, stop, BLOCK):
            first = begin if window is None else max(begin, start - window + 1)
            yield _Block(first, start, min(stop, start + BLOCK))
        begin = stop


def _weights(rows: Tensor, k: Tensor, block: _Block, window: int | None) -> Tensor:
    """P of a block: [key heads, heads of each x queries, keys]; `rows` are scaled already."""
    first, start, end = block
    scores = torch.bmm(rows, k[first:end].permute(1, 2, 0))
    # Every key before the block is seen by all of it, unless a window ends before.
    since = start if window is None else first
    query = torch.arange(start, end, device=k.device)[:, None]
    key = torch.arange(since, end, device=k.device)
    unseen = key > query if window is None else (key > query) | (key <= query - window)
    # Adding −∞ takes a tenth of the time of filling it in.
    mask = torch.zeros(unseen.shape, dtype=k.dtype, device=k.device)
    mask.masked_fill_(unseen, -torch.inf)
    scores.view(len(rows), -1, *mask.shape[:1], end - first)[..., since - first :].add_(mask)
    return torch.softmax(scores, -1, dtype=_wide(k)).to(k.dtype)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _rows(x: Tensor, groups: int) -> Tensor:
    """[queries, heads, size] as [key heads, heads of each x queries, size]."""
    return x.view(len(x), groups, -1, x.shape[-1]).permute(1, 2, 0, 3).flatten(1, 2)


def _heads(rows: Tensor, queries: int) -> Tensor:
    """`_rows`, undone."""
    return rows.view(len(rows), -1, queries, rows.shape[-1]).permute(2, 0, 1, 3).flatten(1, 2)
