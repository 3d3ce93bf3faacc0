"""Names that users choose among, each list once: for settings, commands, help and errors.

Imports nothing that is slow to load, so that `myna --help` is instant.
"""

from __future__ import annotations

from typing import Literal, get_args

DEFAULT_ADAPTER = "group"
"""The adapter that commands mean unless told otherwise: one for everyone."""

EngineName = Literal["auto", "llama.cpp", "transformers", "vllm", "openai"]
"""What runs a model; "auto" takes the first of the others that can."""

RenderingName = Literal["transcript", "chat", "names", "mind-upload"]
"""The texts that conversations can become."""

SplitName = Literal["train", "validation", "test"]

DatasetFormat = Literal[
    "sharegpt", "openai", "alpaca", "chatml", "segments", "input-output", "parquet"
]
"""Formats of `myna export` for other trainers."""

CloneFormat = Literal["gguf", "ollama", "merged", "textgen", "card"]
"""Formats of `myna export` for programs that run a clone."""

ENGINES: tuple[EngineName, ...] = get_args(EngineName)
RENDERINGS: tuple[RenderingName, ...] = get_args(RenderingName)
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
DATASET_FORMATS: tuple[DatasetFormat, ...] = get_args(DatasetFormat)
CLONE_FORMATS: tuple[CloneFormat, ...] = get_args(CloneFormat)


def listed(names: tuple[str, ...]) -> str:
    """Names for people: "a, b or c"."""
    *all_but_last, last = names
    return f"{', '.join(all_but_last)} or {last}" if all_but_last else last
