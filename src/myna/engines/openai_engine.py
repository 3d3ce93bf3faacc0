"""Any server with an OpenAI-compatible API as an engine.

llama.cpp's server, vLLM, Ollama, LM Studio, KoboldCpp, text-generation-webui and others:
`/v1/completions`, streamed. What a server can beyond that is found out by asking it when
the engine is opened: whether it takes token ids (else it gets text), the settings of
sampling that OpenAI's own API lacks, and how many probabilities it gives.

API: https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Sequence
from typing import Any

from myna.config import EngineServer
from myna.engines.client import Client, RefusedError
from myna.engines.engine import Sampling, check_prompt
from myna.errors import EngineError
from myna.models.bases import Base
from myna.rendering.tokenizer import Tokenizer

COMPLETIONS = "/v1/completions"
_PROBE = "Apollo 11, this is Houston. How do you read?"
_LOGPROBS = (1000, 100, 20, 5)
"""How many probabilities to ask for: what llama.cpp, vLLM (as started) and OpenAI allow."""
_LONGEST_TOKEN = 256
"""Characters: a reply that is longer than so many for each of its tokens is none."""


class OpenAI:
    """A model behind an OpenAI-compatible API; the server has the adapter on it.

    Raises:
        EngineError: it cannot be reached, refuses the key, or has no such model.
    """

    name = "openai"

    def __init__(
        self, base: Base, server: EngineServer, context: int, slots: int, model: str | None = None
    ) -> None:
        """`model` is what the server calls the model; None: find out from `server`."""
        self.slots = slots
        self._client = Client(server.url, server.timeout)
        self._tokenizer = Tokenizer(base.folder)
        self._text = PlainText(self._tokenizer)
        served = models(self._client)
        self._model = chosen_model(server, served) if model is None else model
        longest = served.get(self._model, {}).get("max_model_len")  # vLLM says it
        self.context = min(context, longest) if isinstance(longest, int) else context
        self._takes_ids = self._tries_ids()
        self._extras = self._tries({**_extras(Sampling()), "temperature": 1.0})
        self._probs = next((n for n in _LOGPROBS if self._tries_probs(n)), 0)
        self.can = frozenset({"stream", "next_probs"} if self._probs else {"stream"})

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[str, None, str]:
        """See `myna.engines.engine.Engine.stream`."""
        check_prompt(prompt, self.context, self.name)
        limit = min(sampling.max_tokens, self.context - len(prompt))
        if limit < 1:
            return "length"
        body = {
            **self._request(prompt, limit),
            "stream": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            **(_extras(sampling) if self._extras else {}),
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed % 2**31
        room = limit * _LONGEST_TOKEN
        events = self._client.events(COMPLETIONS, body)
        ended = None
        try:
            for event in events:
                self._check(event)
                choice = _choice(event)
                text = choice.get("text") or ""
                ended = choice.get("finish_reason")
                if ended:
                    text = text.rstrip("\ufffd")  # half a character, cut off by the limit
                room -= len(text)
                if room < 0:
                    raise EngineError(f"{self._client.url} sends more than it was asked for")
                if text:
                    yield text
                if ended:
                    return "length" if ended == "length" else "stop"
        finally:
            events.close()
        raise self._client.broken()

    def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
        """See `myna.engines.engine.Engine.next_probs`; of some servers it is but the best five."""
        check_prompt(prompt, self.context, self.name)
        if not self._probs:
            raise EngineError(
                f'{self._client.url} gives no probabilities: use engine = "transformers"'
            )
        found = self._ask_probs(self._request(prompt, 1), min(top, self._probs))
        if not found:
            raise EngineError(f"{self._client.url} has left out the probabilities: try again")
        return found

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        """Not here: raises EngineError."""
        raise EngineError('a server cannot score a given continuation: use engine = "transformers"')

    def close(self) -> None:
        """See `myna.engines.engine.Engine.close`: nothing of it is here."""

    def _request(self, prompt: Sequence[int], limit: int) -> dict[str, Any]:
        given = list(prompt) if self._takes_ids else self._text.of(prompt)
        return {"model": self._model, "prompt": given, "max_tokens": limit}

    def _check(self, answer: Any) -> None:
        if not isinstance(answer, dict):
            raise self._client.broken()
        if "error" in answer:
            error = answer["error"]
            why = error.get("message", error) if isinstance(error, dict) else error
            line = "".join(c if c.isprintable() else " " for c in str(why))[:200]
            raise EngineError(f"{self._client.url} broke off: {line}")

    def _tries_ids(self) -> bool:
        """Whether the server takes token ids: it counts as many as it was sent."""
        ids = [*self._tokenizer.bos, *self._tokenizer.encode(_PROBE).ids]
        body = {"model": self._model, "prompt": ids, "max_tokens": 1}
        try:
            answer = self._client.ask("POST", COMPLETIONS, body)
        except RefusedError:
            # It is a request like this that must do, so this tells what is wrong.
            self._client.ask("POST", COMPLETIONS, {**body, "prompt": _PROBE})
            return False
        usage = answer.get("usage") if isinstance(answer, dict) else None
        counted = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        return counted in (len(ids), len(ids) + 1)  # some put a begin token before it

    def _tries(self, more: dict[str, Any]) -> bool:
        try:
            ids = self._tokenizer.encode(_PROBE).ids
            self._client.ask("POST", COMPLETIONS, {**self._request(ids, 1), **more})
        except RefusedError:
            return False
        return True

    def _tries_probs(self, count: int) -> bool:
        try:
            ids = self._tokenizer.encode(_PROBE).ids
            return bool(self._ask_probs(self._request(ids, 1), count))
        except RefusedError:
            return False

    def _ask_probs(self, body: dict[str, Any], count: int) -> dict[int, float]:
        """The probabilities in an answer, by token id; none where there are none."""
        whole = {"temperature": 1.0, "top_p": 1.0, "logprobs": count}
        more = {**_extras(Sampling(min_p=0)), **_AS_IDS} if self._extras else {}
        answer = self._client.ask("POST", COMPLETIONS, {**body, **more, **whole})
        self._check(answer)
        found: dict[int, float] = {}
        for token, logprob in _top(_choice(answer).get("logprobs")):
            number = token if isinstance(token, int) else self._number(token)
            if number is not None:
                found[number] = found.get(number, 0.0) + math.exp(logprob)
        best = sorted(found.items(), key=lambda entry: entry[1], reverse=True)
        return dict(best[:count])

    def _number(self, token: str) -> int | None:
        """The id of a token that a server names by its text, where it is but one."""
        kind, _, number = token.partition("token_id:")  # vLLM
        if not kind and number.isdecimal():
            return int(number)
        ids = self._tokenizer.encode(token).ids
        is_half = "\ufffd" in token  # of a character: many tokens are written so
        return ids[0] if len(ids) == 1 and not is_half else None


_AS_IDS = {"return_tokens_as_token_ids": True}
"""vLLM then names tokens by their ids."""


def _extras(sampling: Sampling) -> dict[str, Any]:
    """What OpenAI's own API does not know, under the names that servers have for it."""
    return {
        "top_k": sampling.top_k or -1,  # all, for every server
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "repetition_penalty": sampling.repeat_penalty,
    }


def _choice(answer: Any) -> dict[str, Any]:
    choices = answer.get("choices") if isinstance(answer, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else {}
    return first if isinstance(first, dict) else {}


def _top(logprobs: Any) -> list[tuple[int | str, float]]:
    """The (id or text, log-probability) pairs of the first token, in either form.

    OpenAI's for completions is `top_logprobs`: [{text: logprob}]; llama.cpp's is that
    for chats, `content`: [{top_logprobs: [{id, token, logprob}]}].
    """
    if not isinstance(logprobs, dict):
        return []
    try:
        if "content" in logprobs:
            entries = logprobs["content"][0]["top_logprobs"]
            return [(entry.get("id", entry.get("token")), entry["logprob"]) for entry in entries]
        return list(logprobs["top_logprobs"][0].items())
    except (LookupError, TypeError, AttributeError):
        return []


def models(client: Client) -> dict[str, dict[str, Any]]:
    """What a server says of each of its models; nothing where it does not list them.

    Raises:
        EngineError: it cannot be reached, or refuses the key.
    """
    try:
        answer = client.ask("GET", "/v1/models")
    except RefusedError:
        return {}
    listed = answer.get("data") if isinstance(answer, dict) else None
    entries = listed if isinstance(listed, list) else []
    return {str(one["id"]): one for one in entries if isinstance(one, dict) and "id" in one}


def chosen_model(server: EngineServer, served: dict[str, dict[str, Any]]) -> str:
    """What the server calls the model of the settings, or its only one.

    Raises:
        EngineError: it does not have that, or has several and none is named.
    """
    names = ", ".join(list(served)[:10])
    if not server.model:
        if len(served) == 1:
            return next(iter(served))
        raise EngineError(
            f"{server.url} has several models: name one as model in [engine] ({names})"
            if served
            else f"{server.url} does not say what models it has: name one as model in [engine]"
        )
    for name in (server.model, f"{server.model}:latest"):  # Ollama's names end so
        if name in served or not served:
            return name
    raise EngineError(f"{server.url} has no model {server.model!r}, only {names}: see [engine]")


GAP = "\u200b"
"""Zero-width space: behind its first sign, it makes a typed control token mere text."""


class PlainText:
    """Writes prompts of one tokenizer as text.

    Who reads text finds control tokens in it, so those that stand in a chat as words
    get a gap, and those that steer the model do not. What the server puts before any
    text by itself is left out.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        names = [tokenizer.decode([number]) for number in tokenizer.control]
        self._names = dict(zip(tokenizer.control, names, strict=True))
        longest_first = sorted(filter(None, names), key=len, reverse=True)
        self._typed = re.compile(f"(?=(?:{'|'.join(map(re.escape, longest_first))}))")
        self._any = bool(longest_first)

    def of(self, prompt: Sequence[int]) -> str:
        """The text of `prompt`."""
        bos = self._tokenizer.bos
        ids = list(prompt)
        if bos and tuple(ids[: len(bos)]) == bos:
            ids = ids[len(bos) :]
        text, words = "", list[int]()
        for number in ids:
            if number in self._names:
                text += self._words(words) + self._names[number]
                words = []
            else:
                words.append(number)
        return text + self._words(words)

    def _words(self, ids: list[int]) -> str:
        text = self._tokenizer.decode(ids) if ids else ""
        if not self._any:
            return text
        starts = {match.start() for match in self._typed.finditer(text)}
        if not starts:
            return text
        return "".join(sign + GAP if at in starts else sign for at, sign in enumerate(text))
