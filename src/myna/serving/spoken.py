"""What is said in answer to a client's request, as it is said."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from myna.engines import Engine, sampling_of
from myna.serving.chats import Chat
from myna.serving.errors import ApiError
from myna.serving.hearing import Hearing, Likely, likelihoods
from myna.serving.requests import ChatRequest, CompletionRequest, Sampled
from myna.serving.served import LONGEST_TOKEN, Served
from myna.serving.stops import StopReader


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
    with served.queue.turn(key, gone):
        for index in range(request.n or 1):
            if gone():
                return
            yield from _say(served, request, asked, index, gone)


def _say(
    served: Served, request: ChatRequest, asked: Chat, index: int, gone: Callable[[], bool]
) -> Iterator[Spoken]:
    heard = Hearing(served.clone.engine, gone)
    most = served.clone.chat.max_reply_tokens
    limit = min(request.limit or most, most)
    chat = served.clone.chat.model_copy(update={"max_reply_tokens": limit})
    clone = replace(served.clone, engine=heard, chat=chat, chance=_chance(request, index))
    person = clone.next_speaker(asked.room, asked.among)
    begin = f"{person}: " if asked.shows_names and not asked.opening else ""
    yield Begun(index, person)
    if begin:
        yield Piece(index, begin)
    said = len(asked.room.lines)
    speech = clone.speak(asked.room, person, asked.opening)
    speech.sampling = replace(speech.sampling, **request.sampling)
    words = _whole(iter(speech), heard) if asked.opening else iter(speech)
    text, stopped = yield from _until_stop(index, words, request.stops)
    while len(asked.room.lines) > said:
        asked.room.retract()
    reason = "length" if heard.reason == "limit" and not stopped else "stop"
    yield _ended(served, heard, index, person, begin, text, reason, request.alternatives)


def _whole(words: Generator[str], heard: Hearing) -> Generator[str]:
    """A speech's words with the blanks before them, which join them to what they go on from."""
    with closing(words):
        first = next(filter(None, words), "")
        yield heard.said[: -len(heard.said.lstrip())] + first if first else ""
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
    heard: Hearing,
    index: int,
    person: str,
    begin: str,
    text: str,
    reason: str,
    alternatives: int | None,
) -> Ended:
    tokenizer = served.clone.tokenizer
    likely = None
    at = heard.said.find(text)
    if alternatives is not None and at >= 0:
        # Where the words are not as the model wrote them (redacted), it tells nothing.
        written = heard.said[: at + len(text)]
        likely = likelihoods(heard, tokenizer, heard.prompt, written, alternatives)
    count = len(tokenizer.encode(heard.said).ids)
    return Ended(index, person, begin + text, reason, len(heard.prompt), count, likely)


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
    with served.queue.turn(key, gone):
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
        ids = [*tokenizer.bos, *tokenizer.encode(text or "\n").ids]
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
    own = sampling_of(served.clone.chat, _chance(request, index).randrange(2**31))
    sampling = replace(own, **request.sampling)
    limit = min(request.max_tokens or 16, served.clone.engine.context - len(prompt))
    heard = Hearing(served.clone.engine, gone)
    yield Begun(index, "")
    if echo:
        yield Piece(index, echo)
    stream = heard.stream(prompt, sampling, limit)
    text, stopped = yield from _until_stop(index, stream, request.stops)
    reason = "length" if heard.reason == "limit" and not stopped else "stop"
    yield _ended(served, heard, index, "", echo, text, reason, request.logprobs)


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
