"""Choosing and opening the engine that runs a model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from myna.choices import ENGINES, join_with_or
from myna.config import EngineServer
from myna.engines.engine import Engine
from myna.errors import EngineError, SettingsError
from myna.models.bases import Base, find_base
from myna.models.fetch import Reporter, silent

DEFAULT_CONTEXT = 8192
"""Default limit of the context in tokens: it costs memory."""

SERVER_ENGINES = ("vllm", "openai")
"""Engines that are another program, reached over HTTP."""


def open_engine(
    name: str,
    base: Base,
    adapter: Path | None = None,
    *,
    context: int = DEFAULT_CONTEXT,
    slots: int = 1,
    adapter_scale: float = 1.0,
    server: EngineServer | None = None,
    report: Reporter = silent,
) -> Engine:
    """Load `base`, with the LoRA of the folder `adapter`, in the engine `name`.

    "auto" is llama.cpp if it is installed and the base has a GGUF file, else transformers.
    "vllm" and "openai" load nothing: `server` runs the model. The context is `context`
    tokens, or the base's if shorter; up to `slots` calls run at once, as the engine allows.
    The adapter's change of the weights is multiplied by `adapter_scale`.

    Raises:
        SettingsError: the engine needs a server, and none is set; or it runs an adapter as it
            is, and the scale is not 1.
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
        if adapter_scale != 1:
            raise SettingsError(
                f'engine = "{engine}" runs the adapter as its server has it: set adapter_scale = 1 '
                "under [chat], and bring the scaled one there with `myna export`"
            )
        if engine == "vllm":
            from myna.engines.vllm import Vllm

            return Vllm(base, adapter, server, context, slots)
        from myna.engines.openai_engine import OpenAI

        return OpenAI(base, server, context, slots)
    if engine == "llama.cpp":
        from myna.engines.llamacpp import LlamaCpp

        return LlamaCpp(base, adapter, context, slots, report, adapter_scale)
    from myna.engines.transformers_engine import Transformers

    if not base.weights:
        base = find_base(base.name, weights=True, report=report)
    return Transformers(base, adapter, context, scale=adapter_scale)


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


def _installed(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in modules)
