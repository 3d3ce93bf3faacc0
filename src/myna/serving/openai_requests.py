"""Request bodies of the OpenAI-compatible API.

Fields are those of OpenAI's API reference ("Chat", "Completions (legacy)"), and of other local
servers: top_k, min_p, repetition_penalty (in some of them repeat_penalty) and those of DRY,
whose window is llama.cpp's dry_penalty_last_n.
Unknown fields are ignored, as clients send many.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from myna.config.fields import (
    DryAllowedLength,
    DryBase,
    DryMultiplier,
    DryWindow,
    MaxTokens,
    MinP,
    RepetitionPenalty,
    Temperature,
    TokenPenalty,
    TopP,
)

MAX_CHOICES = 8
MAX_STOP_STRINGS = 32
MAX_STOP_CHARS = 500
MAX_NAME_CHARS = 1000
"""Longest name or model id in a request; names in a prompt are far shorter."""
MAX_MESSAGES = 20_000
_SURROGATES = re.compile("[\ud800-\udfff]")

_StopString = Annotated[str, Field(max_length=MAX_STOP_CHARS)]
_StopStrings = Annotated[list[_StopString], Field(max_length=MAX_STOP_STRINGS)]
_Name = Annotated[str, Field(max_length=MAX_NAME_CHARS)]

_OVERRIDES = (
    "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty",
    "frequency_penalty", "dry_multiplier", "dry_base", "dry_allowed_length", "dry_window",
)  # fmt: skip


class RequestBody(BaseModel):
    """A JSON object of a request, with strict types."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, frozen=True)


class StreamOptions(RequestBody):
    """Options of a streamed response."""

    include_usage: bool | None = None


class ContentPart(RequestBody):
    """One part of a message's content: a text, or an attachment such as an image."""

    type: str
    text: str | None = None


class ChatMessage(RequestBody):
    """A message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    name: _Name | None = None

    @property
    def author(self) -> str | None:
        """The author named; some clients send names in other scripts as `____`: None."""
        return self.name if self.name and self.name.strip("_- ") else None

    @property
    def text(self) -> str:
        """The whole text; attachments become `[image]`, `[voice]` or `[file]`, as in training."""
        if isinstance(self.content, list):
            words = (_part_text(part) for part in self.content)
            return without_surrogates("\n".join(word for word in words if word))
        return without_surrogates(self.content or "")


def without_surrogates(text: str) -> str:
    """The text without lone surrogates, which JSON can hold and UTF-8 cannot."""
    return _SURROGATES.sub("\ufffd", text)


def _part_text(part: ContentPart) -> str:
    if part.text is not None:
        return part.text
    kind = {"image_url": "image", "input_audio": "voice", "file": "file"}.get(part.type)
    return f"[{kind}]" if kind else ""


NOT_SENT: dict[str, tuple[int, ...]] = {
    "max_tokens": (-1, 0),
    "max_completion_tokens": (-1, 0),
    "n": (0,),
    "repeat_penalty": (0,),
    "repetition_penalty": (0,),
}
"""Values that mean "not set" to other local servers, by field."""


class SamplingRequest(RequestBody):
    """Fields of both chat and text completions."""

    @model_validator(mode="before")
    @classmethod
    def _drop_unset(cls, data: Any) -> Any:
        """Drop the fields in `NOT_SENT`."""
        if not isinstance(data, dict):
            return data
        return {
            name: value
            for name, value in data.items()
            if isinstance(value, bool)
            or not isinstance(value, int | float)
            or value not in NOT_SENT.get(name, ())
        }

    model: _Name
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    stop: _StopString | _StopStrings | None = None
    seed: int | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: int | None = Field(None, ge=-1)
    min_p: MinP | None = None
    repetition_penalty: RepetitionPenalty | None = Field(
        None, validation_alias=AliasChoices("repetition_penalty", "repeat_penalty")
    )
    presence_penalty: TokenPenalty | None = None
    frequency_penalty: TokenPenalty | None = None
    dry_multiplier: DryMultiplier | None = None
    dry_base: DryBase | None = None
    dry_allowed_length: DryAllowedLength | None = None
    dry_window: DryWindow | None = Field(
        None, validation_alias=AliasChoices("dry_window", "dry_penalty_last_n")
    )
    max_tokens: MaxTokens | None = None

    @property
    def stop_strings(self) -> list[str]:
        """The stop strings."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())

    @property
    def sampling_overrides(self) -> dict[str, Any]:
        """The settings of `Sampling` in the request, except `max_new_tokens`."""
        sent = {name: getattr(self, name) for name in _OVERRIDES}
        if self.top_k is not None:
            sent["top_k"] = max(0, self.top_k)  # -1 is "all" elsewhere
        return {name: value for name, value in sent.items() if value is not None}

    @property
    def includes_usage(self) -> bool:
        """True if a streamed response ends with its token counts."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(SamplingRequest):
    """A request to `/v1/chat/completions`."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_completion_tokens: MaxTokens | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)

    @property
    def token_limit(self) -> int | None:
        """The client's limit of tokens for a reply."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def num_top_logprobs(self) -> int | None:
        """Number of alternatives for each token; None: no log-probabilities."""
        return (self.top_logprobs or 0) if self.logprobs else None


class CompletionRequest(SamplingRequest):
    """A request to `/v1/completions`: `prompt` is continued as it stands."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=MAX_CHOICES)]
    echo: bool | None = None
    logprobs: int | None = Field(None, ge=0, le=20)
    suffix: str | None = None
    best_of: int | None = None

    @model_validator(mode="after")
    def _check_supported(self) -> CompletionRequest:
        if self.suffix:
            raise ValueError("suffix: inserting text is not supported: leave it out")
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise ValueError("best_of: it must be the same as n")
        if len(self.prompts) * (self.n or 1) > MAX_CHOICES:
            raise ValueError(f"prompt times n: ask for at most {MAX_CHOICES} texts at once")
        return self

    @property
    def num_top_logprobs(self) -> int | None:
        """Number of alternatives for each token; None: no log-probabilities."""
        return self.logprobs

    @property
    def prompts(self) -> list[str]:
        """The prompts, one or several."""
        prompts = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        return [without_surrogates(prompt) for prompt in prompts]
