"""The transformers library as an engine: slower on a CPU, but with all abilities.

It caches the state of the last prompt for prompts with the same prefix. Engines with
different adapters of one base share its weights.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import tokenizers
import torch
from tokenizers.decoders import DecodeStream
from transformers import DynamicCache

from myna.config import Sampling
from myna.engines.engine import check_prompt
from myna.engines.token_penalties import penalized
from myna.errors import EngineError
from myna.models.bases import Base
from myna.models.loading import FULL_MODEL_FOLDER, add_adapter, load_adapter, load_base
from myna.rendering.tokenizer import Tokenizer

_CHUNK_TOKENS = 512
"""Positions computed at once: each has logits over the whole vocabulary."""


class _SharedBase:
    """A base with any number of adapters, one active at a time."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._lock = threading.Lock()
        self._names: dict[tuple[Path, int, float], str] = {}
        """Adapter names by path, modification time (it may be trained further) and scale."""
        self._active: str | None = None

    def add(self, adapter: Path, scale: float) -> str:
        """Load an adapter, unless it is loaded with this scale; return its name for `active`.

        Raises:
            ModelError: it is missing, damaged, or of another base.
        """
        weights = adapter / "adapter_model.safetensors"
        changed = weights.stat().st_mtime_ns if weights.exists() else 0
        key = (adapter.resolve(), changed, scale)
        with self._lock:
            if not self._names:
                self.model = load_adapter(self.model, adapter, scale)
                self._active = self._names[key] = _FIRST_ADAPTER
            elif key not in self._names:
                name = f"adapter{len(self._names)}"
                add_adapter(self.model, adapter, name, scale)
                self._names[key] = name
            return self._names[key]

    @contextmanager
    def active(self, adapter: str | None, *, unchanged: bool) -> Iterator[None]:
        """Lock the model with only this adapter, or none, active."""
        with self._lock:
            if unchanged or not self._names:
                yield
            elif adapter is None:
                with self.model.disable_adapter():
                    yield
            else:
                if adapter != self._active:
                    self.model.set_adapter(adapter)
                    self._active = adapter
                yield


_FIRST_ADAPTER = "default"
"""peft's name for an adapter without one."""
_loaded: WeakValueDictionary[str, _SharedBase] = WeakValueDictionary()
_loading = threading.Lock()


def _shared_base(base: Base) -> _SharedBase:
    """The base, loaded once for all open engines."""
    with _loading:
        shared = _loaded.get(base.fingerprint)
        if shared is None:
            shared = _loaded[base.fingerprint] = _SharedBase(load_base(base))
        return shared


class Transformers:
    """A model in transformers, with or without an adapter, on the GPU if available.

    Raises:
        ModelError: the base or the adapter is missing or damaged.
    """

    name = "transformers"
    can = frozenset({"stream", "next_probs", "score", "dry", "penalties"})
    slots = 1

    def __init__(
        self,
        base: Base,
        adapter: Path | None,
        context: int,
        model: Any = None,
        scale: float = 1.0,
    ) -> None:
        """The adapter's change of the weights is multiplied by `scale`.

        With `model`, that model is used as it is, and nothing is loaded.
        """
        self.context = context
        if model is None and adapter and (adapter / FULL_MODEL_FOLDER).is_dir():
            model = load_adapter(load_base(base), adapter)
        self._is_given = model is not None
        self._shared: _SharedBase | None = (
            _shared_base(base) if model is None else _SharedBase(model)
        )
        self._adapter = self._shared.add(adapter, scale) if adapter and model is None else None
        self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(base.folder / "tokenizer.json"))
        self._ends = Tokenizer(base.folder).end_ids
        self._cache: Any = None
        self._cache_lock = threading.RLock()
        self._cached: list[int] = []
        """Token ids whose state is in the cache."""

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[str, None, str]:
        """See `myna.engines.engine.Engine.stream`."""
        check_prompt(prompt, self.context, self.name)
        ids = list(prompt)
        rng = torch.Generator()
        if sampling.seed is None:
            rng.seed()
        else:
            rng.manual_seed(sampling.seed)
        decoder = DecodeStream(ids=ids[-8:], skip_special_tokens=True)
        piece_of = cache(lambda token: self._tokenizer.decode([token], skip_special_tokens=False))
        max_length = min(len(prompt) + sampling.max_new_tokens, self.context)
        while len(ids) < max_length:
            logits = penalized(self._last_logits(ids), ids, sampling, piece_of)
            token = sample_token(logits, sampling, rng)
            if token in self._ends:
                return "stop"
            ids.append(token)
            piece = decoder.step(self._tokenizer, token)
            if piece:
                yield piece
        return "length"

    def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
        """See `myna.engines.engine.Engine.next_probs`."""
        check_prompt(prompt, self.context, self.name)
        probs = self._last_logits(prompt).softmax(-1)
        best = probs.topk(min(top, len(probs)))
        return dict(zip(best.indices.tolist(), best.values.tolist(), strict=True))

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        """See `myna.engines.engine.Engine.score`."""
        if not continuation:
            return []
        ids = [*prompt, *continuation[:-1]]  # the logits after the last are not needed
        check_prompt(prompt, self.context, self.name)
        check_prompt(ids, self.context, self.name)
        scores: list[float] = []
        with self._cache_lock:  # no other call may change the cache
            for logits in self._logits(ids, len(prompt) - 1):
                targets = torch.tensor(continuation[len(scores) : len(scores) + len(logits)])
                log_probs = logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
                scores += log_probs.tolist()
        return scores

    def close(self) -> None:
        """See `myna.engines.engine.Engine.close`."""
        self._shared = self._cache = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _last_logits(self, ids: Sequence[int]) -> torch.Tensor:
        """The logits after the last of `ids`: (vocabulary,), float32 on the CPU."""
        with self._cache_lock:
            *_, logits = self._logits(ids, len(ids) - 1)
        return logits[-1]

    @torch.inference_mode()
    def _logits(self, ids: Sequence[int], first: int) -> Iterator[torch.Tensor]:
        """The logits after each of `ids` from position `first` on, in chunks.

        Each chunk is (positions, vocabulary), float32 on the CPU. The common prefix with
        the last call's ids comes from the cache.
        """
        shared = self._shared
        if shared is None:
            raise EngineError("this engine is closed: open another")
        cached = self._crop_cache(ids, first, shared.model.config)
        for start in range(cached, len(ids), _CHUNK_TOKENS):
            chunk = ids[start : start + _CHUNK_TOKENS]
            wanted = len(chunk) - max(first - start, 0)
            try:
                with shared.active(self._adapter, unchanged=self._is_given):
                    logits = shared.model(
                        input_ids=torch.tensor([chunk], device=shared.model.device),
                        past_key_values=self._cache,
                        use_cache=True,
                        logits_to_keep=max(wanted, 1),
                    ).logits[0]
            except BaseException:  # even Ctrl-C: layers' states may differ in length
                self._cache, self._cached = None, []
                raise
            self._cached += chunk
            if wanted > 0:
                yield logits.float().cpu()

    def _crop_cache(self, ids: Sequence[int], max_length: int, config: Any) -> int:
        """Crop the cache to its prefix in common with `ids`, at most `max_length`; return that."""
        shared = 0
        for old, new in zip(self._cached, ids[:max_length], strict=False):
            if old != new:
                break
            shared += 1
        surplus = len(self._cached) - shared
        if self._cache is None or (surplus and not _can_crop(self._cache)):
            self._cache, shared = DynamicCache(config=config), 0
        elif surplus:
            self._cache.crop(-surplus)
        self._cached = list(ids[:shared])
        return shared


def _can_crop(cache: Any) -> bool:
    """True unless a layer is sliding or recurrent: their states cannot be cropped."""
    return all(type(layer).__name__ == "DynamicLayer" for layer in cache.layers)


def sample_token(logits: torch.Tensor, sampling: Sampling, rng: torch.Generator) -> int:
    """Sample a token from penalized `logits` (vocabulary,), with filters in llama.cpp's order."""
    if sampling.temperature <= 0:
        return int(logits.argmax())
    logits, order = logits.sort(descending=True)
    if sampling.top_k > 0:
        logits = logits[: sampling.top_k]
    if sampling.top_p < 1:
        probs = logits.softmax(-1)
        before = probs.cumsum(-1) - probs
        logits = logits[: max(int((before < sampling.top_p).sum()), 1)]
    if sampling.min_p > 0:
        probs = logits.softmax(-1)
        logits = logits[: max(int((probs >= sampling.min_p * probs[0]).sum()), 1)]
    probs = (logits / sampling.temperature).softmax(-1)
    return int(order[torch.multinomial(probs, 1, generator=rng)])
