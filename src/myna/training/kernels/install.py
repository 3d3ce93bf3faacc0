"""The fast path: a model's own code replaced by kernels where they fit, and only there.

Nothing that is saved changes: parameters keep their names and their values. And nothing
is taken on trust: with the kernels in it, two short texts packed into one row must give
what the model gave for each alone before, or it keeps its own code.
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
from myna.training.kernels.attention import causal_of, pack, packed_attention, packs, use_attention
from myna.training.kernels.elementwise import has_liger, rms_norm, rotate, swiglu

TEXTS = ((3, 1, 4, 1, 5, 9, 2), (6, 5, 3, 5, 8))
"""Token ids for the proof; any will do."""
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
"""Largest difference in the proof, as a share of the largest value; 0.05 in 16 bits."""


def install_kernels(model: Any) -> list[str]:
    """Put the kernels into `model`; what is used and why, as lines of text.

    Call it once all adapters are on the model. It serves a model with peft's LoRA on it
    and one that is trained in full; not one whose weights lie in pieces on several
    devices (FSDP), which can only be read inside their own modules.
    """
    causal = causal_of(model)
    kept = keep_freed() if causal.device.type == "cpu" else False
    texts = [[token % causal.config.vocab_size for token in text] for text in TEXTS]
    before = [_hidden(causal, [text]) for text in texts]
    own = causal.config._attn_implementation
    counts = Counter(filter(None, map(_replace, causal.modules())))
    if not _alike(_hidden(causal, texts[:1]), before[:1]):
        _take_back(causal)
        counts.clear()
    use_attention(causal)
    if packs(causal) and not _alike(_hidden(causal, texts), before):
        causal.set_attn_implementation(own)
    return [*_lines(counts), _packing_line(causal), *([KEPT_LINE] if kept else [])]


def remove_kernels(model: Any) -> None:
    """Give the model its own code back."""
    causal = causal_of(model)
    _take_back(causal)
    if packs(causal):
        causal.set_attn_implementation("sdpa")


def _replace(module: nn.Module) -> str | None:
    if lora.fits(module):
        lora.replace(module)
        return "lora"
    return replace(module)


def _take_back(causal: Any) -> None:
    for module in causal.modules():
        module.__dict__.pop("forward", None)


def _hidden(causal: Any, texts: Sequence[Sequence[int]]) -> Tensor | None:
    """The last hidden states, [tokens, size]; None where the model cannot compute them so."""
    row = pack(texts, causal.device)
    if not packs(causal):
        row = {"input_ids": row["input_ids"]}
    training = causal.training
    causal.eval()
    try:
        # What a model does with arguments that it does not expect is anyone's guess.
        with contextlib.suppress(Exception), torch.inference_mode():
            return causal.get_decoder()(**row, use_cache=False).last_hidden_state[0]  # type: ignore[no-any-return]
        return None
    finally:
        causal.train(training)


def _alike(found: Tensor | None, wanted: Sequence[Tensor | None]) -> bool:
    parts = [part for part in wanted if part is not None]
    if found is None or len(parts) < len(wanted):
        return False
    right = torch.cat(parts).double()
    most = TOLERANCE.get(found.dtype, 0.05) * right.abs().max()
    return bool(found.shape == right.shape and (found.double() - right).abs().max() <= most)


def _lines(counts: Counter[str]) -> list[str]:
    """What was replaced, and why."""
    found = []
    if counts["lora"]:
        found.append(
            f"LoRA of {counts['lora']} layers by hand-written gradients: none for frozen weights"
        )
    parts = [name for name in ("attention", "mlp", "norm") if counts[name]]
    if parts:
        whose = "Liger's kernels" if torch.cuda.is_available() and has_liger() else "own kernels"
        found.append(f"{', '.join(parts)} of a Llama-like decoder by {whose}: fewer passes")
    return found or ["the model's own code: no kernel is written for its layers"]


def _packing_line(causal: Any) -> str:
    if not packs(causal):
        return "samples padded to the longest of a batch: this model cannot keep packed ones apart"
    how = "flash attention" if causal.device.type == "cuda" else "attention block by block"
    return f"samples packed without padding, {how} within each"


FAMILY = ("Llama", "Mistral", "Qwen2", "Qwen3")
QKV = ("q_proj", "k_proj", "v_proj")


def replace(module: nn.Module) -> str | None:
    """Have a layer of Llama's family compute with the kernels; None for any other module.

    Llama, Mistral, Qwen 2, Qwen 3 and SmolLM share their layers but for a bias, a norm of
    each head and a window: one forward pass serves them all. A layer is known by the class
    that transformers gives it.

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


TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h."""
MOST_BYTES = 2**31 - 1
"""The largest value that mallopt takes, in bytes."""
KEPT_LINE = "memory that is freed is kept for the next step"


def keep_freed() -> bool:
    """Have this process keep memory that is freed; False where that is not to be had.

    A step makes and drops the same large tensors over and over. glibc maps each into fresh
    pages, which the kernel fills with zeros and counts in one by one: about a quarter of a
    step's time on a small model. Told once (mallopt(3)), it keeps what was freed for the next.

    It is for processes that train: the most that they ever held is what they go on
    holding.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(MMAP_THRESHOLD, MOST_BYTES) and mallopt(TRIM_THRESHOLD, MOST_BYTES))
