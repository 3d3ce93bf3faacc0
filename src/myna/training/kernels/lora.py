"""LoRA on frozen linear layers, with a hand-written backward pass.

For layers i that read the same x (q, k and v; or gate and up):

    y_i = x W_iᵀ + c_i + s_i (x A_iᵀ) B_iᵀ

    v_i = dy_i B_i          dA_i = s_i v_iᵀ x          dB_i = s_i dy_iᵀ (x A_iᵀ)
    dx  = Σ_i dy_i W_i + s_i v_i A_i

W and c are frozen and get no gradient. The backward pass keeps x, once, and the narrow
x A_iᵀ; sums are accumulated inside the matrix products, and everything is computed in the
type of x. (LoRA: Hu et al., arXiv 2106.09685.)
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class FrozenLinear:
    """A frozen linear layer, in 4 bits or not, and the scale of its LoRA."""

    layer: Any
    scale: float

    def weight(self, dtype: torch.dtype) -> Tensor:
        """W, of shape [outputs, inputs]; dequantised at each call if in 4 bits."""
        weight = self.layer.weight
        state = getattr(weight, "quant_state", None)
        if state is not None:
            from bitsandbytes.functional import dequantize_4bit

            weight = dequantize_4bit(weight.data, state)
        return weight.to(dtype)  # type: ignore[no-any-return]


class LoraLinears(torch.autograd.Function):
    """(x, frozen layers, A_1, B_1, A_2, B_2, …) → (y_1, y_2, …)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: Sequence[FrozenLinear], *pairs: Tensor) -> Any:
        """See the module."""
        rows = x.reshape(-1, x.shape[-1])
        results, narrow = [], []
        for layer, a, b in zip(layers, pairs[::2], pairs[1::2], strict=True):
            weight, bias = layer.weight(x.dtype), layer.layer.bias
            y = rows @ weight.T if bias is None else torch.addmm(bias.to(x.dtype), rows, weight.T)
            u = rows @ a.to(x.dtype).T
            y.addmm_(u, b.to(x.dtype).T, alpha=layer.scale)
            narrow.append(u)
            results.append(y.view(*x.shape[:-1], -1))
        ctx.layers = layers
        ctx.save_for_backward(x, *narrow, *pairs)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """See the module."""
        count = len(ctx.layers)
        x, *rest = ctx.saved_tensors
        narrow, pairs = rest[:count], rest[count:]
        rows = x.reshape(-1, x.shape[-1])
        dx: Tensor | None = None
        gradients: list[Tensor] = []
        for i, layer in enumerate(ctx.layers):
            dy = grads[i].reshape(-1, grads[i].shape[-1])
            a, b = pairs[2 * i], pairs[2 * i + 1]
            v = dy @ b.to(x.dtype)
            gradients += [
                (v.T @ rows).mul_(layer.scale).to(a.dtype),
                (narrow[i].T @ dy).mul_(layer.scale).T.to(b.dtype),
            ]
            if ctx.needs_input_grad[0]:
                weight = layer.weight(x.dtype)
                dx = dy @ weight if dx is None else dx.addmm_(dy, weight)
                dx.addmm_(v, a.to(x.dtype), alpha=layer.scale)
        return (None if dx is None else dx.view_as(x), None, *gradients)


def is_plain_lora(module: nn.Module) -> bool:
    """True if `module` is peft's plain LoRA on a frozen linear layer, quantised in 4 bits or not.

    Excluded are other variants (DoRA), dropout, a trained bias, and a trained base weight.
    """
    from peft.tuners.lora import LoraLayer

    if not isinstance(module, LoraLayer) or len(module.active_adapters) != 1:
        return False
    name = module.active_adapters[0]
    base = module.get_base_layer()
    packed = type(base).__name__ == "Linear4bit" and getattr(base.weight, "quant_state", None)
    return bool(
        (type(base) is nn.Linear or packed)
        and name in module.lora_A
        and type(module.lora_A[name]) is type(module.lora_B[name]) is nn.Linear
        and module.lora_B[name].bias is None
        and isinstance(module.lora_dropout[name], nn.Identity)
        and name not in module.lora_variant
        and not module.fan_in_fan_out
        and not any(weight.requires_grad for weight in base.parameters())
    )


def is_lora_active(module: Any) -> bool:
    """True unless the LoRA of a module that `is_plain_lora` is disabled or merged."""
    return not module.disable_adapters and not module.merged and not torch.is_autocast_enabled()


def lora_linears(x: Tensor, modules: Sequence[Any]) -> tuple[Tensor, ...]:
    """The outputs of plain, active LoRA layers with the same input `x`."""
    layers, pairs = [], []
    for module in modules:
        name = module.active_adapters[0]
        layers.append(FrozenLinear(module.get_base_layer(), module.scaling[name]))
        pairs += [module.lora_A[name].weight, module.lora_B[name].weight]
    return LoraLinears.apply(x, layers, *pairs)  # type: ignore[no-any-return, no-untyped-call]


def replace_forward(module: Any) -> None:
    """Replace the forward pass of a module that `is_plain_lora`; `del module.forward` undoes it."""
    module.forward = functools.partial(_forward, module)


def _forward(module: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if args or kwargs or not is_lora_active(module):
        return type(module).forward(module, x, *args, **kwargs)  # type: ignore[no-any-return]
    return lora_linears(x, [module])[0]
