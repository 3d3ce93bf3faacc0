"""Responses of the OpenAI-compatible API, built from the events of choices.

The shapes are those of OpenAI's API reference: "The chat completion object", "The chat
completion chunk object", "The completion object".
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from myna import people
from myna.serving.openai_generate import (
    ChoiceDelta,
    ChoiceEnd,
    ChoiceEvent,
    ChoiceStart,
    TokenLogprob,
)

JsonObject = dict[str, Any]


def model_object(model_id: str, created: int, persona: str | None) -> JsonObject:
    """An entry of `/v1/models`; `created` is in seconds since 1970.

    Fields beyond OpenAI's say that it is a clone: clients show `name` and `description`.
    """
    return {
        "id": model_id,
        "object": "model",
        "created": created,
        "owned_by": "myna",
        "name": model_id,
        "description": people.clone_notice([persona] if persona else ["several people"]),
        "is_clone": True,
    }


def usage(events: Sequence[ChoiceEvent], choices_per_prompt: int | None = None) -> JsonObject:
    """Token counts of a response; a prompt counts once, however many choices it has.

    Prompts have `choices_per_prompt` choices in a row; None: there is one prompt.
    """
    ends = [event for event in events if isinstance(event, ChoiceEnd)]
    step = choices_per_prompt or max(len(ends), 1)
    groups = [ends[i : i + step] for i in range(0, len(ends), step)]
    prompt = sum(max(end.prompt_tokens for end in group) for group in groups)
    completion = sum(end.completion_tokens for end in ends)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


@dataclass(frozen=True)
class ResponseBuilder:
    """Builder of one response: its id, time and model are the same in all chunks."""

    model: str
    chat: bool
    logprobs: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    def _body(
        self, choices: list[JsonObject], *, chunk: bool, usage: JsonObject | None = None
    ) -> JsonObject:
        kind = "text_completion"
        if self.chat:
            kind = "chat.completion.chunk" if chunk else "chat.completion"
        body: JsonObject = {
            "id": ("chatcmpl-" if self.chat else "cmpl-") + self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
        return body if usage is None else body | {"usage": usage}

    def completion(self, events: Sequence[ChoiceEvent], usage: JsonObject) -> JsonObject:
        """The whole response, not streamed."""
        choices = [self._choice(event) for event in events if isinstance(event, ChoiceEnd)]
        return self._body(choices, chunk=False, usage=usage)

    def _choice(self, end: ChoiceEnd) -> JsonObject:
        choice: JsonObject = {"index": end.index, "finish_reason": end.finish_reason}
        if not self.chat:
            return choice | {"text": end.text, "logprobs": _text_logprobs(end.logprobs)}
        message = {"role": "assistant", "name": end.person, "content": end.text, "refusal": None}
        return choice | {"message": message, "logprobs": _chat_logprobs(end.logprobs)}

    def chunks(self, event: ChoiceEvent) -> list[JsonObject]:
        """The chunks of a streamed response that an event becomes.

        Log-probabilities are known when a choice is complete: its text is then one chunk.
        """
        i = event.index
        if isinstance(event, ChoiceStart):
            delta = {"role": "assistant", "name": event.person, "content": ""}
            return [self._chunk(i, delta)] if self.chat else []
        if isinstance(event, ChoiceDelta):
            return [] if self.logprobs else [self._chunk(i, {"content": event.text})]
        last = self._chunk(i, {}, event.finish_reason)
        text = self._chunk(i, {"content": event.text}, None, event.logprobs)
        return [text, last] if self.logprobs else [last]

    def _chunk(
        self,
        index: int,
        delta: JsonObject,
        finish_reason: str | None = None,
        logprobs: list[TokenLogprob] | None = None,
    ) -> JsonObject:
        choice: JsonObject = {"index": index, "finish_reason": finish_reason}
        if self.chat:
            choice |= {"delta": delta, "logprobs": _chat_logprobs(logprobs)}
        else:
            choice |= {"text": delta.get("content", ""), "logprobs": _text_logprobs(logprobs)}
        return self._body([choice], chunk=True)

    def usage_chunk(self, usage: JsonObject) -> JsonObject:
        """The last chunk of a streamed response, with its token counts."""
        return self._body([], chunk=True, usage=usage)


def _chat_logprobs(logprobs: list[TokenLogprob] | None) -> JsonObject | None:
    if logprobs is None:
        return None
    content = [
        {
            **_token(each.token, each.logprob),
            "top_logprobs": [_token(token, logprob) for token, logprob in each.top_logprobs],
        }
        for each in logprobs
    ]
    return {"content": content, "refusal": None}


def _token(token: str, logprob: float) -> JsonObject:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}


def _text_logprobs(logprobs: list[TokenLogprob] | None) -> JsonObject | None:
    if logprobs is None:
        return None
    tokens = [each.token for each in logprobs]
    return {
        "tokens": tokens,
        "token_logprobs": [each.logprob for each in logprobs],
        "top_logprobs": [dict(each.top_logprobs) for each in logprobs],
        "text_offset": list(accumulate(map(len, tokens), initial=0))[:-1],
    }
