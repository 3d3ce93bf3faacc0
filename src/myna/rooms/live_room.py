"""A live room: its messages, and the turns of personas."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from myna import config
from myna.config import Sampling
from myna.conversations import name_mentions
from myna.engines.queueing import Queue
from myna.errors import BusyError, PeopleError, RoomError, SpeakingError
from myna.people import sanitize_name
from myna.persona import next_speaker as next_speaker_
from myna.persona.clone import Clone
from myna.persona.prompt import PromptBuilder, PromptMessage
from myna.persona.turn import Generation
from myna.rendering.turns import entry_line_of
from myna.rooms.live_reply import LiveReply
from myna.rooms.members import RoomMembers
from myna.rooms.prompt_history import PromptHistory
from myna.rooms.store import MAX_MESSAGE_CHARS, Message, RoomStore

FREE_SHARE = 0.15
"""Share of the prompt budget that is kept free for the next messages."""


class LiveRoom(RoomMembers):
    """A room in use, as `Rooms.open` returns it."""

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
        self._history = PromptHistory(clone, store, room_id)
        self._engine_lock = threading.Lock()
        """Held while the engine processes a prompt ahead of time."""
        self._current_turn: object | None = None
        """An object for the turn in progress, or about to start."""
        self._reply: weakref.ref[LiveReply] | None = None
        self.speaking: str | None = None
        """The persona who speaks now."""

    def say(
        self, person: str, text: str, *, key: str | None = None, to: Sequence[str] = ()
    ) -> Message | None:
        """Add a human's message; they join if they are not here.

        Args:
            person: the author.
            text: nothing in it can end the message or begin another one.
            key: the message's id elsewhere.
            to: the personas that it is for, if the client knows better than the text.

        Returns:
            The message; None if its key is known already (it was delivered twice), or if it
            has no visible character.

        Raises:
            RoomError: it is longer than 20,000 characters.
        """
        if not any(char.isprintable() and not char.isspace() for char in text):
            return None
        person = sanitize_name(person)
        with self._lock:
            message = self._store.add(self.id, person, text, key=key, to=to)
            if message is not None:
                self.join(person)
                self._history.add(message)
        return message

    @property
    def is_empty(self) -> bool:
        """True where prompts show no message."""
        with self._lock:
            return not self._history.messages

    def begin(self, topic: str = "") -> list[Message]:
        """Begin an empty room with a real moment of the chats, or with one about a topic.

        Its messages are stored as those of the people who wrote them; see
        `myna.persona.scenes.Beginnings.draw`. Empty where there is no such moment, or prompts
        show messages already.
        """
        with self._lock:
            beginnings = self._clone.beginnings
            if beginnings is None or not self.is_empty:
                return []
            scene = beginnings.draw(self.personas, self.audience, self._clone.rng, topic)
            begun = []
            for turn in scene.before if scene else ():
                message = self._store.add(self.id, turn.person, turn.text)
                assert message is not None  # noqa: S101  # it has no key
                self._history.add(message)
                begun.append(message)
            return begun

    def addressed(self) -> list[str]:
        """The personas here that the latest messages of humans are for, and that did not answer.

        By `to`, or else by names with which the text begins or that have an @ in front. Empty
        if the messages are for all.
        """
        with self._lock:
            here, answered, addressed = self.personas, set[str](), dict[str, None]()
            is_human = False
            for message in reversed(self._history.messages):
                if message.by_clone:
                    if is_human:
                        break
                    answered.add(message.person)
                    continue
                is_human = True
                named = message.to or name_mentions.named_people(message.text, here, addressed=True)
                addressed |= dict.fromkeys(n for n in named if n in here and n not in answered)
            return list(addressed)

    def speaker_probabilities(self, among: Sequence[str] | None = None) -> dict[str, float]:
        """The probability of each of `among` to speak next, by the model; sums to 1.

        None means everybody here, humans included, but for the last speaker: their next
        message would belong to the same turn. Empty if nobody is left.

        Raises:
            BusyError: too many wait for the engine.
            EngineError: the engine failed.
        """
        with self._lock:
            last = self._history.last_person
            names = [m for m in self.members if m != last] if among is None else list(among)
            builder = self._builder()
            builder.prompt_before_name()
            self._history.trim()
            # The room goes on meanwhile.
            builder = replace(builder, members=[*builder.members], messages=[*builder.messages])
        if len(names) < 2:
            return dict.fromkeys(names, 1.0)
        with self._queue.slot(self.id), self._engine_lock:
            return self._clone.speaker_probabilities(builder, names)

    def next_speaker(self, among: Sequence[str] | None = None) -> str | None:
        """Choose the next speaker: the first addressed, or else drawn by `speaker_probabilities`.

        May be a human: then it is their turn. None if nobody is here.

        Raises:
            BusyError, EngineError: as `speaker_probabilities`.
        """
        for name in self.addressed():
            if among is None or name in among:
                return name
        probabilities = self.speaker_probabilities(among)
        return next_speaker_.sample(probabilities, self._clone.rng) if probabilities else None

    def speak(
        self, person: str | None = None, *, among: Sequence[str] | None = None, opening: str = ""
    ) -> LiveReply:
        """A persona's next turn: iterate to generate it.

        Args:
            person: the persona. None: one who is addressed, or else one of the personas in
                `among` (None: all here) by their probabilities; never the last speaker.
            among: see `person`.
            opening: the first line of the turn, which they continue (an entry).

        Raises:
            PeopleError: no persona here is called so, or there is none.
            ConsentError: they may not be cloned now.
            SpeakingError: a persona speaks in this room already.
            BusyError, EngineError: as `speaker_probabilities`, now or while iterating.
        """
        with self._one_turn():
            if person is None:
                person = self._choose(among)
            elif person not in self.personas:
                if person in self._settings["personas"]:
                    self._check_consents()
                here = ", ".join(self.personas) or "nobody"
                raise PeopleError(f"no persona called {person!r} is here: there is {here}")
            return self._start(person, None, opening)

    def read_ahead(self, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        """Process the prompt in advance (prefill), so that the next turn starts at once.

        To be called while the engine is idle: when a room is resumed, and after turns. A
        history that fills the prompt is trimmed now, as processing the rest takes seconds.
        Ends soon after `is_cancelled`; does nothing if the engine is in use.

        Raises:
            EngineError: the engine failed.
        """
        if self._queue.waiting:
            return
        with suppress(BusyError), self._queue.slot(self.id, is_cancelled), self._engine_lock:
            with self._lock:
                personas, last = self.personas, self._history.last_person
                if self._current_turn is not None or not personas or last is None:
                    return
                is_new = self._history.is_reset
                person = last if last in personas else personas[0]
                builder = self._builder()
                if not builder.trim_if_full(FREE_SHARE) and not is_new:
                    return
                prompt = builder.prompt(person)
                self._history.trim()
            engine = self._clone.engine_for(person)
            for _ in Generation(engine, prompt, Sampling(max_new_tokens=1), is_cancelled):
                pass

    def regenerate(self) -> LiveReply:
        """Regenerate the last turn of a persona, with another seed.

        The old one is erased when the new one starts. Later messages of humans stay, after it.

        Raises:
            RoomError: no persona has spoken since `forget`.
            SpeakingError, BusyError, EngineError: as `speak`.
        """
        with self._one_turn(), self._lock:
            here = self.personas
            latest = reversed(self._history.messages)
            last = next((m for m in latest if m.by_clone and m.person in here), None)
            if last is None:
                self._check_consents()
                raise RoomError("there is no turn of a persona to regenerate")
            first = next(m for m in self._history.messages if m.turn == last.turn)
            return self._start(last.person, last.turn, entry_line_of(first.text))

    def edit(self, message: int | str, text: str) -> Message:
        """Replace the text of a message, given by its id (int) or its key (str).

        Raises:
            RoomError: there is no such message, or the text is empty or too long.
        """
        with self._lock:
            edited = self._store.edit(self.id, message, text)
            self._history.replace(edited)
        return edited

    def delete(self, message: int | str) -> Message:
        """Erase a message's text; returns the message as it was.

        Raises:
            RoomError: there is no such message.
        """
        with self._lock:
            erased = self._store.delete(self.id, message)
            self._history.remove([erased])
        return erased

    def forget(self) -> None:
        """Show no message up to now in prompts; nothing is erased."""
        with self._lock:
            self._history.forget(self._store.forget(self.id))

    def catch_up(self) -> list[tuple[str, Message]]:
        """Read the changes that another process made in this room.

        Returns each message that is new ("message"), "edited" or "deleted".
        """
        with self._lock:
            settings = self._store.settings(self.id)
            if settings is not None and settings != self._settings:
                self._settings = settings
                self._history.reset()
            return self._history.catch_up()

    def messages(self, last: int | None = None) -> list[Message]:
        """All messages in order, or only the `last` ones."""
        return self._store.messages(self.id, last)

    def _on_members_changed(self) -> None:
        self._history.reset()

    def _choose(self, among: Sequence[str] | None) -> str:
        here = [p for p in self.personas if among is None or p in among]
        if not here:
            self._check_consents()
            raise PeopleError("no persona is here to speak: add one first")
        with self._lock:
            last = self._history.last_person
        others = [p for p in here if p != last]
        if not others:
            raise PeopleError(f"{here[0]} spoke last, and nobody else is here to answer")
        return self.next_speaker(others) or others[0]

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

    def _start(self, person: str, turn: int | None, opening: str) -> LiveReply:
        """A new turn of `person`, or another one in place of `turn`."""
        with self._lock:
            builder = self._builder(turn)
            builder.recalled = self._recalled(person, builder)
            sampling = self._clone.sampling(person, self._chat)
            generated = self._clone.speak(builder, person, sampling=sampling, opening=opening)
            builder.recalled = []
            replaced = () if turn is None else (turn,)
            if turn is None:
                self._history.trim()
                turn = self._store.begin_turn(self.id)
            reply = LiveReply(
                generated,
                self._queue,
                self.id,
                turn,
                self._save_message,
                partial(self._end_turn, self._current_turn),
                partial(self._erase_turns, replaced),
            )
            # A weak reference: a reply that its caller drops ends the turn.
            self._reply = weakref.ref(reply)
            self.speaking = person
            return reply

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

    def _save_message(self, person: str, text: str, turn: int) -> Message:
        with self._lock:
            text = text[:MAX_MESSAGE_CHARS]
            message = self._store.add(self.id, person, text, by_clone=True, turn=turn)
            assert message is not None  # noqa: S101  # only one with a key may be known already
            self._history.add(message)
        return message

    def _erase_turns(self, turns: Sequence[int]) -> list[Message]:
        """Erase the turns that a starting one replaces, once `read_ahead` is done."""
        with self._engine_lock, self._lock:
            erased = [m for turn in turns for m in self._store.delete_turn(self.id, turn)]
            if erased:
                self._history.remove(erased)
            return erased

    def stop(self) -> None:
        """Stop the turn in progress."""
        reply = self._reply() if self._reply else None
        if reply is not None:
            reply.close()

    @contextmanager
    def _one_turn(self) -> Iterator[None]:
        """Allow no other turn, until the one that is started has ended.

        Raises:
            SpeakingError: one is in progress already.
        """
        with self._lock:
            if self._current_turn is not None:
                speaker = self.speaking or "somebody"
                raise SpeakingError(f"{speaker} is speaking here: wait, or stop them")
            mine = self._current_turn = object()
        try:
            yield
        except BaseException:
            self._end_turn(mine)
            raise

    def _end_turn(self, mine: object) -> None:
        with self._lock:
            if self._current_turn is mine:
                self._current_turn = self._reply = self.speaking = None
