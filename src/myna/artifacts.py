"""Typed metadata of what stages leave in a workspace: prepared samples and trained adapters."""

from __future__ import annotations

from dataclasses import dataclass

from myna.config import Redaction, Rules, Samples
from myna.samples.markup import TRANSCRIPT, Markup


@dataclass(frozen=True)
class PromptFormat:
    """Everything that decides how messages become prompt tokens, besides the tokenizer.

    Samples are made with it, adapters keep it, and every prompt at chat time is made with it.
    """

    samples: Samples
    rules: Rules
    """With the preset and the defaults of the version that made the samples filled in."""
    redaction: Redaction
    markup: Markup = TRANSCRIPT
