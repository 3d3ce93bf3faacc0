"""The fast path: a model's own code replaced by kernels where they fit, and only there.

Nothing that is saved changes: parameters keep their names and their values. And nothing
is taken on trust: with the kernels in it, two short texts packed into one row must give
what the model gave for each alone before, or it keeps its own code.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from myna.training.kernels import allocator, llama, lora
from myna.training.kernels.elementwise import has_liger
from myna.training.packing import causal_of, pack, packs, use_attention

TEXTS = ((3, 1, 4, 1, 5, 9, 2), (6, 5, 3, 5, 8))
"""Token ids for the proof; any will do."""
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
"""Largest difference in the proof, as a share of the largest value; 0.05 in 16 bits."""


def install(model: Any) -> list[str]:
    """Put the kernels into `model`; what is used and why, as lines of text.

    Call it once all adapters are on the model. It serves a model with peft's LoRA on it
    and one that is trained in full; not one whose weights lie in pieces on several
    devices (FSDP), which can only be read inside their own modules.
    """
    causal = causal_of(model)
    kept = allocator.keep_freed() if causal.device.type == "cpu" else False
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
    return [*_lines(counts), _packing_line(causal), *([allocator.LINE] if kept else [])]


def remove(model: Any) -> None:
    """Give the model its own code back."""
    causal = causal_of(model)
    _take_back(causal)
    if packs(causal):
        causal.set_attn_implementation("sdpa")


def _replace(module: nn.Module) -> str | None:
    if lora.fits(module):
        lora.replace(module)
        return "lora"
    return llama.replace(module)


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
