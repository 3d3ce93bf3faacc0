"""What clients of the OpenAI-compatible API send.

Fields are those of OpenAI's API reference ("Chat", "Completions (legacy)"), and three that
other local servers have as well: top_k, min_p, and repetition_penalty, which some of them call
repeat_penalty. Fields that nobody here knows are left alone, as clients send many.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from myna.config.fields import MaxTokens, MinP, RepetitionPenalty, Temperature, TopP

MOST_CHOICES = 8
MOST_STOPS = 32
LONGEST_STOP = 500
LONGEST_NAME = 1000
"""Characters of a name or model id as sent; what a prompt shows is far shorter."""
MOST_MESSAGES = 20_000
_HALVES = re.compile("[\ud800-\udfff]")

_Stop = Annotated[str, Field(max_length=LONGEST_STOP)]
_Name = Annotated[str, Field(max_length=LONGEST_NAME)]


class _Sent(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, frozen=True)


class StreamOptions(_Sent):
    """How a stream is sent."""

    include_usage: bool | None = None


class Part(_Sent):
    """A part of a message's content: text, or something that is shown as `[image]`."""

    type: str
    text: str | None = None


class ChatMessage(_Sent):
    """A message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: _Name | None = None

    @property
    def who(self) -> str | None:
        """Who is said to have said it; names in other scripts come as `____` from some clients."""
        return self.name if self.name and self.name.strip("_- ") else None

    @property
    def text(self) -> str:
        """What was said; an image or a file is a short token, as in training."""
        if isinstance(self.content, list):
            words = (_part(part) for part in self.content)
            return whole("\n".join(word for word in words if word))
        return whole(self.content or "")


def whole(text: str) -> str:
    """A text without halves of surrogate pairs, which JSON can hold and UTF-8 cannot."""
    return _HALVES.sub("\ufffd", text)


def _part(part: Part) -> str:
    if part.text is not None:
        return part.text
    kind = {"image_url": "image", "input_audio": "voice", "file": "file"}.get(part.type)
    return f"[{kind}]" if kind else ""


class Sampled(_Sent):
    """What both kinds of request have."""

    model: _Name
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    stop: _Stop | Annotated[list[_Stop], Field(max_length=MOST_STOPS)] | None = None
    seed: int | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: int | None = Field(None, ge=-1)
    min_p: MinP | None = None
    repetition_penalty: RepetitionPenalty | None = Field(
        None, validation_alias=AliasChoices("repetition_penalty", "repeat_penalty")
    )
    max_tokens: MaxTokens | None = None

    @property
    def stops(self) -> list[str]:
        """The stop strings."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())

    @property
    def sampling(self) -> dict[str, Any]:
        """The settings of `Sampling` that were sent, but for `max_new_tokens`."""
        names = "temperature", "top_p", "top_k", "min_p", "repetition_penalty"
        sent = {name: getattr(self, name) for name in names}
        if self.top_k is not None:
            sent["top_k"] = max(0, self.top_k)  # -1 is "all" elsewhere
        return {name: value for name, value in sent.items() if value is not None}

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with what it used."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(Sampled):
    """A request to `/v1/chat/completions`."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=MOST_MESSAGES)
    max_completion_tokens: MaxTokens | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)

    @property
    def limit(self) -> int | None:
        """The most tokens that the client wants."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def alternatives(self) -> int | None:
        """How many alternatives of each token are wanted; None: no log-probabilities."""
        return (self.top_logprobs or 0) if self.logprobs else None


class CompletionRequest(Sampled):
    """A request to `/v1/completions`: `prompt` is continued as it stands."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=MOST_CHOICES)]
    echo: bool | None = None
    logprobs: int | None = Field(None, ge=0, le=20)
    suffix: str | None = None
    best_of: int | None = None

    @model_validator(mode="after")
    def _possible(self) -> CompletionRequest:
        if self.suffix:
            raise ValueError("suffix: nothing can be filled in between here")
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise ValueError("best_of: only what n is")
        if len(self.prompts) * (self.n or 1) > MOST_CHOICES:
            raise ValueError(f"prompt times n: at most {MOST_CHOICES} texts at once")
        return self

    @property
    def prompts(self) -> list[str]:
        """The prompts."""
        return list(map(whole, [self.prompt] if isinstance(self.prompt, str) else self.prompt))
