"""The transformers library as an engine: slower on a CPU, but it can do everything.

It keeps the state of the last prompt, so that a prompt that begins like it costs only
what is new. Engines with other adapters on the same base share its weights.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import tokenizers
import torch
from tokenizers.decoders import DecodeStream
from transformers import DynamicCache

from myna.engines.engine import Sampling, check_prompt
from myna.errors import EngineError
from myna.models.bases import Base
from myna.models.loading import WHOLE, add_adapter, load, load_adapter
from myna.rendering.tokenizer import Tokenizer

_CHUNK = 512
"""Positions computed at once: their logits over the whole vocabulary lie in memory."""
_PENALTY_WINDOW = 64


class _Shared:
    """A base with any number of adapters on it, of which one counts at a time."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._using = threading.Lock()
        self._names: dict[tuple[Path, int], str] = {}
        """Of each adapter, as it was written at that time: one may be trained further."""
        self._current: str | None = None

    def add(self, adapter: Path) -> str:
        """Put an adapter on it, if it is not there: its name for `speaking`.

        Raises:
            ModelError: it is missing or damaged, or fits another base.
        """
        weights = adapter / "adapter_model.safetensors"
        key = (adapter.resolve(), weights.stat().st_mtime_ns if weights.exists() else 0)
        with self._using:
            if not self._names:
                self.model = load_adapter(self.model, adapter)
                self._current = self._names[key] = _FIRST
            elif key not in self._names:
                name = f"adapter{len(self._names)}"
                add_adapter(self.model, adapter, name)
                self._names[key] = name
            return self._names[key]

    @contextmanager
    def speaking(self, adapter: str | None, *, as_it_is: bool) -> Iterator[None]:
        """Hold the model with just this adapter, or none, in effect."""
        with self._using:
            if as_it_is or not self._names:
                yield
            elif adapter is None:
                with self.model.disable_adapter():
                    yield
            else:
                if adapter != self._current:
                    self.model.set_adapter(adapter)
                    self._current = adapter
                yield


_FIRST = "default"
"""What peft calls an adapter that has no name."""
_loaded: WeakValueDictionary[str, _Shared] = WeakValueDictionary()
_loading = threading.Lock()


def _of(base: Base) -> _Shared:
    """The base, loaded once for all engines that are open."""
    with _loading:
        shared = _loaded.get(base.fingerprint)
        if shared is None:
            shared = _loaded[base.fingerprint] = _Shared(load(base))
        return shared


class Transformers:
    """A model in transformers, with or without an adapter, on the GPU where there is one.

    Raises:
        ModelError: the base or the adapter is missing or damaged.
    """

    name = "transformers"
    can = frozenset({"stream", "next_probs", "score"})
    slots = 1

    def __init__(self, base: Base, adapter: Path | None, context: int, model: Any = None) -> None:
        """With `model` that very model is used, as it is, and nothing is loaded."""
        self.context = context
        if model is None and adapter and (adapter / WHOLE).is_dir():
            model = load_adapter(load(base), adapter)
        self._as_it_is = model is not None
        self._shared: _Shared | None = _of(base) if model is None else _Shared(model)
        self._adapter = self._shared.add(adapter) if adapter and model is None else None
        self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(base.folder / "tokenizer.json"))
        self._ends = Tokenizer(base.folder).end_ids
        self._cache: Any = None
        self._stepping = threading.RLock()
        self._cached: list[int] = []
        """The ids whose state is in the cache."""

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[str, None, str]:
        """See `myna.engines.engine.Engine.stream`."""
        check_prompt(prompt, self.context, self.name)
        ids = list(prompt)
        random = torch.Generator()
        if sampling.seed is None:
            random.seed()
        else:
            random.manual_seed(sampling.seed)
        decoder = DecodeStream(ids=ids[-8:], skip_special_tokens=True)
        longest = min(len(prompt) + sampling.max_tokens, self.context)
        while len(ids) < longest:
            token = choose_token(self._last_logits(ids), sampling, ids[-_PENALTY_WINDOW:], random)
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
        ids = [*prompt, *continuation[:-1]]  # nothing is asked about what follows the last
        check_prompt(prompt, self.context, self.name)
        check_prompt(ids, self.context, self.name)
        scores: list[float] = []
        with self._stepping:  # the cache is this prompt's until the last chunk
            for logits in self._logits(ids, len(prompt) - 1):
                wanted = torch.tensor(continuation[len(scores) : len(scores) + len(logits)])
                found = logits.log_softmax(-1).gather(-1, wanted[:, None])[:, 0]
                scores += found.tolist()
        return scores

    def close(self) -> None:
        """See `myna.engines.engine.Engine.close`."""
        self._shared = self._cache = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _last_logits(self, ids: Sequence[int]) -> torch.Tensor:
        """The logits after the last of `ids`: (vocabulary,), float32 on the CPU."""
        with self._stepping:
            *_, logits = self._logits(ids, len(ids) - 1)
        return logits[-1]

    @torch.inference_mode()
    def _logits(self, ids: Sequence[int], first: int) -> Iterator[torch.Tensor]:
        """The logits after each of `ids` from position `first` on, in chunks.

        Each chunk is (positions, vocabulary), float32 on the CPU. What `ids` share with
        the last call's is taken from the cache.
        """
        model = self._shared
        if model is None:
            raise EngineError("this engine is closed: open another")
        shared = self._rewind(ids, first, model.model.config)
        for start in range(shared, len(ids), _CHUNK):
            part = ids[start : start + _CHUNK]
            wanted = len(part) - max(first - start, 0)
            try:
                with model.speaking(self._adapter, as_it_is=self._as_it_is):
                    logits = model.model(
                        input_ids=torch.tensor([part], device=model.model.device),
                        past_key_values=self._cache,
                        use_cache=True,
                        logits_to_keep=max(wanted, 1),
                    ).logits[0]
            except BaseException:  # Ctrl-C too: some layers' states may be ahead of others'
                self._cache, self._cached = None, []
                raise
            self._cached += part
            if wanted > 0:
                yield logits.float().cpu()

    def _rewind(self, ids: Sequence[int], most: int, config: Any) -> int:
        """Cut the cache back to what it shares with `ids`, at most `most`; how many that is."""
        shared = 0
        for old, new in zip(self._cached, ids[:most], strict=False):
            if old != new:
                break
            shared += 1
        surplus = len(self._cached) - shared
        if self._cache is None or (surplus and not _can_be_cut(self._cache)):
            self._cache, shared = DynamicCache(config=config), 0
        elif surplus:
            self._cache.crop(-surplus)
        self._cached = list(ids[:shared])
        return shared


def _can_be_cut(cache: Any) -> bool:
    """Whether states can be taken off its end: not those of sliding or recurrent layers."""
    return all(type(layer).__name__ == "DynamicLayer" for layer in cache.layers)


def choose_token(
    logits: torch.Tensor, sampling: Sampling, recent: Sequence[int], random: torch.Generator
) -> int:
    """One token out of `logits` (vocabulary,), narrowed in llama.cpp's order."""
    logits = logits.clone()
    if sampling.repeat_penalty != 1.0:
        seen = torch.tensor(sorted(set(recent)))
        odds = logits[seen]
        penalty = sampling.repeat_penalty
        logits[seen] = torch.where(odds > 0, odds / penalty, odds * penalty)
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
    return int(order[torch.multinomial(probs, 1, generator=random)])
