"""A server with an OpenAI-compatible API as an engine.

llama.cpp's server, vLLM, Ollama, LM Studio, KoboldCpp, text-generation-webui and others:
`/v1/completions`, streamed. Opening the engine probes the server for more: prompts of token
ids (else it gets text), sampling settings beyond OpenAI's, and log-probabilities.

API: https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any

from myna.config import EngineServer, Sampling
from myna.engines.client import Client, RefusedError
from myna.engines.engine import check_prompt, with_substitutes
from myna.errors import EngineError
from myna.models.bases import Base
from myna.rendering.tokenizer import Tokenizer

COMPLETIONS = "/v1/completions"
_PROBE_TEXT = "Apollo 11, this is Houston. How do you read?"
_LOGPROB_COUNTS = (1000, 100, 20, 5)
"""Numbers of log-probabilities to try: limits of llama.cpp, vLLM and OpenAI."""
_REPEAT = "one two three four\n" + "five six seven eight nine ten " * 6 + "five six seven eight"
_SURE_MULTIPLIER = 10.0
_MAX_TOKEN_CHARS = 256
"""A reply with more characters than this for each token is refused."""


class OpenAI:
    """A model on a server with an OpenAI-compatible API, which has loaded the adapter.

    Raises:
        EngineError: it is unreachable, refuses the key, or has no such model.
    """

    name = "openai"

    def __init__(
        self, base: Base, server: EngineServer, context: int, slots: int, model: str | None = None
    ) -> None:
        """`model` is the server's name of it; None: that of the settings, or its only one."""
        self.slots = slots
        self._client = Client(server.url, server.timeout)
        self._tokenizer = Tokenizer(base.folder)
        self._text = PromptText(self._tokenizer)
        served = list_models(self._client)
        self._model = choose_model(server, served) if model is None else model
        max_length = served.get(self._model, {}).get("max_model_len")  # vLLM's
        self.context = min(context, max_length) if isinstance(max_length, int) else context
        self._takes_ids = self._accepts_token_ids()
        self._extras = self._accepts({**_extra_sampling(Sampling()), "temperature": 1.0})
        self._probs = next((n for n in _LOGPROB_COUNTS if self._returns_logprobs(n)), 0)
        can = {"next_probs": self._probs, "penalties": self._extras, "dry": self._has_dry()}
        self.can = frozenset({"stream", *(ability for ability, has in can.items() if has)})

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[str, None, str]:
        """See `myna.engines.engine.Engine.stream`."""
        check_prompt(prompt, self.context, self.name)
        sampling = with_substitutes(sampling, self.can)
        limit = min(sampling.max_new_tokens, self.context - len(prompt))
        if limit < 1:
            return "length"
        body = {
            **self._request(prompt, limit),
            "stream": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            **(_extra_sampling(sampling) if self._extras else {}),
            **_dry_fields(sampling),
        }
        for name in ("presence_penalty", "frequency_penalty"):
            if penalty := getattr(sampling, name):  # a server may refuse what it does not know
                body[name] = penalty
        if sampling.seed is not None:
            body["seed"] = sampling.seed % 2**31
        chars_left = limit * _MAX_TOKEN_CHARS
        events = self._client.stream_events(COMPLETIONS, body)
        try:
            for event in events:
                self._check(event)
                choice = _choice(event)
                text = choice.get("text") or ""
                finish_reason = choice.get("finish_reason")
                if finish_reason:
                    text = text.rstrip("\ufffd")  # half a character, cut off by the limit
                chars_left -= len(text)
                if chars_left < 0:
                    raise EngineError(f"{self._client.url} sends more than max_tokens")
                if text:
                    yield text
                if finish_reason:
                    return "length" if finish_reason == "length" else "stop"
        finally:
            events.close()
        raise self._client.broken_stream()

    def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
        """See `myna.engines.engine.Engine.next_probs`; some servers return only the best five."""
        check_prompt(prompt, self.context, self.name)
        if not self._probs:
            raise EngineError(
                f'{self._client.url} gives no probabilities: use engine = "transformers"'
            )
        probs = self._request_probs(self._request(prompt, 1), min(top, self._probs))
        if not probs:
            raise EngineError(f"{self._client.url} has left out the probabilities: try again")
        return probs

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        """Not supported: raises EngineError."""
        raise EngineError('a server cannot score a given continuation: use engine = "transformers"')

    def close(self) -> None:
        """Nothing to free: the model is on the server."""

    def _request(self, prompt: Sequence[int], limit: int) -> dict[str, Any]:
        content = list(prompt) if self._takes_ids else self._text.render(prompt)
        return {"model": self._model, "prompt": content, "max_tokens": limit}

    def _check(self, answer: Any) -> None:
        if not isinstance(answer, dict):
            raise self._client.broken_stream()
        if "error" in answer:
            error = answer["error"]
            reason = error.get("message", error) if isinstance(error, dict) else error
            line = "".join(c if c.isprintable() else " " for c in str(reason))[:200]
            raise EngineError(f"{self._client.url} broke off: {line}")

    def _accepts_token_ids(self) -> bool:
        """True if the server takes token ids: it counts as many as were sent."""
        ids = [*self._tokenizer.bos_ids, *self._tokenizer.encode(_PROBE_TEXT).ids]
        body = {"model": self._model, "prompt": ids, "max_tokens": 1}
        try:
            answer = self._client.request_json("POST", COMPLETIONS, body)
        except RefusedError:
            # A text prompt must work, or this raises the reason.
            self._client.request_json("POST", COMPLETIONS, {**body, "prompt": _PROBE_TEXT})
            return False
        usage = answer.get("usage") if isinstance(answer, dict) else None
        count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        return count in (len(ids), len(ids) + 1)  # some add a BOS token

    def _accepts(self, options: dict[str, Any]) -> bool:
        with suppress(RefusedError):
            ids = self._tokenizer.encode(_PROBE_TEXT).ids
            self._client.request_json("POST", COMPLETIONS, {**self._request(ids, 1), **options})
            return True
        return False

    def _has_dry(self) -> bool:
        """True if a penalty changes the likeliest next token of a repeat.

        Servers that do not know DRY ignore its fields, so the text is what tells.
        """
        ids = self._tokenizer.encode(_REPEAT).ids
        told = [
            self._request(ids, 1)
            | {"temperature": 0.0}
            | _dry_fields(Sampling(dry_multiplier=multiplier, dry_allowed_length=1))
            for multiplier in (0.0, _SURE_MULTIPLIER)
        ]
        with suppress(RefusedError):
            answers = [self._client.request_json("POST", COMPLETIONS, body) for body in told]
            texts = [_choice(answer).get("text") for answer in answers]
            return texts[0] is not None and texts[0] != texts[1]
        return False

    def _returns_logprobs(self, count: int) -> bool:
        with suppress(RefusedError):
            ids = self._tokenizer.encode(_PROBE_TEXT).ids
            return bool(self._request_probs(self._request(ids, 1), count))
        return False

    def _request_probs(self, body: dict[str, Any], count: int) -> dict[int, float]:
        """Request next-token probabilities, by token id; empty if the server returns none."""
        unchanged = {"temperature": 1.0, "top_p": 1.0, "logprobs": count}
        options = {**_extra_sampling(Sampling(min_p=0)), **_TOKENS_AS_IDS} if self._extras else {}
        answer = self._client.request_json("POST", COMPLETIONS, {**body, **options, **unchanged})
        self._check(answer)
        probs: dict[int, float] = {}
        for token, logprob in _top_logprobs(_choice(answer).get("logprobs")):
            token_id = token if isinstance(token, int) else self._token_id(token)
            if token_id is not None:
                probs[token_id] = probs.get(token_id, 0.0) + math.exp(logprob)
        best = sorted(probs.items(), key=lambda entry: entry[1], reverse=True)
        return dict(best[:count])

    def _token_id(self, token: str) -> int | None:
        """The id of a token that a server names by its text; None if ambiguous."""
        kind, _, number = token.partition("token_id:")  # vLLM
        if not kind and number.isdecimal():
            return int(number)
        ids = self._tokenizer.encode(token).ids
        is_half = "\ufffd" in token  # of a character: many tokens look the same
        return ids[0] if len(ids) == 1 and not is_half else None


_TOKENS_AS_IDS = {"return_tokens_as_token_ids": True}
"""Makes vLLM name tokens by their ids."""


def _dry_fields(sampling: Sampling) -> dict[str, Any]:
    """The fields of DRY where it is on, by the names of llama.cpp and KoboldCpp."""
    if not sampling.dry_multiplier:
        return {}
    return {
        "dry_multiplier": sampling.dry_multiplier,
        "dry_base": sampling.dry_base,
        "dry_allowed_length": sampling.dry_allowed_length,
        "dry_penalty_last_n": sampling.dry_window,
        "dry_sequence_breakers": list(sampling.dry_sequence_breakers),
    }


def _extra_sampling(sampling: Sampling) -> dict[str, Any]:
    """Sampling settings beyond OpenAI's API, by the names of different servers."""
    return {
        "top_k": sampling.top_k or -1,  # -1: no limit, on every server
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repetition_penalty,
        "repetition_penalty": sampling.repetition_penalty,
    }


def _choice(answer: Any) -> dict[str, Any]:
    choices = answer.get("choices") if isinstance(answer, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else {}
    return first if isinstance(first, dict) else {}


def _top_logprobs(logprobs: Any) -> list[tuple[int | str, float]]:
    """The (id or text, log-probability) pairs of the first token, in either format.

    OpenAI's for completions is `top_logprobs`: [{text: logprob}]; llama.cpp's is that of
    chats, `content`: [{top_logprobs: [{id, token, logprob}]}].
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


def list_models(client: Client) -> dict[str, dict[str, Any]]:
    """The server's models by id; empty if it does not list them.

    Raises:
        EngineError: it is unreachable, or refuses the key.
    """
    try:
        answer = client.request_json("GET", "/v1/models")
    except RefusedError:
        return {}
    listed = answer.get("data") if isinstance(answer, dict) else None
    entries = listed if isinstance(listed, list) else []
    return {str(one["id"]): one for one in entries if isinstance(one, dict) and "id" in one}


def choose_model(server: EngineServer, served: dict[str, dict[str, Any]]) -> str:
    """The server's name of the model in the settings, or its only model.

    Raises:
        EngineError: the server lacks that model, or has several and none is set.
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
    for name in (server.model, f"{server.model}:latest"):  # Ollama's suffix
        if name in served or not served:
            return name
    raise EngineError(f"{server.url} has no model {server.model!r}, only {names}: see [engine]")


ZERO_WIDTH_SPACE = "\u200b"
"""After its first character, it makes a typed control token plain text."""


class PromptText:
    """Renders prompts of one tokenizer as text.

    The server parses control tokens in text: those typed in a chat get a zero-width space,
    real ones do not. The BOS token is left out, since the server adds it.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        names = [tokenizer.decode([number]) for number in tokenizer.control_ids]
        self._names = dict(zip(tokenizer.control_ids, names, strict=True))
        longest_first = sorted(filter(None, names), key=len, reverse=True)
        self._typed = re.compile(f"(?=(?:{'|'.join(map(re.escape, longest_first))}))")
        self._any = bool(longest_first)

    def render(self, prompt: Sequence[int]) -> str:
        """Render `prompt` as text."""
        bos = self._tokenizer.bos_ids
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
        return "".join(
            sign + ZERO_WIDTH_SPACE if at in starts else sign for at, sign in enumerate(text)
        )
