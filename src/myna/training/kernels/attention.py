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
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

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
