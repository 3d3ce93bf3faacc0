"""Prompts of a live room: as they are, edited by hand, and turns drawn without storing them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any

from myna import config
from myna.config import Sampling
from myna.engines.queueing import Queue
from myna.errors import EngineError, RoomError
from myna.persona.clone import Clone
from myna.persona.prompt import PromptBuilder, PromptMessage
from myna.persona.raw_prompt import raw_prompt_ids
from myna.persona.turn import GeneratedTurn
from myna.rooms.room_messages import RoomMessages
from myna.rooms.store import Message, RoomStore


class RoomPrompts(RoomMessages):
    """A room's prompts. Nothing in here stores a message."""

    def __init__(
        self,
        clone: Clone,
        store: RoomStore,
        queue: Queue,
        room_id: str,
        settings: dict[str, Any],
    ) -> None:
        super().__init__(clone, store, room_id, settings)
        self._queue = queue
        self._engine_lock = threading.Lock()
        """Held while the engine processes a prompt that is not of a turn."""

    def persona_turn(self, turn: int | None) -> list[Message]:
        """The messages of a persona's turn in prompts; None: the last one.

        Raises:
            RoomError: there is none.
        """
        here = self.personas
        latest = (m for m in reversed(self._history.messages) if m.by_clone and m.person in here)
        last = next((m for m in latest if turn in (None, m.turn)), None)
        if last is None:
            self._check_consents()
            raise RoomError(
                "there is no turn of a persona to regenerate or to continue"
                if turn is None
                else "this turn cannot be said anew: its persona is not here, or it is forgotten"
            )
        return [m for m in self._history.messages if m.turn == last.turn]

    def suggest(
        self, person: str, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Generator[str]:
        """Draw a turn of a human's own clone, in pieces; nothing of it is stored.

        Raises:
            PeopleError, ConsentError: they are no persona, or may not be cloned now.
            BusyError, EngineError: as `speak`.
        """
        self._clone.check_persona(person)
        return self._unstored(self._clone, person, None, self._seeded(person), is_cancelled)

    def compare(
        self, turn: int | None, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[str]:
        """Draw a persona's turn as the base alone and as the clone would say it: two texts.

        Both have the same prompt and the same seed; nothing is stored.

        Raises:
            RoomError: as `regenerate`.
            BusyError, EngineError: as `speak`, or the base cannot be opened.
        """
        said = self.persona_turn(turn)
        person, number = said[0].person, said[0].turn
        sampling = self._seeded(person)
        for clone in (self._clone.without_training(), self._clone):
            pieces = self._unstored(clone, person, number, sampling, is_cancelled)
            yield "".join(pieces).strip()

    def _seeded(self, person: str) -> Sampling:
        return self._clone.sampling(person, self._chat)

    def _unstored(
        self,
        clone: Clone,
        person: str,
        before: int | None,
        sampling: Sampling,
        is_cancelled: Callable[[], bool],
    ) -> Generator[str]:
        """A turn that is not stored, in pieces; `before` a turn, or at the end."""
        builder = self._copied_builder(person, before)
        turn = clone.speak(builder, person, sampling=sampling, is_cancelled=is_cancelled)
        return self._in_slot(turn, is_cancelled)

    def _in_slot(self, turn: GeneratedTurn, is_cancelled: Callable[[], bool]) -> Generator[str]:
        with self._queue.slot(self.id, is_cancelled), self._engine_lock:
            yield from turn

    def prompt_text(self, person: str) -> str:
        """The exact text after which a persona would speak now, control tokens as written.

        Raises:
            PeopleError, ConsentError: they are no persona, or may not be cloned now.
        """
        builder = self._copied_builder(self._clone.check_persona(person))
        return self._clone.tokenizer.decode(builder.prompt(person))

    def raw_prompt_ids(self, person: str, text: str) -> list[int]:
        """The token ids of a prompt that was edited by hand; see `persona.raw_prompt`.

        Raises:
            PeopleError, ConsentError: they are no persona, or may not be cloned now.
            RoomError: the text does not end on another person's message, or is too long.
        """
        builder = self._copied_builder(self._clone.check_persona(person))
        return raw_prompt_ids(builder, text, person)

    def continue_prompt(
        self, person: str, text: str, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Generator[str]:
        """Continue a prompt that was edited by hand as a persona's turn, in pieces.

        Nothing is stored.

        Raises:
            PeopleError, ConsentError, RoomError: as `raw_prompt_ids`.
            BusyError, EngineError: as `speak`.
        """
        ids = self.raw_prompt_ids(person, text)
        engine = self._clone.engine_for(person)
        turn = GeneratedTurn(
            engine,
            self._copied_builder(person),
            person,
            self._seeded(person),
            prompt_ids=ids,
            is_cancelled=is_cancelled,
        )
        return self._in_slot(turn, is_cancelled)

    def next_tokens(self, person: str, text: str, top: int = 10) -> list[tuple[str, float]]:
        """The most probable tokens behind a prompt that was edited by hand.

        Raises:
            PeopleError, ConsentError, RoomError: as `raw_prompt_ids`.
            BusyError, EngineError: as `speak`, or the engine gives no probabilities.
        """
        ids, engine = self.raw_prompt_ids(person, text), self._clone.engine_for(person)
        if "next_probs" not in engine.can:
            raise EngineError(f"the engine {engine.name} gives no probabilities of tokens")
        with self._queue.slot(self.id), self._engine_lock:
            found = engine.next_probs(ids, top)
        best = sorted(found.items(), key=lambda entry: -entry[1])[:top]
        return [(self._clone.tokenizer.decode([number]), chance) for number, chance in best]

    def _copied_builder(self, person: str, before: int | None = None) -> PromptBuilder:
        """A builder of its own, so that trimming for a look changes nothing."""
        with self._lock:
            builder = self._builder(before)
            members = list(dict.fromkeys([*builder.members, person]))
            return replace(builder, messages=[*builder.messages], members=members)

    def _recalled(self, person: str, builder: PromptBuilder) -> list[PromptMessage]:
        memory, audience, chat = self._clone.memory, self.audience, self._chat
        if memory is None or not chat.memory or not audience:
            return []
        return memory.recall(
            person,
            builder.messages,
            audience,
            max_exchanges=chat.memory_exchanges,
            max_tokens=min(chat.memory_tokens, builder.prompt_budget // 4),
            count=lambda text: len(self._clone.tokenizer.encode(text).ids),
        )

    def _check_consents(self) -> None:
        """Raise ConsentError if a persona in the room may not be cloned now."""
        for person in self._settings["personas"]:
            if person in self._clone.personas:
                self._clone.check_persona(person)

    def _builder(self, before: int | None = None) -> PromptBuilder:
        """The builder of prompts, with the whole prompt history, or with that before a turn."""
        builder = self._history.builder(self.personas, self.humans, before)
        builder.prompt_budget = self._clone.prompt_budget(self._chat)
        builder.day = self.era or builder.day
        return builder

    @property
    def _chat(self) -> config.Chat:
        """The settings of `[chat]` for this room."""
        return self._clone.chat.with_changes(self._settings["chat"])
