"""A client's chat as a room.

The prompt is made by the room, and so by the renderer that made the training samples: a
client says who said what, never how it is written down. What a client sends as system
message is therefore not shown to the model, which was trained with a system line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from myna.engines.queueing import Queue
from myna.people import plain_name
from myna.persona.clone import Clone
from myna.persona.prompt import PromptBuilder
from myna.rendering.turns import MAX_PEOPLE_NAMED, escape_turn
from myna.serving.errors import ApiError
from myna.serving.openai_requests import ChatMessage, ChatRequest

_NOT_IN_NAMES = r"[^\w-]", r"\W"
"""What is no part of a name: for OpenAI, and for SillyTavern."""


@dataclass(frozen=True)
class Chat:
    """A room made of a client's messages, and who may answer."""

    room: PromptBuilder
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
    present = clone.prompt_builder([], [one] if one else None).members
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
    others = list(speakers)[: max(MAX_PEOPLE_NAMED - len(present), 1)] or [plain_name(served.me)]
    room = clone.prompt_builder(others, present)
    for person, text in said:
        room.add(person, text)
    last = request.messages[-1]
    if last.role == "assistant" and fitting[-1:] == [last] and _goes_on(room, said[-1][0], among):
        begun = room.messages.pop()
        escaped = room.spec.role(begun.person, begun.person) in room.spec.escaped
        opening = escape_turn([begun.text])[0] if escaped else begun.text
        return Chat(room, [begun.person], shows_names, opening)
    return Chat(room, among, shows_names)


def _goes_on(room: PromptBuilder, person: str, among: Sequence[str]) -> bool:
    """Whether the room's last message, a reply, can be gone on with, as "continue" asks for.

    One that leaves no room for other words in a prompt is followed by a new one instead.
    """
    if person not in among or not room.messages or room.messages[-1].person != person:
        return False
    return len(room.tokenizer.encode(room.messages[-1].text).ids) < room.prompt_budget // 4


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


NAMED = "+names"
"""Behind the group's id: a model whose replies begin with their speaker's name."""
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
