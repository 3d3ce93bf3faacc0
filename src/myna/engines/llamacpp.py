"""llama.cpp, through the wheels of xllamacpp: the fastest engine on a CPU.

It streams and gives next-token probabilities, but cannot score a continuation. Several calls
run at once, each in a slot (continuous batching), and a prompt that continues an earlier one
reuses its cached state.
"""

from __future__ import annotations

import math
import os
import queue
import secrets
import socket
import tempfile
import threading
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xllamacpp

from myna.config import Sampling
from myna.engines.engine import check_prompt
from myna.errors import EngineError, ModelError
from myna.models.adapter_gguf import gguf_adapter, is_worth_merging, merged_gguf
from myna.models.bases import Base
from myna.models.fetch import Reporter, silent
from myna.rendering.tokenizer import Tokenizer

_BATCH_TOKENS = 128
"""Tokens computed at once. Other replies wait for such a batch of a long prompt, and so does
cancelling; larger batches are no faster on a CPU."""
_PROMPT_CACHE_MIB = 128
"""Memory for the prompt states of rooms that lost their slot to others."""

_PENALTY_WINDOW = 64
_SAMPLERS = ["penalties", "dry", "top_k", "top_p", "min_p", "temperature"]
"""In their order. Without "dry" in this list, llama.cpp leaves DRY out in silence."""

# Samplers that myna does not have, switched off in every request.
_OTHER_SAMPLERS_OFF = {
    "adaptive_target": -1.0, "dynatemp_range": 0.0, "ignore_eos": False, "mirostat": 0,
    "top_n_sigma": -1.0, "typical_p": 1.0, "xtc_probability": 0.0,
}  # fmt: skip


def sampler_fields(sampling: Sampling) -> dict[str, Any]:
    """The fields of a request by which llama.cpp samples, but for the seed.

    Reference: llama.cpp's tools/server/README.md, "/completion". Windows are sent as positive
    numbers: what 0 and less mean has changed between versions.
    """
    fields = {
        **_OTHER_SAMPLERS_OFF,
        "samplers": _SAMPLERS,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repetition_penalty,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repeat_last_n": _PENALTY_WINDOW,
        "dry_multiplier": sampling.dry_multiplier,
    }
    if sampling.dry_multiplier:
        fields |= {
            "dry_base": sampling.dry_base,
            "dry_allowed_length": sampling.dry_allowed_length,
            "dry_penalty_last_n": sampling.dry_window,
            "dry_sequence_breakers": list(sampling.dry_sequence_breakers),
        }
    return fields


class LlamaCpp:
    """A model in llama.cpp, with a fixed adapter, in `slots` slots of `context` tokens.

    The adapter is a folder or a GGUF file; a folder's is merged into a small base first
    (`myna.models.adapter_gguf`). Another adapter needs another engine, since llama.cpp reuses
    cached states across adapters.

    Raises:
        EngineError: llama.cpp does not support the adapter.
        ModelError: the base or the adapter is damaged.
    """

    name = "llama.cpp"
    can = frozenset({"stream", "next_probs", "dry", "penalties"})

    def __init__(
        self,
        base: Base,
        adapter: Path | None,
        context: int,
        slots: int = 1,
        report: Reporter = silent,
        scale: float = 1.0,
    ) -> None:
        """The adapter's change of the weights is multiplied by `scale`."""
        model, lora_file = model_files(base, adapter, report, scale)
        self.context = context
        self.slots = slots
        settings = xllamacpp.CommonParams()
        settings.model.path = str(model)
        settings.n_ctx = context * slots
        settings.n_parallel = slots
        settings.kv_unified = False  # else one room's long prompt takes the others' memory
        settings.n_batch = settings.n_ubatch = _BATCH_TOKENS
        settings.warmup = False
        settings.verbosity = 0
        settings.cache_ram_mib = _PROMPT_CACHE_MIB  # else up to 8 GiB
        cores = _usable_cores()
        if cores:
            settings.cpuparams.n_threads = cores
            settings.cpuparams_batch.n_threads = cores
        if lora_file is not None:
            lora = xllamacpp.CommonAdapterLoraInfo()
            lora.path = str(lora_file)
            lora.scale = scale
            settings.lora_adapters = [lora]
        self._whole_character = Tokenizer(base.folder).encode("a").ids[-1]
        self._slots = Slots(slots)
        self._generations = _Generations()
        # A thread inside llama.cpp at exit would crash Python.
        weakref.finalize(self, self._generations.stop)
        try:
            self._server: Any = _unreachable_server(settings)
            # A server closed before its loop runs would wait forever; once it has
            # answered, the loop runs.
            self.next_probs([self._whole_character], 1)
        except Exception as error:  # the library raises plain RuntimeError and others
            files = f"{model}" + (f" with the adapter {lora_file}" if lora_file else "")
            raise ModelError(f"llama.cpp cannot load {files}: {error}") from error

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[str, None, str]:
        """See `myna.engines.engine.Engine.stream`."""
        server = self._ready(prompt)
        if sampling.max_new_tokens < 1:
            return "length"
        request = {
            **sampler_fields(sampling),
            "prompt": list(prompt),
            "n_predict": min(sampling.max_new_tokens, self.context - len(prompt)),
            "stream": True,
            "return_progress": True,  # chunks while the prompt is read, to be able to cancel
            "cache_prompt": True,
            "seed": -1 if sampling.seed is None else sampling.seed % 2**32,
        }
        # llama.cpp calls `receive` during the call; a thread turns that into a generator.
        # A callback that returns True stops the generation.
        chunks: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
        stop = threading.Event()

        def receive(chunk: dict[str, Any]) -> bool:
            chunks.put(chunk)
            return stop.is_set()

        def work() -> None:
            try:
                # The thread, not the generator, holds the slot, and so releases it even if
                # nobody reads the stream any more.
                with self._slots.held(prompt) as slot:
                    if not stop.is_set():
                        server.handle_completions({**request, "id_slot": slot}, receive)
                chunks.put(None)
            except Exception as error:  # raised again where the caller waits
                chunks.put(error)

        self._generations.start(work, stop)
        try:
            while isinstance(chunk := chunks.get(), dict):
                choice = _choice(chunk)
                finish_reason = choice.get("finish_reason")
                text = choice.get("text") or ""
                if finish_reason:
                    text = text.rstrip("\ufffd")  # half a character, cut off by the limit
                if text or _is_reading(chunk):
                    yield text
                if finish_reason:
                    return "stop" if finish_reason == "stop" else "length"
            raise EngineError("llama.cpp broke off: try again") from chunk
        finally:
            stop.set()

    def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
        """See `myna.engines.engine.Engine.next_probs`."""
        server = self._ready(prompt)
        with self._slots.held(prompt) as slot:
            answer = server.handle_completions(
                {
                    **sampler_fields(Sampling(temperature=0.0)),
                    "prompt": list(prompt),
                    "id_slot": slot,
                    "n_predict": 1,
                    "stream": False,
                    "cache_prompt": True,
                    "logprobs": top,
                    "n_probs": top,
                    # There are no probabilities if the chosen token is half a character; they
                    # are computed before any bias, so a bias can choose a whole one.
                    "logit_bias": [[self._whole_character, 1e6]],
                }
            )
        top_logprobs = _choice(answer)["logprobs"]["content"][0]["top_logprobs"]
        return {entry["id"]: math.exp(entry["logprob"]) for entry in top_logprobs}

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        """Not supported: raises EngineError."""
        raise EngineError(
            'llama.cpp cannot score a given continuation: use engine = "transformers"'
        )

    def close(self) -> None:
        """See `myna.engines.engine.Engine.close`."""
        self._generations.stop()
        self._server = None

    def _ready(self, prompt: Sequence[int]) -> Any:
        if self._server is None:
            raise EngineError("this engine is closed: open another")
        check_prompt(prompt, self.context, self.name)
        return self._server


class _Generations:
    """The running generations, each in a thread with its stop event."""

    def __init__(self) -> None:
        self._threads: dict[threading.Thread, threading.Event] = {}
        self._lock = threading.Lock()

    def start(self, work: Callable[[], None], stop: threading.Event) -> None:
        """Run `work` in a thread; it ends soon after `stop` is set."""
        thread = threading.Thread(target=work, name="llama.cpp", daemon=True)
        with self._lock:
            self._threads = {t: event for t, event in self._threads.items() if t.is_alive()}
            thread.start()
            self._threads[thread] = stop

    def stop(self) -> None:
        """Stop all generations, and wait for them."""
        with self._lock:
            threads = self._threads.copy()
        for stop in threads.values():
            stop.set()
        for thread in threads:
            thread.join()


def model_files(
    base: Base, adapter: Path | None, report: Reporter = silent, scale: float = 1.0
) -> tuple[Path | None, Path | None]:
    """The files that llama.cpp loads: the model, and a LoRA if not merged into it.

    `scale` is that of a merged LoRA.

    Raises:
        EngineError: llama.cpp does not support the adapter.
        ModelError: the base or the adapter is damaged.
    """
    if base.gguf is None or adapter is None or adapter.suffix == ".gguf":
        return base.gguf, adapter
    if is_worth_merging(base.gguf):
        return merged_gguf(adapter, base, base.gguf, report, scale), None
    return base.gguf, gguf_adapter(adapter, base)


def _unreachable_server(settings: Any) -> Any:
    """A server for this process alone.

    xllamacpp always listens as well, by default on a port open to all programs and web pages
    on this machine. Here it is a Unix socket in a deleted folder; on Windows a port with a
    random key.
    """
    settings.api_keys = [secrets.token_hex(32)]
    settings.cors_origins = "http://localhost"  # not "*", which allows every web page
    settings.ui = False
    settings.endpoint_slots = False
    settings.endpoint_props = False
    settings.endpoint_metrics = False
    if not hasattr(socket, "AF_UNIX") or os.name == "nt":
        return xllamacpp.Server(settings)
    with tempfile.TemporaryDirectory(prefix="myna-") as folder:
        settings.hostnames = [f"{folder}/s.sock"]
        return xllamacpp.Server(settings)


def _usable_cores() -> int | None:
    """Number of cores that this process may use; None for all: llama.cpp then counts them."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    usable = len(os.sched_getaffinity(0))
    return usable if usable < (os.cpu_count() or 1) else None


def _is_reading(chunk: dict[str, Any]) -> bool:
    """True if the prompt is still being read."""
    progress = chunk.get("prompt_progress") or {}
    return bool(0 < progress.get("processed", 0) < progress.get("total", 0))


def _choice(answer: dict[str, Any]) -> dict[str, Any]:
    """The only choice in an answer of llama.cpp.

    Raises:
        EngineError: the answer is an error.
    """
    if "error" in answer:
        raise EngineError(f"llama.cpp: {answer['error'].get('message', answer['error'])}")
    choice: dict[str, Any] = answer["choices"][0]
    return choice


MIN_CONTINUED_SHARE = 0.5
"""A prompt continues an earlier one if it starts with more than this share of it. Rooms share
their first lines, so a lower share would make them overwrite each other."""


class Slots:
    """The slots, each with the prompt whose state it keeps. Thread-safe.

    llama.cpp itself takes any slot that shares a tenth of the prompt.
    """

    def __init__(self, count: int) -> None:
        self._prompts: list[list[int]] = [[] for _ in range(count)]
        self._free = list(range(count))
        """Free slots, the least recently used first."""
        self._freed = threading.Condition()

    @contextmanager
    def held(self, prompt: Sequence[int]) -> Iterator[int]:
        """Wait for a free slot, choose the best for `prompt`, and hold it."""
        with self._freed:
            self._freed.wait_for(lambda: self._free)
            slot = self._best(prompt)
            self._free.remove(slot)
            self._prompts[slot] = list(prompt)
        try:
            yield slot
        finally:
            with self._freed:
                self._free.append(slot)
                self._freed.notify()

    def _best(self, prompt: Sequence[int]) -> int:
        """The free slot with the longest prefix of `prompt`, else an unused or the oldest one."""
        shared = {slot: _shared_prefix_length(self._prompts[slot], prompt) for slot in self._free}
        continued = [
            slot
            for slot in self._free
            if shared[slot] > MIN_CONTINUED_SHARE * len(self._prompts[slot])
        ]
        if continued:
            return max(continued, key=lambda slot: shared[slot])
        return min(self._free, key=lambda slot: bool(self._prompts[slot]))


def _shared_prefix_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common prefix."""
    for i, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return i
    return min(len(one), len(other))
