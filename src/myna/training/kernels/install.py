"""Replacing a model's own code by kernels where they fit.

Parameters keep their names and values. The result is checked on the model: two short texts
packed into one row must give what each gave alone before, or the model keeps its own code.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from myna.training.kernels import lora
from myna.training.kernels.attention import (
    causal_model,
    install_attention,
    is_packing,
    pack_samples,
    packed_attention,
)
from myna.training.kernels.elementwise import has_liger, rms_norm, rotate, swiglu

CHECK_TEXTS = ((3, 1, 4, 1, 5, 9, 2), (6, 5, 3, 5, 8))
"""Token ids for the check; any will do."""
CHECK_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
"""Largest difference in the check, as a share of the largest value; 0.05 in 16 bits."""


def install_kernels(model: Any) -> list[str]:
    """Install the kernels in `model`; return what is used and why, as lines.

    Call it once all adapters are on the model: with peft's LoRA, or fully trained. Not for
    sharded weights (FSDP), which can only be read inside their own modules.
    """
    causal = causal_model(model)
    kept = keep_freed_memory() if causal.device.type == "cpu" else False
    texts = [[token % causal.config.vocab_size for token in text] for text in CHECK_TEXTS]
    before = [_hidden_states(causal, [text]) for text in texts]
    own = causal.config._attn_implementation
    counts = Counter(filter(None, map(_replace_module, causal.modules())))
    if not _is_close(_hidden_states(causal, texts[:1]), before[:1]):
        _restore_forward(causal)
        counts.clear()
    install_attention(causal)
    if is_packing(causal) and not _is_close(_hidden_states(causal, texts), before):
        causal.set_attn_implementation(own)
    return [*_replaced_lines(counts), _packing_line(causal), *([KEPT_MEMORY_LINE] if kept else [])]


def _replace_module(module: nn.Module) -> str | None:
    if lora.is_plain_lora(module):
        lora.replace_forward(module)
        return "lora"
    return replace_layer(module)


def _restore_forward(causal: Any) -> None:
    for module in causal.modules():
        module.__dict__.pop("forward", None)


def _hidden_states(causal: Any, texts: Sequence[Sequence[int]]) -> Tensor | None:
    """The last hidden states, [tokens, size]; None if the model fails."""
    row = pack_samples(texts, causal.device)
    if not is_packing(causal):
        row = {"input_ids": row["input_ids"]}
    training = causal.training
    causal.eval()
    try:
        # A model may fail in any way on arguments that it does not expect.
        with contextlib.suppress(Exception), torch.inference_mode():
            return causal.get_decoder()(**row, use_cache=False).last_hidden_state[0]  # type: ignore[no-any-return]
        return None
    finally:
        causal.train(training)


def _is_close(actual: Tensor | None, expected: Sequence[Tensor | None]) -> bool:
    known = [states for states in expected if states is not None]
    if actual is None or len(known) < len(expected):
        return False
    right = torch.cat(known).double()
    tolerance = CHECK_TOLERANCE.get(actual.dtype, 0.05) * right.abs().max()
    return bool(actual.shape == right.shape and (actual.double() - right).abs().max() <= tolerance)


def _replaced_lines(counts: Counter[str]) -> list[str]:
    """Lines with what was replaced, and why."""
    lines = []
    if counts["lora"]:
        lines.append(
            f"LoRA of {counts['lora']} layers by hand-written gradients: none for frozen weights"
        )
    layers = [name for name in ("attention", "mlp", "norm") if counts[name]]
    if layers:
        kernels = "Liger's kernels" if torch.cuda.is_available() and has_liger() else "own kernels"
        lines.append(f"{', '.join(layers)} of a Llama-like decoder by {kernels}: fewer passes")
    return lines or ["the model's own code: no kernel is written for its layers"]


def _packing_line(causal: Any) -> str:
    if not is_packing(causal):
        return "samples padded to the longest of a batch: this model cannot keep packed ones apart"
    kernel = "flash attention" if causal.device.type == "cuda" else "attention block by block"
    return f"samples packed without padding, {kernel} within each"


LLAMA_FAMILY = ("Llama", "Mistral", "Qwen2", "Qwen3")
QKV_LAYERS = ("q_proj", "k_proj", "v_proj")


def replace_layer(module: nn.Module) -> str | None:
    """Replace the forward pass of a Llama-like layer; return "attention", "mlp" or "norm".

    None for any other module. Llama, Mistral, Qwen 2, Qwen 3 and SmolLM share their layers
    but for a bias, a norm of each head and a window. Layers are recognised by their class in
    transformers; `del module.forward` undoes it.
    """
    kind = type(module)
    if not kind.__module__.startswith("transformers.models."):
        return None
    for family in LLAMA_FAMILY:
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
    projections = [getattr(module, name) for name in QKV_LAYERS]
    q, k, v = (y.view(len(x), -1, module.head_dim) for y in _project_together(x, projections))
    if hasattr(module, "q_norm"):
        q, k = module.q_norm(q), module.k_norm(k)
    half = module.head_dim // 2
    cos, sin = (part[0, :, :half].to(q.dtype) for part in position_embeddings)
    q, k = rotate(q, cos, sin), rotate(k, cos, sin)
    longest = kwargs["max_length_q"]
    out = packed_attention(q, k, v, ends, longest, module.scaling, _sliding_window(module))
    return module.o_proj(out.flatten(1)[None]), None


def _mlp(module: Any, x: Tensor) -> Tensor:
    gate, up = _project_together(x, [module.gate_proj, module.up_proj])
    return module.down_proj(swiglu(gate, up))  # type: ignore[no-any-return]


def _norm(module: Any, hidden_states: Tensor) -> Tensor:
    if module.weight.dtype != hidden_states.dtype:
        return type(module).forward(module, hidden_states)  # type: ignore[no-any-return]
    return rms_norm(hidden_states, module.weight, module.variance_epsilon)


def _project_together(x: Tensor, modules: Sequence[nn.Module]) -> Sequence[Tensor]:
    """The outputs of layers with the same input, by one kernel where it fits."""
    if all(lora.is_plain_lora(module) and lora.is_lora_active(module) for module in modules):
        return lora.lora_linears(x, modules)
    return [module(x) for module in modules]


def _is_silu(activation: Any) -> bool:
    from transformers.activations import ACT2FN

    return isinstance(activation, (nn.SiLU, type(ACT2FN["silu"])))


def _sliding_window(module: Any) -> int | None:
    if hasattr(module, "sliding_window"):
        return module.sliding_window  # type: ignore[no-any-return]
    return getattr(module.config, "sliding_window", None)


TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h."""
MAX_MALLOPT_BYTES = 2**31 - 1
"""The largest value for mallopt, in bytes."""
KEPT_MEMORY_LINE = "freed memory is kept for the next step"


def keep_freed_memory() -> bool:
    """Make this process keep freed memory (mallopt(3)); False without glibc.

    A step allocates and frees the same large tensors over and over. glibc maps each into new
    pages, which the kernel fills with zeros: about a quarter of a step's time on a small
    model. Only for processes that train: they never give back their peak memory.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(
        mallopt(MMAP_THRESHOLD, MAX_MALLOPT_BYTES) and mallopt(TRIM_THRESHOLD, MAX_MALLOPT_BYTES)
    )
