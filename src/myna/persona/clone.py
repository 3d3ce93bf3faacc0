"""A trained clone, ready to talk: its engine, its people, the rendering it was trained with."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from myna import config, workspace
from myna.artifacts import AdapterInfo, Channel, PromptFormat
from myna.config import Sampling
from myna.engines.engine import Engine, open_engine
from myna.errors import PeopleError
from myna.models.bases import Base, find_adapter_base, find_base
from myna.models.loading import FULL_MODEL_FOLDER
from myna.persona import next_speaker as next_speaker_
from myna.persona.memory import Memory, open_memory
from myna.persona.prompt import Room
from myna.persona.turn import GeneratedTurn
from myna.rendering.tokenizer import Tokenizer

CONTEXT = 4
"""A live prompt may grow to this many times a sample's length before it is trimmed."""


@dataclass
class Clone:
    """An engine with an adapter, and what it needs to speak."""

    engine: Engine
    tokenizer: Tokenizer
    personas: list[str]
    format: PromptFormat
    """How the samples were written that the adapter was trained on."""
    channels: list[Channel]
    """Those trained on, the busiest first."""
    chat: config.Chat
    chance: random.Random
    engines: dict[str, Engine] = field(default_factory=dict)
    """Of the personas that have an adapter of their own; `engine` is one of these then."""
    memory: Memory | None = None
    """Past chats that live rooms recall."""

    def room(self, humans: Sequence[str], personas: Sequence[str] | None = None) -> Room:
        """A room with these humans, in the busiest channel that the personas know.

        Everyone who speaks there is in it, unless `personas` says who. Humans whose names
        do not fit into half of a prompt are left out of its system line, the last ones first.
        """
        known = [p for p in self.personas if p in self.channels[0].people]
        chosen = list(personas) if personas is not None else known or self.personas
        place = max(self.channels, key=lambda c: len(set(c.people) & set(chosen)))
        room = Room(
            self.format,
            self.tokenizer,
            members=list(dict.fromkeys([*chosen, *humans])),
            most_tokens=self.max_prompt_tokens(self.chat),
            space=place.space,
            channel=place.channel,
            name="" if self.format.spec.per_persona else self.personas[0],
            platform=place.source,
        )
        # Names of many tokens, and there are no bounds to those, must leave room for words.
        while len(room.members) > len(chosen) and (
            len(self.tokenizer.encode(room.header()).ids) > room.most_tokens // 2
        ):
            room.members.pop()
        return room

    def max_prompt_tokens(self, chat: config.Chat) -> int:
        """The most tokens of a prompt, where replies are as long as `chat` allows."""
        longest = min(CONTEXT * self.format.samples.max_length, self.engine.context)
        return longest - self._max_reply_tokens(chat)

    def _max_reply_tokens(self, chat: config.Chat) -> int:
        """Replies leave at least half of a small context to the prompt."""
        return min(chat.max_reply_tokens, self.engine.context // 2)

    def sampling(self, chat: config.Chat) -> Sampling:
        """How personas sample by `chat`, with a new seed."""
        drawn = chat.sampling(self.chance.randrange(2**31))
        return drawn.narrowed(self._max_reply_tokens(chat))

    def engine_for(self, person: str) -> Engine:
        """The engine that speaks for a persona; for anybody else the first one."""
        return self.engines.get(person, self.engine)

    def close(self) -> None:
        """Close every engine."""
        for engine in {id(e): e for e in (self.engine, *self.engines.values())}.values():
            engine.close()

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
        return next_speaker_.choose(
            next_speaker_.probabilities(self.engine, room, others), self.chance
        )

    def speak(
        self,
        room: Room,
        person: str,
        *,
        sampling: Sampling | None = None,
        opening: str = "",
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> GeneratedTurn:
        """The next turn of a persona, that begins with `opening`: iterate to hear it.

        The room stays as it is. `sampling` is by the clone's own settings unless given.

        Raises:
            PeopleError: they may not be cloned.
        """
        return GeneratedTurn(
            self.engine_for(self.known(person)),
            room,
            person,
            sampling or self.sampling(self.chat),
            opening=opening,
            is_cancelled=is_cancelled,
        )


def open_clone(
    space: workspace.Workspace,
    name: str,
    settings: config.Settings,
    *,
    seed: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Clone:
    """Load the adapter `name` of a workspace into an engine, both as `settings` say.

    Raises:
        WorkspaceError: there is no such adapter, or its metadata is damaged.
        ModelError: the base or the adapter is missing or damaged, or they do not fit.
        EngineError: the engine of the settings cannot run it.
    """
    info = AdapterInfo.load(space, name)
    base = find_adapter_base(name, info, weights=False, report=say)
    context = min(base.context, (CONTEXT + 1) * info.format.samples.max_length)

    def engine(adapter: str) -> Engine:
        return _engine(base, space.adapter(adapter), context, settings, say)

    # An engine has one adapter for life, so personas with their own have one each.
    engines = {person: engine(own) for person, own in info.adapters.items()}
    chat = settings.chat
    return Clone(
        engine=next(iter(engines.values())) if engines else engine(name),
        engines=engines,
        tokenizer=Tokenizer(base.folder),
        personas=info.personas,
        format=info.format,
        channels=info.channels,
        chat=chat,
        chance=random.Random(seed),
        memory=open_memory(space, chat.memory_embeddings, say) if chat.memory else None,
    )


def _engine(
    base: Base,
    folder: Path,
    context: int,
    settings: config.Settings,
    say: Callable[[str], None],
) -> Engine:
    """The engine with the adapter in `folder`, or with the whole model that was trained."""
    is_whole = (folder / FULL_MODEL_FOLDER).is_dir()
    return open_engine(
        settings.chat.engine,
        find_base(str(folder / FULL_MODEL_FOLDER), weights=False) if is_whole else base,
        None if is_whole else folder,
        context=context,
        slots=settings.chat.slots,
        server=settings.engine,
        report=say,
    )
