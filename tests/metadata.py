"""Metadata of samples and adapters that no stage made."""

from __future__ import annotations

from typing import Any

from myna.artifacts import AdapterInfo, PreparedInfo, PromptFormat, TrainingPlan, TrainingResult
from myna.config import Redaction, Rules, Samples
from myna.config.clones import SYSTEM
from myna.config.rules import resolve_preset
from myna.rendering.spec import TRANSCRIPT, RenderingSpec

NOT_REDACTED = Redaction(style="off")


def prompt_format(
    system: str = SYSTEM,
    *,
    rules: Rules | None = None,
    redaction: Redaction | None = None,
    spec: RenderingSpec = TRANSCRIPT,
    **samples: Any,
) -> PromptFormat:
    """A format with this system line and these settings of samples, and otherwise the defaults."""
    return PromptFormat(
        Samples(system=system, **samples),
        resolve_preset(rules or Rules()),
        redaction or Redaction(),
        spec,
    )


def prepared_info(**given: Any) -> PreparedInfo:
    """Metadata of samples, with some of it given."""
    plain: dict[str, Any] = {
        "tokenizer_fingerprint": "t",
        "samples_fingerprint": "x",
        "format": prompt_format(),
        "personas": ["Ana"],
        "channels": [],
        "messages": 1,
        "conversations": 1,
        "samples": {"train": 1},
        "tokens": 20,
        "trained_tokens": 10,
    }
    return PreparedInfo(**plain | given)


def adapter_info(**given: Any) -> AdapterInfo:
    """Metadata of an adapter, with some of it given."""
    plain: dict[str, Any] = {
        "base": "smollm2-135m",
        "base_fingerprint": "b",
        "format": prompt_format(),
        "people": {},
        "channels": [],
        "training": TrainingResult(TrainingPlan(10, 5000, 1.0, "1 epochs", 200.0), 2.5),
    }
    return AdapterInfo(**plain | given)
