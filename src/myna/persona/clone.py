"""A trained clone, ready to talk: its engine, its personas, and the rendering of its samples."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from myna import config
from myna.artifacts import (
    AdapterInfo,
    Channel,
    PromptFormat,
    SpeakingHabits,
    TurnTaking,
    check_is_clone,
)
from myna.config import Sampling
from myna.engines.engine import Engine, substitutes_used
from myna.engines.open_engine import open_engine
from myna.errors import ConsentError, EngineError, PeopleError, SettingsError
from myna.models.bases import Base, find_base
from myna.models.fetch import Reporter, silent
from myna.models.loading import FULL_MODEL_FOLDER
from myna.people import Scope
from myna.people.consent_checker import ConsentChecker
from myna.persona import next_speaker as next_speaker_
from myna.persona.line_guard import line_guard
from myna.persona.memory import Memory, open_memory, people_now
from myna.persona.prompt import PromptBuilder
from myna.persona.scenes import Beginnings
from myna.persona.turn import GeneratedTurn
from myna.rendering.tokenizer import Tokenizer
from myna.workspace import Workspace

CONTEXT_FACTOR = 4
"""A live prompt may grow to this many times a sample's length before it is trimmed."""


class LazyEngine:
    """An engine that is opened when it is first needed."""

    def __init__(self, open_: Callable[[], Engine]) -> None:
        self._open = open_
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def get(self) -> Engine:
        """The engine.

        Raises:
            ModelError, EngineError: it cannot be opened.
        """
        with self._lock:
            self._engine = self._engine or self._open()
            return self._engine

    def close(self) -> None:
        """Close it, if it was opened."""
        if self._engine is not None:
            self._engine.close()


@dataclass
class Clone:
    """An adapter loaded in an engine, with all that is needed to speak as its personas."""

    engine: Engine
    tokenizer: Tokenizer
    personas: list[str]
    """Everyone whom it was trained on; not all of them may speak."""
    consents: ConsentChecker
    """Asked before each turn."""
    format: PromptFormat
    """Of the samples that the adapter was trained on."""
    channels: list[Channel]
    """Those trained on, the busiest first."""
    chat: config.Chat
    rng: random.Random
    habits: dict[str, SpeakingHabits] = field(default_factory=dict)
    """Of the personas; who has none is not guarded against repeats."""
    turn_taking: TurnTaking = field(default_factory=TurnTaking)
    """The weights by which the next speaker is drawn."""
    engines: dict[str, Engine] = field(default_factory=dict)
    """Of the personas that have an adapter of their own; `engine` is one of these then."""
    memory: Memory | None = None
    """Past chats that live rooms recall."""
    beginnings: Beginnings | None = None
    """Real moments that live rooms may begin with."""
    base: LazyEngine | None = None
    """The base without what was learned, for comparisons."""

    def prompt_builder(
        self, humans: Sequence[str], personas: Sequence[str] | None = None
    ) -> PromptBuilder:
        """An empty history of these members, in the busiest channel that the personas know.

        `personas` is by default everyone who speaks in the busiest channel. Humans whose names
        do not fit into half of a prompt are left out of its system line, the last ones first.
        """
        speakers = self.speakers() or self.personas
        busiest = [p for p in speakers if p in self.channels[0].people]
        chosen = list(personas) if personas is not None else busiest or speakers
        channel = max(self.channels, key=lambda c: len(set(c.people) & set(chosen)))
        builder = PromptBuilder(
            self.format,
            self.tokenizer,
            members=list(dict.fromkeys([*chosen, *humans])),
            prompt_budget=self.prompt_budget(self.chat),
            space=channel.space,
            channel=channel.channel,
            name="" if self.format.spec.per_persona else self.personas[0],
            platform=channel.source,
        )
        # Names can have any number of tokens, and must leave enough of the budget to messages.
        while len(builder.members) > len(chosen) and (
            len(self.tokenizer.encode(builder.header()).ids) > builder.prompt_budget // 2
        ):
            builder.members.pop()
        return builder

    def prompt_budget(self, chat: config.Chat) -> int:
        """The most tokens of a prompt, where turns are as long as `chat` allows."""
        longest = min(CONTEXT_FACTOR * self.format.samples.max_length, self.engine.context)
        return longest - self._max_new_tokens(chat)

    def _max_new_tokens(self, chat: config.Chat) -> int:
        """The most tokens of a turn: at least half of a small context is left to the prompt."""
        return min(chat.longest_turn, self.engine.context // 2)

    def sampling(self, person: str, chat: config.Chat | None = None) -> Sampling:
        """A persona's sampling parameters by `chat` (None: the clone's), with a new seed."""
        chat = chat or self.chat
        own = chat.sampling(self.rng.randrange(2**31), person)
        return own.narrowed(self._max_new_tokens(chat))

    def engine_for(self, person: str) -> Engine:
        """The engine that speaks for a persona; for anybody else that of one who may speak."""
        if person not in self.engines and self.engines:
            person = next(iter(self.speakers()), "")
        return self.engines.get(person, self.engine)

    def close(self) -> None:
        """Close every engine."""
        for engine in {id(e): e for e in (self.engine, *self.engines.values())}.values():
            engine.close()
        if self.base is not None:
            self.base.close()

    def without_training(self) -> Clone:
        """The same personas, as the base alone would speak.

        Raises:
            EngineError: the base cannot be opened beside the clone.
        """
        if self.base is None:
            raise EngineError("the base model is not here to compare with")
        return replace(self, engine=self.base.get(), engines={}, habits={})

    def speakers(self) -> list[str]:
        """The personas that may speak now, by people.toml as it is now."""
        return self.consents.speakers()

    def check_persona(self, name: str) -> str:
        """Return the name of a persona who may speak now.

        Raises:
            PeopleError: no persona is called so.
            ConsentError: they may not be cloned now; the line says what to type.
        """
        if name not in self.personas:
            raise PeopleError(f"{name} is no persona: choose one of {', '.join(self.personas)}")
        if reason := self.consents.refusal(name):
            raise ConsentError(reason)
        return name

    def next_speaker(self, builder: PromptBuilder, among: Sequence[str]) -> str:
        """Draw the next speaker by `speaker_probabilities`.

        Never the last speaker: consecutive messages of one person were one turn in training.
        """
        last = builder.messages[-1].person if builder.messages else None
        others = [person for person in among if person != last] or list(among)
        if len(others) == 1:
            return others[0]
        return next_speaker_.sample(self.speaker_probabilities(builder, others), self.rng)

    def speaker_probabilities(
        self, builder: PromptBuilder, among: Sequence[str]
    ) -> dict[str, float]:
        """The probability of each of these people to speak next; sums to 1.

        Raises:
            EngineError: the engine failed.
        """
        return next_speaker_.probabilities(self.engine_for(""), builder, among, self.turn_taking)

    def speak(
        self,
        builder: PromptBuilder,
        person: str,
        *,
        sampling: Sampling | None = None,
        opening: str = "",
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> GeneratedTurn:
        """The next turn of a persona, which begins with `opening`; iterate to generate it.

        The history stays as it is. `sampling` is by the clone's own settings unless given.

        Raises:
            PeopleError, ConsentError: as `check_persona`.
        """
        engine = self.engine_for(self.check_persona(person))
        sampling = sampling or self.sampling(person)
        guard = line_guard(builder.messages, self.habits.get(person), sampling)
        return GeneratedTurn(
            engine,
            builder,
            person,
            sampling,
            opening=opening,
            guard=guard,
            is_cancelled=is_cancelled,
        )


def find_adapter_base(
    adapter: str, info: AdapterInfo, *, weights: bool, report: Reporter = silent
) -> Base:
    """Find the base that the adapter was trained on.

    Raises:
        ModelError: as `find_base`, or the base of that name is another one now.
    """
    base = find_base(info.base, weights=weights, report=report)
    info.check_base(adapter, base.fingerprint)
    return base


def open_clone(
    workspace: Workspace,
    name: str,
    settings: config.Settings,
    *,
    scope: Scope,
    seed: int | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Clone:
    """Load the adapter `name` of a workspace into an engine, both as `settings` say.

    `scope` is what the clone will be used for.

    Raises:
        ConsentError: nobody whom the adapter has learned from may be cloned for that.
        WorkspaceError: there is no such adapter, its metadata is damaged, or it has canaries.
        ModelError: the base or the adapter is missing or damaged, or they do not fit.
        EngineError: the engine of the settings cannot run it.
    """
    info = AdapterInfo.load(workspace, name)
    check_is_clone(workspace, name)
    consents = ConsentChecker(workspace, info.trained(name), scope)
    consents.check_anybody()
    if info.training.shortfall:
        report(f"adapter '{name}' has {info.training.shortfall}")
    base = find_adapter_base(name, info, weights=False, report=report)
    context = min(base.context, (CONTEXT_FACTOR + 1) * info.format.samples.max_length)

    def engine(adapter: str) -> Engine:
        return _engine(base, workspace.adapter(adapter), context, settings, report)

    # An engine has one adapter for life, so personas with their own have one each.
    engines = {person: engine(own) for person, own in info.adapters.items()}
    chat = settings.chat.with_calibration(info.sampling)
    first = next(iter(engines.values())) if engines else engine(name)
    for note in setting_notes(chat, info.personas, first.name, first.can):
        report(note)
    return Clone(
        engine=first,
        engines=engines,
        tokenizer=Tokenizer(base.folder),
        personas=info.personas,
        consents=consents,
        format=info.format,
        channels=info.channels,
        habits=info.habits,
        turn_taking=info.turn_taking,
        chat=chat,
        rng=random.Random(seed),
        base=LazyEngine(partial(_open_base, base, context, settings)),
        memory=open_memory(workspace, chat.memory_embeddings, report) if chat.memory else None,
        beginnings=Beginnings(
            workspace.prepared / "messages.parquet", lambda: people_now(workspace)
        ),
    )


def setting_notes(
    chat: config.Chat, personas: Sequence[str], engine: str, can: frozenset[str]
) -> list[str]:
    """Lines about settings of `chat` that cannot work as they are written."""
    notes = [
        f'[chat.personas."{name}"] is not used: {name} is no persona here, only '
        + ", ".join(personas)
        for name in chat.personas
        if name not in personas
    ]
    everyone = (chat.sampling(None, person) for person in personas)
    used = dict.fromkeys(line for own in everyone for line in substitutes_used(own, can))
    return [*notes, *(f"the engine {engine} lacks {line}" for line in used)]


def check_scale(folder: Path, chat: config.Chat) -> None:
    """Check that the adapter in `folder` has the scale of `chat`, or can get it.

    Raises:
        SettingsError: every weight was trained, so there is nothing to scale.
    """
    if chat.adapter_scale != 1 and (folder / FULL_MODEL_FOLDER).is_dir():
        raise SettingsError(
            f"'{folder.name}' is no LoRA, every weight of it was trained: set adapter_scale = 1 "
            "under [chat]"
        )


def _open_base(base: Base, context: int, settings: config.Settings) -> Engine:
    engine, slots = settings.chat.engine, 1
    return open_engine(engine, base, None, context=context, slots=slots, server=settings.engine)


def _engine(
    base: Base, folder: Path, context: int, settings: config.Settings, report: Callable[[str], None]
) -> Engine:
    """The engine with the adapter in `folder`, or with the whole model that was trained."""
    is_whole = (folder / FULL_MODEL_FOLDER).is_dir()
    check_scale(folder, settings.chat)
    return open_engine(
        settings.chat.engine,
        find_base(str(folder / FULL_MODEL_FOLDER), weights=False) if is_whole else base,
        None if is_whole else folder,
        context=context,
        slots=settings.chat.slots,
        adapter_scale=settings.chat.adapter_scale,
        server=settings.engine,
        report=report,
    )
