"""Names that users choose among, for settings, commands, help texts and errors.

Imports nothing slow, so that `myna --help` is instant.
"""

from __future__ import annotations

from typing import Literal, get_args

DEFAULT_ADAPTER = "group"
"""Name of the adapter for all personas, which commands use by default."""

EngineName = Literal["auto", "llama.cpp", "transformers", "vllm", "openai"]
"""Engines that run a model; "auto" is the first of the others that can."""

RenderingName = Literal["transcript", "chat", "names", "mind-upload"]
"""Renderings: ways to write a conversation as text."""

SplitName = Literal["train", "validation", "test"]

DatasetFormat = Literal[
    "sharegpt", "openai", "alpaca", "chatml", "segments", "input-output", "parquet"
]
"""Data set formats of `myna export`, for other trainers."""

CloneFormat = Literal["gguf", "ollama", "merged", "textgen", "card"]
"""Clone formats of `myna export`, for programs that run a clone."""

ENGINES: tuple[EngineName, ...] = get_args(EngineName)
RENDERINGS: tuple[RenderingName, ...] = get_args(RenderingName)
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
DATASET_FORMATS: tuple[DatasetFormat, ...] = get_args(DatasetFormat)
CLONE_FORMATS: tuple[CloneFormat, ...] = get_args(CloneFormat)


def join_with_or(names: tuple[str, ...]) -> str:
    """Join names for a message: "a, b or c"."""
    *all_but_last, last = names
    return f"{', '.join(all_but_last)} or {last}" if all_but_last else last
