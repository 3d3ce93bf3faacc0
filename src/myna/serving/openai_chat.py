"""A client's chat as a prompt, and the models that a server offers.

Prompts are made by the renderer that made the training samples: a client says who wrote
which message, never how it is written as text. System messages of clients are therefore not
shown to the model, which was trained with a system line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from myna.engines.queueing import Queue
from myna.people import CLONE_MARK, sanitize_name
from myna.persona.clone import Clone
from myna.persona.prompt import PromptBuilder
from myna.rendering.turns import MAX_PEOPLE_NAMED, escape_turn
from myna.serving.errors import ApiError
from myna.serving.openai_requests import ChatMessage, ChatRequest

NAMES_SUFFIX = "+names"
"""Suffix of the group's id: a model whose replies begin with the name of their author."""
MAX_CHARS_PER_TOKEN = 32
"""Upper bound of the average characters of a token: longer texts surely do not fit."""
_NOT_IN_NAMES = r"[^\w-]", r"\W"
"""Characters that clients replace by `_` in names: OpenAI's rule, and SillyTavern's."""


@dataclass(frozen=True)
class ServedModels:
    """The models of a server: each persona, the group, and the group with names."""

    clone: Clone
    queue: Queue
    group_id: str
    """Model id of the whole group: the adapter's name."""
    default_author: str
    """Author of messages that a client sends without a name."""

    def ids(self) -> list[str]:
        """The ids of the models that answer now; personas are marked as clones."""
        speakers = self.clone.speakers()
        groups = [self.group_id, self.group_id + NAMES_SUFFIX] if speakers else []
        return [*(person + CLONE_MARK for person in speakers), *groups]

    def persona(self, model_id: str) -> str | None:
        """The persona of a model's id; None for the group."""
        person = model_id.removesuffix(CLONE_MARK)
        return person if person != model_id and person in self.clone.personas else None

    def resolve_id(self, model: str) -> str:
        """The id of the model that a client names, in any letter case, marked or not.

        Raises:
            ApiError: no such model (404).
            ConsentError: the persona may not be cloned now.
        """
        wanted = model.casefold()
        for model_id in self.ids():
            if wanted in (model_id.casefold(), model_id.removesuffix(CLONE_MARK).casefold()):
                return model_id
        for person in self.clone.personas:
            if wanted in (person.casefold(), (person + CLONE_MARK).casefold()):
                self.clone.check_persona(person)
        if wanted in (self.group_id.casefold(), (self.group_id + NAMES_SUFFIX).casefold()):
            self.clone.consents.check_anybody()
        message = "there is no such model: GET /v1/models lists them"
        raise ApiError(404, message, param="model", code="model_not_found")


@dataclass(frozen=True)
class ClientChat:
    """The prompt of a client's messages, and the personas that may answer."""

    prompt: PromptBuilder
    speakers: list[str]
    shows_names: bool
    opening: str = ""
    """Beginning of the reply, to be continued; its author is then the only speaker."""


def chat_from_request(models: ServedModels, request: ChatRequest) -> ClientChat:
    """Build the prompt that a request describes.

    Raises:
        ApiError: no such model (404).
    """
    clone = models.clone
    model_id = models.resolve_id(request.model)
    shows_names = model_id == models.group_id + NAMES_SUFFIX
    persona = models.persona(model_id)
    fitting = _truncate_history(clone, request.messages)
    names = [_resolve_name(m.author or models.default_author, clone.personas) for m in fitting]
    humans = [name for name, m in zip(names, fitting, strict=True) if m.role == "user"]
    present = clone.prompt_builder([], [persona] if persona else None).members
    speakers = [persona] if persona else [p for p in present if p not in humans] or present
    has_prefixes = shows_names or _has_name_prefixes(fitting, persona, clone.personas)
    messages = [
        (name, message.text)
        if message.role == "user"
        else _assistant_message(message, speakers[0], clone.personas, has_prefixes=has_prefixes)
        for name, message in zip(names, fitting, strict=True)
    ]
    # The system line has space for some names: the newest authors come first.
    authors = dict.fromkeys(author for author, _ in reversed(messages) if author not in present)
    others = list(authors)[: max(MAX_PEOPLE_NAMED - len(present), 1)]
    prompt = clone.prompt_builder(others or [sanitize_name(models.default_author)], present)
    for author, text in messages:
        prompt.add(author, text)
    last = request.messages[-1]
    is_reply = last.role == "assistant" and fitting[-1:] == [last]
    if is_reply and _can_continue(prompt, messages[-1][0], speakers):
        line = prompt.messages.pop()
        escaped = prompt.spec.role(line.person, line.person) in prompt.spec.escaped
        opening = escape_turn([line.text])[0] if escaped else line.text
        return ClientChat(prompt, [line.person], shows_names, opening)
    return ClientChat(prompt, speakers, shows_names)


def _can_continue(prompt: PromptBuilder, author: str, speakers: Sequence[str]) -> bool:
    """True if the last message is a reply that can be continued ("continue" of clients).

    A reply so long that it leaves no tokens for the rest of a prompt gets a new one instead.
    """
    if author not in speakers or not prompt.messages or prompt.messages[-1].person != author:
        return False
    return len(prompt.tokenizer.encode(prompt.messages[-1].text).ids) < prompt.prompt_budget // 4


def _assistant_message(
    message: ChatMessage, default: str, personas: Sequence[str], *, has_prefixes: bool
) -> tuple[str, str]:
    """Author and text of an earlier reply; without any name its author is `default`."""
    if message.author:
        return _resolve_name(message.author, personas), message.text
    prefix = _name_prefix(message, personas) if has_prefixes else None
    return (prefix, message.text.partition(":")[2].strip()) if prefix else (default, message.text)


def _name_prefix(message: ChatMessage, personas: Sequence[str]) -> str | None:
    """The persona of a text that begins with `Name: `."""
    name, colon, _ = message.text.partition(":")
    return name.strip() if colon and name.strip() in personas else None


def _has_name_prefixes(
    messages: Sequence[ChatMessage], persona: str | None, personas: Sequence[str]
) -> bool:
    """True if all replies begin with a persona's name, as in groups of SillyTavern.

    A single other name may be part of a persona's own text.
    """
    replies = [m for m in messages if m.role == "assistant" and not m.author]
    prefixes = {_name_prefix(message, personas) for message in replies}
    return None not in prefixes and (len(prefixes) > 1 or prefixes == {persona})


def _resolve_name(name: str, personas: Sequence[str]) -> str:
    """The person of a client's name: many send `Buzz_Aldrin`, as OpenAI allows no blanks."""
    matches = [
        persona
        for persona in personas
        if name in (re.sub(other, "_", persona, flags=re.ASCII)[:64] for other in _NOT_IN_NAMES)
    ]
    return matches[0] if len(matches) == 1 else sanitize_name(name)


def _truncate_history(clone: Clone, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The newest messages with text that may fit; the prompt builder cuts exactly."""
    context = left = clone.engine.context
    newest: list[ChatMessage] = []
    for message in reversed(messages):
        if message.role not in ("user", "assistant") or not message.text:
            continue
        if left <= 0:
            break
        if len(message.text) > context * MAX_CHARS_PER_TOKEN:
            end = message.text[-context * MAX_CHARS_PER_TOKEN :]
            message = message.model_copy(update={"content": end})
        text = sanitize_name(message.name or "") + message.text
        left -= len(clone.tokenizer.encode(text).ids)
        newest.append(message)
    return newest[::-1]
