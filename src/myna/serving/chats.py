"""A client's chat as a room, and what is said in it.

The prompt is made by the room, and so by the renderer that made the training samples: a
client says who said what, never how it is written down. What a client sends as system
message is therefore not shown to the model, which was trained with a system line of its own.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from myna.engines import Engine, Sampling
from myna.engines.queueing import Queue
from myna.people import plain_name
from myna.persona.clone import Clone
from myna.persona.room import Room
from myna.samples.lines import MOST_NAMED
from myna.samples.rendering import escape_turn
from myna.serving.errors import ApiError
from myna.serving.hearing import Hearing, Likely, likelihoods
from myna.serving.requests import ChatMessage, ChatRequest, CompletionRequest, Sampled
from myna.serving.stops import StopReader

NAMED = "+names"
"""Behind the group's id: a model whose replies begin with their speaker's name."""
_NOT_IN_NAMES = r"[^\w-]", r"\W"
"""What is no part of a name: for OpenAI, and for SillyTavern."""
LONGEST_TOKEN = 32
"""Characters that a token covers at most on average: longer texts cannot fit for sure."""


@dataclass(frozen=True)
class Served:
    """What a server serves."""

    clone: Clone
    queue: Queue
    group: str
    """The id of the whole group as a model: the adapter's name."""
    me: str
    """Who says what a client sends without a name."""

    def models(self) -> list[str]:
        """The ids of all models."""
        return [*self.clone.personas, self.group, self.group + NAMED]

    def model(self, id: str) -> str:  # noqa: A002  # as OpenAI calls it
        """The id of the model that a client means.

        Raises:
            ApiError: there is no such model.
        """
        for known in self.models():
            if id == known or id.casefold() == known.casefold():
                return known
        raise ApiError(
            404,
            "there is no such model: GET /v1/models lists them",
            param="model",
            code="model_not_found",
        )


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


@dataclass(frozen=True)
class Chat:
    """A room made of a client's messages, and who may answer."""

    room: Room
    among: list[str]
    shows_names: bool
    opening: str = ""
    """What they are to go on from, who are then alone in `among`."""


def chat(served: Served, request: ChatRequest) -> Chat:
    """The room that a request describes.

    Raises:
        ApiError: there is no such model.
    """
    clone = served.clone
    model = served.model(request.model)
    shows_names = model == served.group + NAMED
    one = model if model in clone.personas else None
    fitting = _fitting(clone, request.messages)
    humans = [_called(m.who or served.me, clone.personas) for m in fitting if m.role == "user"]
    present = clone.room([], [one] if one else None).members
    among = [one] if one else [p for p in present if p not in humans] or present
    labels = shows_names or _labelled(fitting, one, clone.personas)
    said = [
        (_called(message.who or served.me, clone.personas), message.text)
        if message.role == "user"
        else _answered(message, one or among[0], clone.personas, labels=labels)
        for message in fitting
    ]
    # Who spoke last stands in the system line for sure.
    speakers = dict.fromkeys(person for person, _ in reversed(said) if person not in present)
    others = list(speakers)[: max(MOST_NAMED - len(present), 1)] or [plain_name(served.me)]
    room = clone.room(others, present)
    for person, text in said:
        room.say(person, text)
    last = request.messages[-1]
    if last.role == "assistant" and fitting[-1:] == [last] and _goes_on(room, said[-1][0], among):
        begun = room.lines.pop()
        escaped = room.markup.role(begun.person, begun.person) in room.markup.escaped
        opening = escape_turn([begun.text])[0] if escaped else begun.text
        return Chat(room, [begun.person], shows_names, opening)
    return Chat(room, among, shows_names)


def _goes_on(room: Room, person: str, among: Sequence[str]) -> bool:
    """Whether the room's last message, a reply, can be gone on with, as "continue" asks for.

    One that leaves no room for other words in a prompt is followed by a new one instead.
    """
    if person not in among or not room.lines or room.lines[-1].person != person:
        return False
    return len(room.tokenizer.encode(room.lines[-1].text).ids) < room.most_tokens // 4


def _answered(
    message: ChatMessage, author: str, personas: Sequence[str], *, labels: bool
) -> tuple[str, str]:
    """Who said an earlier answer, and what."""
    if message.who:
        return _called(message.who, personas), message.text
    label = _label(message, personas) if labels else None
    if label:
        return label, message.text.partition(":")[2].strip()
    return author, message.text


def _label(message: ChatMessage, personas: Sequence[str]) -> str | None:
    """The persona whose name stands before an answer's words."""
    name, colon, _ = message.text.partition(":")
    return name.strip() if colon and name.strip() in personas else None


def _labelled(messages: Sequence[ChatMessage], one: str | None, personas: Sequence[str]) -> bool:
    """Whether a client writes names before all answers, as SillyTavern does in its groups.

    A single name may be what a persona has said.
    """
    answers = [m for m in messages if m.role == "assistant" and not m.who]
    labels = {_label(message, personas) for message in answers}
    return None not in labels and (len(labels) > 1 or labels == {one})


def _called(name: str, personas: Sequence[str]) -> str:
    """Whom a client means: many send `Buzz_Aldrin`, as OpenAI's names have no blanks."""
    meant = [
        persona
        for persona in personas
        if name in (re.sub(other, "_", persona, flags=re.ASCII)[:64] for other in _NOT_IN_NAMES)
    ]
    return meant[0] if len(meant) == 1 else plain_name(name)


def _fitting(clone: Clone, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The newest messages that have words, as many as could fit into a prompt at all.

    The room makes them fit exactly; this keeps what it has to look at small.
    """
    context = left = clone.engine.context
    found: list[ChatMessage] = []
    for message in reversed(messages):
        if message.role not in ("user", "assistant") or not message.text:
            continue
        if left <= 0:
            break
        if len(message.text) > context * LONGEST_TOKEN:
            end = message.text[-context * LONGEST_TOKEN :]
            message = message.model_copy(update={"content": end})
        line = plain_name(message.name or "") + message.text
        left -= len(clone.tokenizer.encode(line).ids)
        found.append(message)
    return found[::-1]


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
    chat = served.clone.chat
    own = Sampling(
        temperature=chat.temperature,
        top_p=chat.top_p,
        min_p=chat.min_p,
        seed=_chance(request, index).randrange(2**31),
    )
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
