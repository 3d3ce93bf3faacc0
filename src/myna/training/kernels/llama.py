"""The decoder layers of Llama's family, with this package's kernels in them.

Llama, Mistral, Qwen 2, Qwen 3 and SmolLM share their layers but for a bias, a norm of
each head and a window: one forward pass serves them all. A layer is known by the class
that transformers gives it; what is not known is left as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from myna.training.kernels import lora
from myna.training.kernels.attention import packed_attention
from myna.training.kernels.elementwise import rms_norm, rotate, swiglu

FAMILY = ("Llama", "Mistral", "Qwen2", "Qwen3")
QKV = ("q_proj", "k_proj", "v_proj")


def replace(module: nn.Module) -> str | None:
    """Have a layer of the family compute with the kernels; None for any other module.

    Its parameters stay as they are, and `del module.forward` takes it back. The answer
    names what was replaced: "attention", "mlp" or "norm".
    """
    kind = type(module)
    if not kind.__module__.startswith("transformers.models."):
        return None
    for family in FAMILY:
        if kind.__name__ == f"{family}Attention" and not getattr(module, "attention_dropout", 0):
            module.forward = functools.partial(_attention, module)
            return "attention"
        if kind.__name__ == f"{family}MLP" and _is_silu(module.act_fn):
            module.forward = functools.partial(_mlp, module)
            return "mlp"
        if kind.__name__ == f"{family}RMSNorm":
            module.forward = functools.partial(_norm, module)
            return "norm"
    return None


def _attention(
    module: Any,
    hidden_states: Tensor,
    position_embeddings: tuple[Tensor, Tensor] | None = None,
    attention_mask: Tensor | None = None,
    past_key_values: Any = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    ends = kwargs.get("cu_seq_lens_q")
    if ends is None or past_key_values is not None or position_embeddings is None:
        return type(module).forward(  # type: ignore[no-any-return]
            module, hidden_states, position_embeddings, attention_mask, past_key_values, **kwargs
        )
    x = hidden_states[0]
    projections = [getattr(module, name) for name in QKV]
    q, k, v = (y.view(len(x), -1, module.head_dim) for y in _together(x, projections))
    if hasattr(module, "q_norm"):
        q, k = module.q_norm(q), module.k_norm(k)
    half = module.head_dim // 2
    cos, sin = (part[0, :, :half].to(q.dtype) for part in position_embeddings)
    q, k = rotate(q, cos, sin), rotate(k, cos, sin)
    longest = kwargs["max_length_q"]
    out = packed_attention(q, k, v, ends, longest, module.scaling, _window(module))
    return module.o_proj(out.flatten(1)[None]), None


def _mlp(module: Any, x: Tensor) -> Tensor:
    gate, up = _together(x, [module.gate_proj, module.up_proj])
    return module.down_proj(swiglu(gate, up))  # type: ignore[no-any-return]


def _norm(module: Any, hidden_states: Tensor) -> Tensor:
    if module.weight.dtype != hidden_states.dtype:
        return type(module).forward(module, hidden_states)  # type: ignore[no-any-return]
    return rms_norm(hidden_states, module.weight, module.variance_epsilon)


def _together(x: Tensor, modules: Sequence[nn.Module]) -> Sequence[Tensor]:
    """The results of layers that read the same x, by one kernel where it fits."""
    if all(lora.fits(module) and lora.usable(module) for module in modules):
        return lora.linears(x, modules)
    return [module(x) for module in modules]


def _is_silu(activation: Any) -> bool:
    from transformers.activations import ACT2FN

    return isinstance(activation, (nn.SiLU, type(ACT2FN["silu"])))


def _window(module: Any) -> int | None:
    if hasattr(module, "sliding_window"):
        return module.sliding_window  # type: ignore[no-any-return]
    return getattr(module.config, "sliding_window", None)
