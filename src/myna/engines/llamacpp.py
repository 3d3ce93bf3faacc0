"""llama.cpp, through the wheels of xllamacpp: the fastest engine on a CPU.

It streams and gives the next token's probabilities. It cannot score a continuation:
log-probabilities of a prompt's own tokens are not in its answers. Several calls run at
once, each in a slot of its own (continuous batching), and a prompt that goes on from an
earlier one costs only what is new (`myna.engines.llamacpp`).
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

from myna.engines.engine import Sampling, check_prompt
from myna.errors import EngineError, ModelError
from myna.models.adapter_gguf import gguf_adapter, is_small, merged
from myna.models.bases import Base
from myna.models.fetch import Say, silent
from myna.rendering.tokenizer import Tokenizer

_BATCH = 128
"""Tokens computed at once. Of a long prompt so many stand between two tokens of everybody
else, and before it can be cancelled; larger batches are no faster on a CPU."""
_PARKED_MIB = 128
"""Memory for the prompts of rooms that had to leave their slot to others."""

# What llama.cpp would do besides, said on every request: nothing.
_NEUTRAL = {
    "adaptive_target": -1.0, "dry_multiplier": 0.0, "dynatemp_range": 0.0, "frequency_penalty": 0.0,
    "ignore_eos": False, "mirostat": 0, "presence_penalty": 0.0, "top_n_sigma": -1.0,
    "typical_p": 1.0, "xtc_probability": 0.0,
}  # fmt: skip


class LlamaCpp:
    """A model in llama.cpp, with one adapter for life, in `slots` slots of `context` tokens.

    The adapter is a folder, or a GGUF file. With a folder's and a small base both are made
    one file first (`myna.models.adapter_gguf`), of which `say` is told.

    llama.cpp reuses the cached state of a prompt even when adapters have been changed
    in between, so another adapter is another engine.

    Raises:
        EngineError: the adapter cannot run in llama.cpp.
        ModelError: the base or the adapter is damaged.
    """

    name = "llama.cpp"
    can = frozenset({"stream", "next_probs"})

    def __init__(
        self,
        base: Base,
        adapter: Path | None,
        context: int,
        slots: int = 1,
        say: Say = silent,
    ) -> None:
        model, lora_file = model_files(base, adapter, say)
        self.context = context
        self.slots = slots
        settings = xllamacpp.CommonParams()
        settings.model.path = str(model)
        settings.n_ctx = context * slots
        settings.n_parallel = slots
        settings.kv_unified = False  # or one room's long prompt takes the others' memory
        settings.n_batch = settings.n_ubatch = _BATCH
        settings.warmup = False
        settings.verbosity = 0
        settings.cache_ram_mib = _PARKED_MIB  # else up to 8 GiB
        usable = _usable_cores()
        if usable:
            settings.cpuparams.n_threads = usable
            settings.cpuparams_batch.n_threads = usable
        if lora_file is not None:
            lora = xllamacpp.CommonAdapterLoraInfo()
            lora.path = str(lora_file)
            lora.scale = 1.0
            settings.lora_adapters = [lora]
        self._whole = Tokenizer(base.folder).encode("a").ids[-1]
        self._slots = Slots(slots)
        self._running = _Running()
        # A thread that is in llama.cpp when Python ends brings it down.
        weakref.finalize(self, self._running.end)
        try:
            self._server: Any = _unreachable_server(settings)
            # One that is closed before its loop runs waits for it for ever; one that
            # has answered runs it.
            self.next_probs([self._whole], 1)
        except Exception as error:  # the library raises plain RuntimeError and others
            parts = f"{model}" + (f" with the adapter {lora_file}" if lora_file else "")
            raise ModelError(f"llama.cpp cannot load {parts}: {error}") from error

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[str, None, str]:
        """See `myna.engines.engine.Engine.stream`."""
        server = self._ready(prompt)
        if sampling.max_new_tokens < 1:
            return "length"
        request = {
            **_NEUTRAL,
            "prompt": list(prompt),
            "n_predict": min(sampling.max_new_tokens, self.context - len(prompt)),
            "stream": True,
            "return_progress": True,  # chunks while the prompt is read: chances to cancel
            "cache_prompt": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repetition_penalty,
            "repeat_last_n": 64,
            "seed": -1 if sampling.seed is None else sampling.seed % 2**32,
        }
        # llama.cpp calls back while the call lasts; a thread of its own makes a
        # generator of that. A callback that returns True stops the generation.
        chunks: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
        stop = threading.Event()

        def receive(chunk: dict[str, Any]) -> bool:
            chunks.put(chunk)
            return stop.is_set()

        def work() -> None:
            try:
                # The thread, not the generator, holds the slot: a stream that nobody
                # reads on gives it back all the same.
                with self._slots.held(prompt) as slot:
                    if not stop.is_set():
                        server.handle_completions({**request, "id_slot": slot}, receive)
                chunks.put(None)
            except Exception as error:  # raised again where the caller waits
                chunks.put(error)

        self._running.start(work, stop)
        try:
            while isinstance(chunk := chunks.get(), dict):
                choice = _choice(chunk)
                ended = choice.get("finish_reason")
                text = choice.get("text") or ""
                if ended:
                    text = text.rstrip("\ufffd")  # half a character, cut off by the limit
                if text or _is_reading(chunk):
                    yield text
                if ended:
                    return "stop" if ended == "stop" else "length"
            raise EngineError("llama.cpp broke off: try again") from chunk
        finally:
            stop.set()

    def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
        """See `myna.engines.engine.Engine.next_probs`."""
        server = self._ready(prompt)
        with self._slots.held(prompt) as slot:
            answer = server.handle_completions(
                {
                    **_NEUTRAL,
                    "prompt": list(prompt),
                    "id_slot": slot,
                    "n_predict": 1,
                    "stream": False,
                    "cache_prompt": True,
                    "temperature": 0.0,
                    "logprobs": top,
                    "n_probs": top,
                    # No probabilities come where the chosen token is half a character.
                    # They are the model's own, before any bias: so have a whole one chosen.
                    "logit_bias": [[self._whole, 1e6]],
                }
            )
        found = _choice(answer)["logprobs"]["content"][0]["top_logprobs"]
        return {entry["id"]: math.exp(entry["logprob"]) for entry in found}

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        """Not here: raises EngineError."""
        raise EngineError(
            'llama.cpp cannot score a given continuation: use engine = "transformers"'
        )

    def close(self) -> None:
        """See `myna.engines.engine.Engine.close`."""
        self._running.end()
        self._server = None

    def _ready(self, prompt: Sequence[int]) -> Any:
        if self._server is None:
            raise EngineError("this engine is closed: open another")
        check_prompt(prompt, self.context, self.name)
        return self._server


class _Running:
    """The generations under way, each in a thread of its own, with what stops it."""

    def __init__(self) -> None:
        self._threads: dict[threading.Thread, threading.Event] = {}
        self._changing = threading.Lock()

    def start(self, work: Callable[[], None], stop: threading.Event) -> None:
        """Run `work`, which ends soon after `stop` is set."""
        thread = threading.Thread(target=work, name="llama.cpp", daemon=True)
        with self._changing:
            self._threads = {one: end for one, end in self._threads.items() if one.is_alive()}
            thread.start()
            self._threads[thread] = stop

    def end(self) -> None:
        """Stop all of them, and wait until they have."""
        with self._changing:
            running = self._threads.copy()
        for stop in running.values():
            stop.set()
        for thread in running:
            thread.join()


def model_files(
    base: Base, adapter: Path | None, say: Say = silent
) -> tuple[Path | None, Path | None]:
    """What llama.cpp loads: the model's file, and that of a LoRA to put on it.

    Raises:
        EngineError: llama.cpp cannot run the adapter.
        ModelError: the base or the adapter is damaged.
    """
    if base.gguf is None or adapter is None or adapter.suffix == ".gguf":
        return base.gguf, adapter
    if is_small(base.gguf):
        return merged(adapter, base, base.gguf, say), None
    return base.gguf, gguf_adapter(adapter, base)


def _unreachable_server(settings: Any) -> Any:
    """A server that answers this process alone.

    xllamacpp always listens somewhere as well, by default on a port that any program
    and any web page on this machine may ask. Here that is a Unix socket whose folder is
    gone at once; where there are none, a port that wants a key that nobody has.
    """
    settings.api_keys = [secrets.token_hex(32)]
    settings.cors_origins = "http://localhost"  # not "*", which lets in every web page
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
    """The cores that this process may use, where that is fewer than there are.

    Otherwise None: llama.cpp then counts the real cores, without hyperthreads.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    usable = len(os.sched_getaffinity(0))
    return usable if usable < (os.cpu_count() or 1) else None


def _is_reading(chunk: dict[str, Any]) -> bool:
    """Whether a chunk says that the prompt is still being read."""
    progress = chunk.get("prompt_progress") or {}
    return bool(0 < progress.get("processed", 0) < progress.get("total", 0))


def _choice(answer: dict[str, Any]) -> dict[str, Any]:
    """The one choice in an answer of llama.cpp.

    Raises:
        EngineError: the answer is an error.
    """
    if "error" in answer:
        raise EngineError(f"llama.cpp: {answer['error'].get('message', answer['error'])}")
    choice: dict[str, Any] = answer["choices"][0]
    return choice


CONTINUES = 0.5
"""A prompt goes on from an earlier one if it begins with at least this share of it. Rooms
share their first lines, so less would make them overwrite each other."""


class Slots:
    """The slots, each with the prompt whose state it keeps; for any number of threads.

    llama.cpp's own choice takes any slot that shares a tenth of the prompt.
    """

    def __init__(self, count: int) -> None:
        self._kept: list[list[int]] = [[] for _ in range(count)]
        self._free = list(range(count))
        """The slots that nobody uses, the one used longest ago first."""
        self._freed = threading.Condition()

    @contextmanager
    def held(self, prompt: Sequence[int]) -> Iterator[int]:
        """Wait for a slot, the best for `prompt` of those free, and hold it."""
        with self._freed:
            self._freed.wait_for(lambda: self._free)
            slot = self._best(prompt)
            self._free.remove(slot)
            self._kept[slot] = list(prompt)
        try:
            yield slot
        finally:
            with self._freed:
                self._free.append(slot)
                self._freed.notify()

    def _best(self, prompt: Sequence[int]) -> int:
        """The free slot with the most of `prompt`; else an empty one; else the oldest."""
        shared = {slot: _shared(self._kept[slot], prompt) for slot in self._free}
        going_on = [slot for slot in self._free if shared[slot] > CONTINUES * len(self._kept[slot])]
        if going_on:
            return max(going_on, key=lambda slot: shared[slot])
        return min(self._free, key=lambda slot: bool(self._kept[slot]))


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens are the same."""
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return at
    return min(len(one), len(other))
