"""What is said in answer to a client's request, as it is said."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from myna.engines.engine import Engine
from myna.persona.turn import Generation
from myna.rendering.tokenizer import Tokenizer
from myna.serving.errors import ApiError
from myna.serving.openai_chat import LONGEST_TOKEN, Chat, Served
from myna.serving.openai_requests import ChatRequest, CompletionRequest, Sampled

DEFAULT_MAX_TOKENS = 16
"""Of a completion, as in OpenAI's API."""
MOST_LIKELY = 1000
"""Tokens that log-probabilities are looked up among."""
UNLIKELY = -9999.0
"""Stands for the log-probability of a token that is not among them, as in OpenAI's API."""


@dataclass(frozen=True)
class Likely:
    """A token, how likely the model found it, and what else it might have said."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...]
    """The most probable tokens in that place, with their log-probabilities."""


@dataclass(frozen=True)
class Begun:
    """A text begins: whose number `index` is, said by `person` ("" for plain text)."""

    index: int
    person: str


@dataclass(frozen=True)
class Piece:
    """More of it."""

    index: int
    text: str


@dataclass(frozen=True)
class Ended:
    """It is complete."""

    index: int
    person: str
    text: str
    reason: str
    """"stop" or "length", as in OpenAI's API."""
    prompt_tokens: int
    tokens: int
    likely: list[Likely] | None = None


Spoken = Begun | Piece | Ended


def speak(
    served: Served, request: ChatRequest, asked: Chat, key: str, gone: Callable[[], bool]
) -> Iterator[Spoken]:
    """What is said, `n` times; it waits for the engine's queue first.

    Raises:
        BusyError: too many wait.
        EngineError: the engine failed.
    """
    with served.queue.slot(key, gone):
        for index in range(request.n or 1):
            if gone():
                return
            yield from _say(served, request, asked, index, gone)


def _say(
    served: Served, request: ChatRequest, asked: Chat, index: int, gone: Callable[[], bool]
) -> Iterator[Spoken]:
    clone = replace(served.clone, rng=_chance(request, index))
    person = clone.next_speaker(asked.room, asked.among)
    begin = f"{person}: " if asked.shows_names and not asked.opening else ""
    yield Begun(index, person)
    if begin:
        yield Piece(index, begin)
    turn = clone.speak(
        asked.room,
        person,
        sampling=clone.sampling(clone.chat).narrowed(request.limit, **request.sampling),
        opening=asked.opening,
        is_cancelled=gone,
    )
    words = _with_lead(turn) if asked.opening else iter(turn)
    text, stopped = yield from _until_stop(index, words, request.stops)
    yield _ended(served, turn, index, person, begin, text, stopped, request.alternatives)


def _with_lead(turn: Generation) -> Generator[str]:
    """A turn's words with the blanks before them, which join them to what they go on from."""
    with closing(iter(turn)) as words:
        first = next(filter(None, words), "")
        yield turn.raw_text[: -len(turn.raw_text.lstrip())] + first if first else ""
        yield from words


def _until_stop(
    index: int, words: Generator[str, None, object], stops: Sequence[str]
) -> Generator[Piece, None, tuple[str, bool]]:
    """A stream's words up to where it is to stop; all of them, and whether that was met."""
    reader = StopReader(stops)
    text = ""
    with closing(words):
        for word in words:
            if sure := reader.feed(word):
                text += sure
                yield Piece(index, sure)
            if reader.found:
                break
    if rest := reader.finish():
        text += rest
        yield Piece(index, rest)
    return text, reader.found


def _ended(
    served: Served,
    generation: Generation,
    index: int,
    person: str,
    begin: str,
    text: str,
    stopped: bool,
    alternatives: int | None,
) -> Ended:
    tokenizer, raw = served.clone.tokenizer, generation.raw_text
    likely = None
    at = raw.find(text)
    if alternatives is not None and at >= 0 and generation.finish_reason != "cancelled":
        # Where the words are not as the model wrote them (redacted), it tells nothing.
        likely = _likelihoods(generation, tokenizer, raw[: at + len(text)], alternatives)
    return Ended(
        index,
        person,
        begin + text,
        "length" if generation.finish_reason == "length" and not stopped else "stop",
        len(generation.prompt_ids),
        len(tokenizer.encode(raw).ids),
        likely,
    )


def _likelihoods(
    generation: Generation, tokenizer: Tokenizer, text: str, alternatives: int
) -> list[Likely]:
    """How likely the model finds each token of `text` after the prompt, before any sampling.

    Raises:
        EngineError: the engine cannot tell.
    """
    ids = tokenizer.encode(text).ids
    found = []
    for at, token in enumerate(ids):
        before = [*generation.prompt_ids, *ids[:at]]
        ahead = generation.engine.next_probs(before, MOST_LIKELY)
        best = sorted(ahead.items(), key=lambda entry: -entry[1])[:alternatives]
        top = tuple((tokenizer.decode([number]), _log(chance)) for number, chance in best)
        found.append(Likely(tokenizer.decode([token]), _log(ahead.get(token, 0.0)), top))
    return found


def _log(chance: float) -> float:
    return math.log(chance) if chance > 0 else UNLIKELY


def complete(
    served: Served, request: CompletionRequest, key: str, gone: Callable[[], bool]
) -> Iterator[Spoken]:
    """The prompts, each continued `n` times as plain text.

    Raises:
        ApiError: a prompt does not fit into the context.
        BusyError: too many wait.
        EngineError: the engine failed.
    """
    prompts = [_prompt(served, text) for text in request.prompts]
    with served.queue.slot(key, gone):
        for index in range(len(prompts) * (request.n or 1)):
            if gone():
                return
            at = index // (request.n or 1)
            echo = request.prompts[at] if request.echo else ""
            yield from _continue(served, request, prompts[at], echo, index, gone)


def _prompt(served: Served, text: str) -> list[int]:
    """The ids of a prompt; control tokens in it stay text."""
    context = served.clone.engine.context
    ids: list[int] = []
    if len(text) <= context * LONGEST_TOKEN:
        tokenizer = served.clone.tokenizer
        ids = [*tokenizer.bos_ids, *tokenizer.encode(text or "\n").ids]
    if not ids or len(ids) >= context:
        raise ApiError(
            400,
            f"the prompt is longer than the context, which is {context} tokens with the "
            "completion: shorten it",
            param="prompt",
            code="context_length_exceeded",
        )
    return ids


def _continue(
    served: Served,
    request: CompletionRequest,
    prompt: list[int],
    echo: str,
    index: int,
    gone: Callable[[], bool],
) -> Iterator[Spoken]:
    own = served.clone.chat.sampling(_chance(request, index).randrange(2**31))
    limit = request.max_tokens or DEFAULT_MAX_TOKENS  # here no turn of a persona sets one
    sampling = replace(own, max_new_tokens=limit, **request.sampling)
    engine = served.clone.engine_for(served.model(request.model))
    continuation = Generation(engine, prompt, sampling, gone)
    yield Begun(index, "")
    if echo:
        yield Piece(index, echo)
    text, stopped = yield from _until_stop(index, iter(continuation), request.stops)
    yield _ended(served, continuation, index, "", echo, text, stopped, request.logprobs)


def _chance(request: Sampled, index: int) -> random.Random:
    """The same seed, the same words; without one, others each time."""
    return random.Random(None if request.seed is None else f"{request.seed}/{index}")


def can_tell(engine: Engine) -> None:
    """Refuse log-probabilities where the engine has none.

    Raises:
        ApiError: it has none.
    """
    if "next_probs" not in engine.can:
        raise ApiError(
            400,
            f"logprobs: the engine {engine.name} tells no probabilities",
            param="logprobs",
            code="unsupported_value",
        )


class StopReader:
    """Gives a streamed text out up to the first stop string in it.

    The stop string that is complete first ends the text, the longest of several; what may
    be the beginning of one is held back. However a text is cut into pieces, the same
    comes out.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.found = False
        self._stops = [stop for stop in stops if stop]
        self._held = ""

    def feed(self, piece: str) -> str:
        """The text that is certain now; nothing once a stop string was found."""
        if self.found:
            return ""
        self._held += piece
        ends = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if ends:
            self.found = True
            return self._held[: min(ends)[1]]
        certain = len(self._held) - self._may_begin()
        out, self._held = self._held[:certain], self._held[certain:]
        return out

    def finish(self) -> str:
        """What was held back, where the text has ended without a stop string."""
        return "" if self.found else self._held

    def _may_begin(self) -> int:
        """The length of the longest end of the held text that may begin a stop string."""
        longest = max(map(len, self._stops), default=1) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            end = self._held[-size:]
            if any(stop.startswith(end) for stop in self._stops):
                return size
        return 0
