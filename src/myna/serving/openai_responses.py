"""What clients of the OpenAI-compatible API get, made of what was said.

The shapes are those of OpenAI's API reference: "The chat completion object", "The chat
completion chunk object", "The completion object".
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from myna.serving.openai_generate import Begun, Ended, Likely, Piece, Spoken

Body = dict[str, Any]


def model(id: str, made: int) -> Body:  # noqa: A002  # as OpenAI calls it
    """An entry of `/v1/models`; `made` is when it was, in seconds since 1970."""
    return {"id": id, "object": "model", "created": made, "owned_by": "myna"}


def usage(ended: Sequence[Ended]) -> Body:
    """Tokens that were used; a prompt counts once, however many answers it got."""
    prompt = max((end.prompt_tokens for end in ended), default=0)
    said = sum(end.tokens for end in ended)
    return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}


def chat_usage(said: Sequence[Spoken]) -> Body:
    """The `usage` of a chat."""
    return usage([item for item in said if isinstance(item, Ended)])


def completion_usage(said: Sequence[Spoken], each: int) -> Body:
    """The `usage` of completions: of each prompt there are `each` in a row."""
    ended = [item for item in said if isinstance(item, Ended)]
    parts = [usage(ended[at : at + each]) for at in range(0, len(ended), each)]
    return {
        name: sum(part[name] for part in parts)
        for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    }


@dataclass(frozen=True)
class Shape:
    """One answer's id, time and model, which all its pieces share."""

    model: str
    chat: bool
    logprobs: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    def _body(self, choices: list[Body], *, chunk: bool, used: Body | None) -> Body:
        kind = "text_completion"
        if self.chat:
            kind = "chat.completion.chunk" if chunk else "chat.completion"
        body: Body = {
            "id": ("chatcmpl-" if self.chat else "cmpl-") + self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
        if used is not None:
            body["usage"] = used
        return body

    def whole(self, said: Sequence[Spoken], used: Body) -> Body:
        """The answer in one piece."""
        choices = [self._choice(end) for end in said if isinstance(end, Ended)]
        return self._body(choices, chunk=False, used=used)

    def _choice(self, end: Ended) -> Body:
        choice: Body = {"index": end.index, "finish_reason": end.reason}
        if self.chat:
            choice["message"] = {
                "role": "assistant",
                "name": end.person,
                "content": end.text,
                "refusal": None,
            }
            choice["logprobs"] = _chat_logprobs(end.likely)
        else:
            choice["text"] = end.text
            choice["logprobs"] = _text_logprobs(end.likely)
        return choice

    def chunks(self, item: Spoken) -> list[Body]:
        """The pieces of a stream that say this.

        Log-probabilities are known when a text is complete; its text then comes with them.
        """
        if isinstance(item, Begun):
            return [self._delta(item.index, {"role": "assistant", "name": item.person,
                                             "content": ""})] if self.chat else []  # fmt: skip
        if isinstance(item, Piece):
            return [] if self.logprobs else [self._words(item.index, item.text, None)]
        words = [self._words(item.index, item.text, item.likely)] if self.logprobs else []
        return [*words, self._delta(item.index, {}, item.reason)]

    def _words(self, index: int, text: str, likely: list[Likely] | None) -> Body:
        return self._delta(index, {"content": text}, None, likely)

    def _delta(
        self,
        index: int,
        delta: Body,
        reason: str | None = None,
        likely: list[Likely] | None = None,
    ) -> Body:
        choice: Body = {"index": index, "finish_reason": reason}
        if self.chat:
            choice |= {"delta": delta, "logprobs": _chat_logprobs(likely)}
        else:
            choice |= {"text": delta.get("content", ""), "logprobs": _text_logprobs(likely)}
        return self._body([choice], chunk=True, used=None)

    def last(self, used: Body) -> Body:
        """The last piece of a stream, with what it used."""
        return self._body([], chunk=True, used=used)


def _chat_logprobs(likely: list[Likely] | None) -> Body | None:
    if likely is None:
        return None
    content = [
        {
            **_token(one.token, one.logprob),
            "top_logprobs": [_token(token, logprob) for token, logprob in one.top],
        }
        for one in likely
    ]
    return {"content": content, "refusal": None}


def _token(token: str, logprob: float) -> Body:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}


def _text_logprobs(likely: list[Likely] | None) -> Body | None:
    if likely is None:
        return None
    offsets, at = [], 0
    for one in likely:
        offsets.append(at)
        at += len(one.token)
    return {
        "tokens": [one.token for one in likely],
        "token_logprobs": [one.logprob for one in likely],
        "top_logprobs": [dict(one.top) for one in likely],
        "text_offset": offsets,
    }
