"""Prompt formats for the tests, by what matters in them."""

from __future__ import annotations

from myna import config
from myna.artifacts import PromptFormat
from myna.cleaning.rules import resolved
from myna.samples.markup import TRANSCRIPT, Markup

NOT_REDACTED = config.Redaction(style="off")


def prompt_format(
    system: str = config.Samples().system_lines[0],
    *,
    max_tokens: int = 512,
    rules: config.Rules | None = None,
    redaction: config.Redaction | None = None,
    markup: Markup = TRANSCRIPT,
) -> PromptFormat:
    """The format of samples with this system line, redacted and cleaned as by default."""
    samples = config.Samples(system=system, max_tokens=max_tokens)
    rules = resolved(rules or config.Rules())
    return PromptFormat(samples, rules, redaction or config.Redaction(), markup)
