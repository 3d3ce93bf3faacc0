"""Generate the choices of chat and text completions, as a stream of events."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from myna.engines.engine import Engine
from myna.persona.turn import Generation, with_leading_blanks
from myna.rendering.tokenizer import Tokenizer
from myna.serving.errors import ApiError
from myna.serving.openai_chat import MAX_CHARS_PER_TOKEN, ClientChat, ServedModels
from myna.serving.openai_requests import ChatRequest, CompletionRequest, SamplingRequest

DEFAULT_COMPLETION_TOKENS = 16
"""Default `max_tokens` of a text completion, as in OpenAI's API."""
LOGPROB_CANDIDATES = 1000
"""Number of most probable tokens among which log-probabilities are looked up."""
MIN_LOGPROB = -9999.0
"""Log-probability of a token outside those candidates, as in OpenAI's API."""


@dataclass(frozen=True)
class TokenLogprob:
    """A generated token, its log-probability, and the most probable alternatives."""

    token: str
    logprob: float
    top_logprobs: tuple[tuple[str, float], ...]
    """The most probable tokens at this position, with their log-probabilities."""


@dataclass(frozen=True)
class ChoiceStart:
    """Start of choice `index`, written by `person` ("" for a text completion)."""

    index: int
    person: str


@dataclass(frozen=True)
class ChoiceDelta:
    """The next piece of a choice's text."""

    index: int
    text: str


@dataclass(frozen=True)
class ChoiceEnd:
    """A complete choice."""

    index: int
    person: str
    text: str
    finish_reason: str
    """"stop" or "length", as in OpenAI's API."""
    prompt_tokens: int
    completion_tokens: int
    logprobs: list[TokenLogprob] | None = None


ChoiceEvent = ChoiceStart | ChoiceDelta | ChoiceEnd


def generate_chat(
    models: ServedModels,
    request: ChatRequest,
    chat: ClientChat,
    queue_key: str,
    is_cancelled: Callable[[], bool],
) -> Iterator[ChoiceEvent]:
    """Generate the `n` replies to a chat, after waiting in the engine's queue.

    Raises:
        BusyError: too many replies wait.
        EngineError: the engine failed.
    """
    with models.queue.slot(queue_key, is_cancelled):
        for index in range(request.n or 1):
            if is_cancelled():
                return
            clone = replace(models.clone, rng=_rng(request, index))
            person = clone.next_speaker(chat.prompt, chat.speakers)
            prefix = f"{person}: " if chat.shows_names and not chat.opening else ""
            yield ChoiceStart(index, person)
            if prefix:
                yield ChoiceDelta(index, prefix)
            overrides = request.sampling_overrides
            turn = clone.speak(
                chat.prompt,
                person,
                sampling=clone.sampling(person).narrowed(request.token_limit, **overrides),
                opening=chat.opening,
                is_cancelled=is_cancelled,
            )
            pieces = with_leading_blanks(turn) if chat.opening else iter(turn)
            yield from _stream_choice(models, request, turn, pieces, index, person, prefix)


def _stream_choice(
    models: ServedModels,
    request: ChatRequest | CompletionRequest,
    generation: Generation,
    pieces: Generator[str, None, object],
    index: int,
    person: str,
    prefix: str,
) -> Iterator[ChoiceDelta | ChoiceEnd]:
    """Stream the pieces of a choice up to a stop string, then its end.

    `prefix` was streamed before, and belongs to the choice's text.
    """
    stop = StopStringFilter(request.stop_strings)
    text = ""
    with closing(pieces):
        for piece in pieces:
            if certain := stop.feed(piece):
                text += certain
                yield ChoiceDelta(index, certain)
            if stop.is_stopped:
                break
    if held_back := stop.finish():
        text += held_back
        yield ChoiceDelta(index, held_back)
    tokenizer, raw = models.clone.tokenizer, generation.raw_text
    logprobs = None
    start, count = raw.find(text), request.num_top_logprobs
    # Redaction may have changed the text; the model's probabilities are then of other words.
    if count is not None and start >= 0 and generation.finish_reason != "cancelled":
        logprobs = _token_logprobs(generation, tokenizer, raw[: start + len(text)], count)
    is_cut = generation.finish_reason == "length" and not stop.is_stopped
    yield ChoiceEnd(
        index,
        person,
        prefix + text,
        "length" if is_cut else "stop",
        len(generation.prompt_ids),
        len(tokenizer.encode(raw).ids),
        logprobs,
    )


def _token_logprobs(
    generation: Generation, tokenizer: Tokenizer, text: str, top: int
) -> list[TokenLogprob]:
    """Log-probabilities of the tokens of `text` after the prompt, before any sampling.

    Raises:
        EngineError: the engine gives no probabilities.
    """
    ids = tokenizer.encode(text).ids
    logprobs = []
    for i, token in enumerate(ids):
        prompt = [*generation.prompt_ids, *ids[:i]]
        probabilities = generation.engine.next_probs(prompt, LOGPROB_CANDIDATES)
        best = sorted(probabilities.items(), key=lambda entry: -entry[1])[:top]
        alternatives = tuple((tokenizer.decode([id_]), _log(p)) for id_, p in best)
        logprob = _log(probabilities.get(token, 0.0))
        logprobs.append(TokenLogprob(tokenizer.decode([token]), logprob, alternatives))
    return logprobs


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else MIN_LOGPROB


def generate_completions(
    models: ServedModels,
    request: CompletionRequest,
    queue_key: str,
    is_cancelled: Callable[[], bool],
) -> Iterator[ChoiceEvent]:
    """Continue each prompt `n` times as plain text, after waiting in the engine's queue.

    Raises:
        ApiError: a prompt does not fit into the context (400).
        BusyError: too many replies wait.
        EngineError: the engine failed.
    """
    prompts = [_encode_prompt(models, text) for text in request.prompts]
    person = models.persona(models.resolve_id(request.model)) or ""
    engine = models.clone.engine_for(person)
    # The bound of a persona's turn does not apply here.
    limit = request.max_tokens or DEFAULT_COMPLETION_TOKENS
    with models.queue.slot(queue_key, is_cancelled):
        for index in range(len(prompts) * (request.n or 1)):
            if is_cancelled():
                return
            i = index // (request.n or 1)
            seed = _rng(request, index).randrange(2**31)
            defaults = models.clone.chat.sampling(seed, person)
            sampling = replace(defaults, max_new_tokens=limit, **request.sampling_overrides)
            generation = Generation(engine, prompts[i], sampling, is_cancelled)
            yield ChoiceStart(index, "")
            echo = request.prompts[i] if request.echo else ""
            if echo:
                yield ChoiceDelta(index, echo)
            pieces = iter(generation)
            yield from _stream_choice(models, request, generation, pieces, index, "", echo)


def _encode_prompt(models: ServedModels, text: str) -> list[int]:
    """The token ids of a prompt; control tokens in it stay text."""
    context = models.clone.engine.context
    ids: list[int] = []
    if len(text) <= context * MAX_CHARS_PER_TOKEN:
        tokenizer = models.clone.tokenizer
        ids = [*tokenizer.bos_ids, *tokenizer.encode(text or "\n").ids]
    if not ids or len(ids) >= context:
        raise ApiError(
            400,
            f"the prompt does not fit into the context of {context} tokens: shorten it",
            param="prompt",
            code="context_length_exceeded",
        )
    return ids


def _rng(request: SamplingRequest, index: int) -> random.Random:
    """A generator that depends on the request's seed only; without a seed a random one."""
    return random.Random(None if request.seed is None else f"{request.seed}/{index}")


def check_logprobs(engine: Engine) -> None:
    """Refuse log-probabilities that the engine cannot give.

    Raises:
        ApiError: the engine gives no probabilities (400).
    """
    if "next_probs" not in engine.can:
        message = f"logprobs: the engine {engine.name} gives no probabilities: leave them out"
        raise ApiError(400, message, param="logprobs", code="unsupported_value")


class StopStringFilter:
    """A `TextFilter` that passes a streamed text on up to its first stop string.

    The stop string that is complete first ends the text, the longest of several; text that
    may be the beginning of one is held back. The result does not depend on the pieces.
    """

    def __init__(self, stop_strings: Sequence[str]) -> None:
        self.is_stopped = False
        self._stop_strings = [stop for stop in stop_strings if stop]
        self._held = ""

    def feed(self, piece: str) -> str:
        """The text that is certain now; nothing after a stop string."""
        if self.is_stopped:
            return ""
        self._held += piece
        stops = self._stop_strings
        ends = [(i + len(stop), i) for stop in stops if (i := self._held.find(stop)) >= 0]
        if ends:
            self.is_stopped = True
            return self._held[: min(ends)[1]]
        certain = len(self._held) - self._held_length()
        text, self._held = self._held[:certain], self._held[certain:]
        return text

    def finish(self) -> str:
        """The text held back until the end, unless a stop string ended it."""
        return "" if self.is_stopped else self._held

    def _held_length(self) -> int:
        """The length of the longest end of the held text that may begin a stop string."""
        longest = max(map(len, self._stop_strings), default=1) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stop_strings):
                return size
        return 0
