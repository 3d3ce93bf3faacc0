"""A trained clone, ready to talk: its engine, its people, the rendering it was trained with."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from myna import config, workspace
from myna.engines import Engine, open_engine, sampling_of
from myna.errors import ModelError, PeopleError, WorkspaceError
from myna.models.bases import Base, find
from myna.models.loading import WHOLE
from myna.persona import turn_taking
from myna.persona.memory import Memory, open_memory
from myna.persona.room import Room
from myna.persona.speaking import Speech
from myna.samples import markup
from myna.samples.markup import TRANSCRIPT, Markup
from myna.samples.tokenizer import Tokenizer

CONTEXT = 4
"""A live prompt may grow to this many times a sample's length before it is trimmed."""


@dataclass
class Clone:
    """An engine with an adapter, and what it needs to speak.

    `channels` has a row for each channel trained on: space, channel, people.
    """

    engine: Engine
    tokenizer: Tokenizer
    personas: list[str]
    samples: config.Samples
    rules: config.Rules
    channels: list[dict[str, Any]]
    chat: config.Chat
    chance: random.Random
    engines: dict[str, Engine] = field(default_factory=dict)
    """Of the personas that have an adapter of their own; `engine` is one of these then."""
    redaction: config.Redaction = field(default_factory=config.Redaction)
    """Of what personas say, as that was redacted which they were trained on."""
    memory: Memory | None = None
    """Past chats that live rooms recall."""
    markup: Markup = TRANSCRIPT
    """Of the rendering that the adapter was trained with."""

    def room(self, humans: Sequence[str], personas: Sequence[str] | None = None) -> Room:
        """A room with these humans, in the busiest channel that the personas know.

        Everyone who speaks there is in it, unless `personas` says who. Humans whose names
        do not fit into half of a prompt are left out of its system line, the last ones first.
        """
        known = [p for p in self.personas if p in self.channels[0]["people"]]
        chosen = list(personas) if personas is not None else known or self.personas
        place = max(self.channels, key=lambda c: len(set(c["people"]) & set(chosen)))
        room = Room(
            members=list(dict.fromkeys([*chosen, *humans])),
            template=self.samples.system_lines[0],
            tokenizer=self.tokenizer,
            most_tokens=min(CONTEXT * self.samples.max_tokens, self.engine.context)
            - self.chat.max_reply_tokens,
            space=place["space"],
            channel=place["channel"],
            rules=self.rules,
            markup=self.markup,
            name="" if self.markup.per_persona else self.personas[0],
            platform=place.get("source", ""),
        )
        # Names of many tokens, and there are no bounds to those, must leave room for words.
        while len(room.members) > len(chosen) and (
            len(self.tokenizer.encode(room.header()).ids) > room.most_tokens // 2
        ):
            room.members.pop()
        return room

    def known(self, name: str) -> str:
        """A persona's name.

        Raises:
            PeopleError: nobody called so may be cloned.
        """
        if name not in self.personas:
            raise PeopleError(f"{name} is no persona: choose one of {', '.join(self.personas)}")
        return name

    def next_speaker(self, room: Room, among: Sequence[str]) -> str:
        """Who speaks next, drawn from the model's own probabilities of the names.

        Whoever spoke last does not follow themselves: their messages were one turn.
        """
        last = room.lines[-1].person if room.lines else None
        others = [person for person in among if person != last] or list(among)
        if len(others) == 1:
            return others[0]
        return turn_taking.choose(turn_taking.probabilities(self.engine, room, others), self.chance)

    def speak(self, room: Room, person: str, opening: str = "") -> Speech:
        """The next turn of a persona, that begins with `opening`: iterate to hear it.

        Raises:
            PeopleError: they may not be cloned.
        """
        self.known(person)
        sampling = sampling_of(self.chat, self.chance.randrange(2**31))
        return Speech(
            self.engines.get(person, self.engine),
            room,
            person,
            sampling,
            self.chat.max_reply_tokens,
            opening,
            self.redaction,
        )


def open_clone(
    space: workspace.Workspace,
    name: str,
    chat: config.Chat,
    *,
    server: config.Server | None = None,
    seed: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Clone:
    """Load the adapter `name` of a workspace into an engine.

    `server` is that of the engines that have one; None takes the workspace's settings.

    Raises:
        WorkspaceError: there is no such adapter.
        ModelError: the base or the adapter is missing or damaged, or they do not fit.
        EngineError: the engine of the settings cannot run it.
    """
    folder = space.adapter(name)
    rendering = workspace.read_json(folder / "rendering.json")
    if rendering is None:
        raise WorkspaceError(f"there is no adapter '{name}' to talk to: make it with `myna train`")
    base = find(rendering["base"], weights=False, say=say)
    if base.fingerprint != rendering["base_fingerprint"]:
        raise ModelError(
            f"adapter '{name}' was trained on another {base.name} than is here now: bring that "
            "one back, or train anew with `myna train --again`"
        )
    samples = config.Samples.model_validate(rendering["samples"])
    context = min(base.context, (CONTEXT + 1) * samples.max_tokens)
    # An engine has one adapter for life, so personas with their own have one each.
    own: dict[str, str] = rendering.get("adapters", {})
    engines = {
        adapter: _engine(space, base, adapter, chat, context, server, say)
        for adapter in own.values() or [name]
    }
    return Clone(
        engine=next(iter(engines.values())),
        engines={person: engines[adapter] for person, adapter in own.items()},
        tokenizer=Tokenizer(base.folder),
        personas=rendering["personas"],
        samples=samples,
        rules=config.Rules.model_validate(rendering["rules"]),
        channels=rendering["channels"],
        chat=_bounded(chat, context),
        chance=random.Random(seed),
        redaction=config.Redaction.model_validate(rendering.get("redaction", {})),
        memory=open_memory(space, chat.memory_embeddings, say) if chat.memory else None,
        markup=markup.from_json(rendering["markup"]) if "markup" in rendering else TRANSCRIPT,
    )


def _engine(
    space: workspace.Workspace,
    base: Base,
    name: str,
    chat: config.Chat,
    context: int,
    server: config.Server | None,
    say: Callable[[str], None],
) -> Engine:
    """The engine with the adapter `name`, or with the whole model that was trained."""
    folder: Path | None = space.adapter(name)
    if folder and (folder / WHOLE).is_dir():
        base, folder = find(str(folder / WHOLE), weights=False), None
    return open_engine(
        chat.engine,
        base,
        folder,
        context=context,
        slots=chat.slots,
        server=server or space.settings().engine,
        say=say,
    )


def _bounded(chat: config.Chat, context: int) -> config.Chat:
    """The settings, with replies that leave at least half of a small context to the prompt."""
    return chat.model_copy(update={"max_reply_tokens": min(chat.max_reply_tokens, context // 2)})
