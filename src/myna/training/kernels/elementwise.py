"""RMSNorm, SwiGLU and rotary positions of a decoder, with few passes over memory.

RMSNorm (Zhang & Sennrich, arXiv 1910.07467), over the last dimension, of size n:

    i = 1 / √(mean(x²) + ε)        y = x i w
    g = dy w                       dx = i g − x i³ Σ(g x) / n        dw = Σ dy x i

SwiGLU (Shazeer, arXiv 2002.05202), with σ the logistic function:

    y = g σ(g) u                   du = dy g σ(g)     dg = dy u σ(g) (1 + g (1 − σ(g)))

Rotary positions (Su et al., arXiv 2104.09864), x = [x₁, x₂] in halves and angles θ:

    y = [x₁ cos θ − x₂ sin θ, x₂ cos θ + x₁ sin θ]        dx = the same of dy with −θ
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import silu


class RmsNorm(torch.autograd.Function):
    """(x, w, ε) → y; computed in fp32 or better, kept in the type of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        """See the module."""
        wide = _at_least_float32(x)
        mean = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_() / x.shape[-1]
        inverse = mean.add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        return torch.mul(wide, inverse).to(x.dtype).mul_(weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """See the module."""
        x, weight, inverse = ctx.saved_tensors
        wide, dw = _at_least_float32(x), None
        if ctx.needs_input_grad[1]:
            normed = wide * inverse
            dw = (grad * normed).flatten(0, -2).sum(0).to(weight.dtype)
        g = grad * weight.to(grad.dtype) if wide is x else _at_least_float32(grad) * weight
        slope = (g * wide).sum(-1, keepdim=True).mul_(inverse**3).div_(-x.shape[-1])
        dx = g.mul_(inverse).addcmul_(wide, slope)
        return dx.to(x.dtype), dw, None


class SwiGlu(torch.autograd.Function):
    """(g, u) → g σ(g) u."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        """See the module."""
        ctx.save_for_backward(gate, up)
        return silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """See the module."""
        gate, up = ctx.saved_tensors
        return torch.ops.aten.silu_backward(grad * up, gate), silu(gate).mul_(grad)


class Rotary(torch.autograd.Function):
    """(x [tokens, heads, size], cos θ, sin θ [tokens, size / 2]) → y."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """See the module."""
        ctx.save_for_backward(cos, sin)
        return _rotated(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """See the module."""
        cos, sin = ctx.saved_tensors
        return _rotated(grad, cos, -sin), None, None


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """RMSNorm of Llama-like models; Liger's kernel on a GPU if installed."""
    if x.is_cuda and has_liger():
        from liger_kernel.ops.rms_norm import LigerRMSNormFunction

        return LigerRMSNormFunction.apply(x, weight, epsilon, 0.0, "llama", False)  # type: ignore[no-any-return]
    return RmsNorm.apply(x, weight, epsilon)  # type: ignore[no-any-return, no-untyped-call]


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """SwiGLU; Liger's kernel on a GPU if installed."""
    if gate.is_cuda and has_liger():
        from liger_kernel.ops.swiglu import LigerSiLUMulFunction

        return LigerSiLUMulFunction.apply(gate, up)  # type: ignore[no-any-return]
    return SwiGlu.apply(gate, up)  # type: ignore[no-any-return, no-untyped-call]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions; `x` is [tokens, heads, size], the others [tokens, size / 2]."""
    return Rotary.apply(x, cos, sin)  # type: ignore[no-any-return, no-untyped-call]


@functools.cache
def has_liger() -> bool:
    """True if the Liger kernels are installed."""
    return importlib.util.find_spec("liger_kernel") is not None


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    cos, sin = cos[:, None], sin[:, None]
    y = torch.empty_like(x)
    torch.mul(x[..., :half], cos, out=y[..., :half]).addcmul_(x[..., half:], sin, value=-1)
    torch.mul(x[..., half:], cos, out=y[..., half:]).addcmul_(x[..., :half], sin)
    return y


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
