"""The `Engine` protocol, and opening the engine that runs a model.

An engine takes token ids, never text. Its abilities are in `can`:

    stream        generate text, piece by piece
    next_probs    probabilities of the next token
    score         log-probabilities of a given continuation
"""

from __future__ import annotations

import importlib.util
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Protocol

from myna.choices import ENGINES, join_with_or
from myna.config import EngineServer, Sampling
from myna.errors import EngineError, SettingsError
from myna.models.bases import Base, find_base
from myna.models.fetch import Reporter, silent

DEFAULT_CONTEXT = 8192
"""Default limit of the context in tokens: it costs memory."""

SERVER_ENGINES = ("vllm", "openai")
"""Engines that are another program, reached over HTTP."""


class Engine(Protocol):
    """A loaded model, base or base with adapter.

    Thread-safe; `slots` calls run at once, the others wait. Close each stream that is not
    read to its end.
    """

    name: str
    can: frozenset[str]
    slots: int
    """Number of calls that run at once, in the order of `myna.engines.queueing`."""
    context: int
    """Most tokens of prompt and reply together."""

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[str, None, str]:
        """Continue `prompt`, yielding text as it is generated.

        A piece has whole characters and no control tokens; while a long prompt is read,
        pieces are empty, for a chance to stop. The generator returns the finish reason:
        "stop" after an end-of-turn token, "length" at `sampling.max_new_tokens` or the end of the
        context. Closing it cancels the generation.

        Raises:
            EngineError: `prompt` is empty or does not fit, or the engine failed.
        """

    def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
        """The `top` most probable next tokens by id, with probabilities over all tokens.

        Raises:
            EngineError: as `stream`, or the engine has no probabilities.
        """

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        """The natural-log probability of each token of `continuation`, given all before.

        Raises:
            EngineError: as `stream`, or the engine cannot score.
        """

    def close(self) -> None:
        """Free the model's memory; the engine cannot be used afterwards."""


def open_engine(
    name: str,
    base: Base,
    adapter: Path | None = None,
    *,
    context: int = DEFAULT_CONTEXT,
    slots: int = 1,
    server: EngineServer | None = None,
    report: Reporter = silent,
) -> Engine:
    """Load `base`, with the LoRA of the folder `adapter`, in the engine `name`.

    "auto" is llama.cpp if it is installed and the base has a GGUF file, else transformers.
    "vllm" and "openai" load nothing: `server` runs the model. The context is `context`
    tokens, or the base's if shorter; up to `slots` calls run at once, as the engine allows.

    Raises:
        SettingsError: the engine needs a server, and none is set.
        EngineError: unknown engine, or it is not installed or cannot run this model.
        ModelError: the base or the adapter is missing or damaged.
    """
    engine = choose_engine(name, base)
    context = min(context, base.context)
    if engine in SERVER_ENGINES:
        if server is None or not server.url:
            raise SettingsError(
                f'engine = "{engine}" needs a server: set url = "http://…" under [engine]'
            )
        if engine == "vllm":
            from myna.engines.vllm import Vllm

            return Vllm(base, adapter, server, context, slots)
        from myna.engines.openai_engine import OpenAI

        return OpenAI(base, server, context, slots)
    if engine == "llama.cpp":
        from myna.engines.llamacpp import LlamaCpp

        return LlamaCpp(base, adapter, context, slots, report)
    from myna.engines.transformers_engine import Transformers

    if not base.weights:
        base = find_base(base.name, weights=True, report=report)
    return Transformers(base, adapter, context)


def choose_engine(name: str, base: Base) -> str:
    """The engine for `base`; `name` may be "auto".

    Raises:
        EngineError: unknown engine, or it is not installed or cannot run `base`.
    """
    if name in SERVER_ENGINES:
        return name
    if name not in ENGINES:
        raise EngineError(f"no engine called {name!r}: use {join_with_or(ENGINES)}")
    for_llamacpp = base.gguf is not None and _installed("xllamacpp")
    if name == "transformers" or (name == "auto" and not for_llamacpp):
        if not _installed("torch", "transformers"):
            raise EngineError(
                f"{base.name} needs the engine transformers, which is not installed: "
                "run `pip install 'myna[train]'`, then this again"
            )
        return "transformers"
    if base.gguf is None:
        raise EngineError(
            f"{base.folder} has no GGUF file, or several, and llama.cpp needs one: put one "
            'there, or use engine = "transformers"'
        )
    if not for_llamacpp:
        raise EngineError(
            "llama.cpp is not installed: run `pip install 'myna[serve]'`, then this again"
        )
    return "llama.cpp"


def check_prompt(prompt: Sequence[int], context: int, name: str) -> None:
    """Check that a prompt is not empty and leaves room for a token.

    Raises:
        EngineError: it is empty, or fills the context.
    """
    if not prompt:
        raise EngineError(f"{name} got an empty prompt: give at least one token")
    if len(prompt) >= context:
        raise EngineError(
            f"the prompt is {len(prompt)} tokens long, and {name} has room for {context} with "
            "the reply: shorten the prompt, or open the engine with a longer context"
        )


def _installed(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in modules)
