"""What runs a model: one interface, and the engines behind it.

An engine takes token ids, never text to tokenise again, and says in `can` what it is
able to do:

    stream        continue a prompt, piece by piece
    next_probs    how probable each next token is
    score         how probable a given continuation is
"""

from __future__ import annotations

import importlib.util
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Protocol

from myna.choices import ENGINES, listed
from myna.config import EngineServer, Sampling
from myna.errors import EngineError, SettingsError
from myna.models.bases import Base, find
from myna.models.fetch import Say, silent

__all__ = [
    "DEFAULT_CONTEXT",
    "SERVERS",
    "Engine",
    "Sampling",
    "check_prompt",
    "choose",
    "open_engine",
]

DEFAULT_CONTEXT = 8192
"""The most tokens that an engine makes room for unless told: room costs memory."""

SERVERS = ("vllm", "openai")
"""Engines that are another program's, asked over HTTP."""


class Engine(Protocol):
    """A loaded model, base or base with adapter.

    Any number of threads may call it, and each call has an answer of its own; `slots` of
    them run at once, the others wait. Close each stream that is not read to its end.
    """

    name: str
    can: frozenset[str]
    slots: int
    """How many calls run at once; `myna.engines.queueing` shares them out fairly."""
    context: int
    """The most tokens of prompt and reply together."""

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[str, None, str]:
        """Continue `prompt`, yielding text as it comes.

        A piece is whole characters, control tokens left out; it may be empty, while a
        long prompt is being read, for a chance to stop. The generator returns "stop"
        when the model ended its text, and "length" when `sampling.max_tokens` or the context
        did. Closing it stops the generation.

        Raises:
            EngineError: `prompt` is empty or does not fit, or the engine failed.
        """

    def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
        """The `top` most probable next tokens and their probabilities, of all tokens'.

        Raises:
            EngineError: as `stream`, or the engine cannot.
        """

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        """The natural-log probability of each token of `continuation`, given all before.

        Raises:
            EngineError: as `stream`, or the engine cannot.
        """

    def close(self) -> None:
        """Free the model's memory; the engine is of no use afterwards."""


def open_engine(
    name: str,
    base: Base,
    adapter: Path | None = None,
    *,
    context: int = DEFAULT_CONTEXT,
    slots: int = 1,
    server: EngineServer | None = None,
    say: Say = silent,
) -> Engine:
    """Load `base`, with the LoRA of the folder `adapter` on it, in the engine `name`.

    "auto" takes llama.cpp where it is installed and the base has a GGUF file, else
    transformers. "vllm" and "openai" load nothing: `server` runs the model. The context
    is `context` tokens, or the base's if that has fewer; `slots` calls run at once, each
    with a context of its own, where the engine can.

    Raises:
        SettingsError: the engine is a server's, and none is named.
        EngineError: there is no such engine, it is not installed or cannot run this.
        ModelError: the base or the adapter is missing or damaged.
    """
    chosen = choose(name, base)
    context = min(context, base.context)
    if chosen in SERVERS:
        if server is None or not server.url:
            raise SettingsError(
                f'engine = "{chosen}" needs a server: set url = "http://…" under [engine]'
            )
        if chosen == "vllm":
            from myna.engines.vllm import Vllm

            return Vllm(base, adapter, server, context, slots)
        from myna.engines.openai_engine import OpenAI

        return OpenAI(base, server, context, slots)
    if chosen == "llama.cpp":
        from myna.engines.llamacpp import LlamaCpp

        return LlamaCpp(base, adapter, context, slots, say)
    from myna.engines.transformers_engine import Transformers

    if not base.weights:
        base = find(base.name, weights=True, say=say)
    return Transformers(base, adapter, context)


def choose(name: str, base: Base) -> str:
    """Which engine `name`, which may be "auto", means for `base`.

    Raises:
        EngineError: there is no such engine, or it is not installed or cannot run `base`.
    """
    if name in SERVERS:
        return name
    if name not in ENGINES:
        raise EngineError(f"no engine called {name!r}: use {listed(ENGINES)}")
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
    """Refuse a prompt that an engine cannot continue by even one token.

    Raises:
        EngineError: `prompt` is empty, or fills the context.
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
