"""A live room: the turns of personas, said, said anew and continued."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from myna.config import Sampling
from myna.engines.queueing import Queue
from myna.errors import BusyError, PeopleError, RoomError, SpeakingError
from myna.persona import next_speaker as next_speaker_
from myna.persona.clone import Clone
from myna.persona.turn import Generation
from myna.rendering.turns import entry_line_of, escape_turn
from myna.rooms.live_reply import LiveReply
from myna.rooms.room_prompts import RoomPrompts
from myna.rooms.store import MAX_MESSAGE_CHARS, Message, RoomStore

FREE_SHARE = 0.15
"""Share of the prompt budget that is kept free for the next messages."""


class LiveRoom(RoomPrompts):
    """A room in use, as `Rooms.open` returns it."""

    def __init__(
        self,
        clone: Clone,
        store: RoomStore,
        queue: Queue,
        room_id: str,
        settings: dict[str, Any],
    ) -> None:
        super().__init__(clone, store, queue, room_id, settings)
        self._current_turn: object | None = None
        """An object for the turn in progress, or about to start."""
        self._reply: weakref.ref[LiveReply] | None = None
        self.speaking: str | None = None
        """The persona who speaks now."""
        self._version = 1
        """The version of the turn in progress."""

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
            return self._start(person, opening)

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

    def regenerate(self, turn: int | None = None) -> LiveReply:
        """Say a turn of a persona anew, with another seed; None: the last one.

        The version before is hidden when this one starts, and shown again if nothing comes of
        it. Later messages stay, after the turn.

        Raises:
            RoomError: no persona has spoken since `forget`, or not in this turn.
            SpeakingError, BusyError, EngineError: as `speak`.
        """
        with self._one_turn(), self._lock:
            said = self.persona_turn(turn)
            return self._start(said[0].person, entry_line_of(said[0].text), replaced=said)

    def go_on(self, turn: int | None = None) -> LiveReply:
        """Let a persona continue a turn where it ends; None: the last one.

        The last message gets longer, or others follow it in the same turn.

        Raises:
            RoomError: as `regenerate`, or it is an entry, which is one message.
            SpeakingError, BusyError, EngineError: as `speak`.
        """
        with self._one_turn(), self._lock:
            said = self.persona_turn(turn)
            if entry_line_of(said[0].text):
                raise RoomError("a page of a journal or an essay cannot be continued")
            texts = [m.text for m in said]
            spec = self._clone.format.spec
            if spec.role(said[0].person, said[0].person) in spec.escaped:
                texts = escape_turn(texts)
            return self._start(said[0].person, "\n".join(texts), continued=said[-1])

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

    def _start(
        self,
        person: str,
        opening: str,
        *,
        replaced: Sequence[Message] = (),
        continued: Message | None = None,
    ) -> LiveReply:
        """A new turn of `person`, another version of one, or one that goes on."""
        known = continued or next(iter(replaced), None)
        with self._lock:
            builder = self._builder(known.turn if known else None)
            builder.recalled = self._recalled(person, builder)
            sampling = self._clone.sampling(person, self._chat)
            generated = self._clone.speak(builder, person, sampling=sampling, opening=opening)
            builder.recalled = []
            if known is None:
                self._history.trim()
            turn = known.turn if known else self._store.begin_turn(self.id)
            reply = LiveReply(
                generated,
                self._queue,
                self.id,
                turn,
                self._save_message,
                partial(self._end_reply, self._current_turn),
                partial(self._begin_reply, replaced),
                continued,
            )
            # A weak reference: a reply that its caller drops ends the turn.
            self._reply = weakref.ref(reply)
            self.speaking, self.speaking_turn = person, turn
            self._version = known.version if known else 1
            return reply

    def _save_message(self, reply: LiveReply, text: str, continued: Message | None) -> Message:
        text = text[:MAX_MESSAGE_CHARS]
        with self._lock:
            if continued is not None:
                with suppress(RoomError):  # it was deleted meanwhile
                    return self.edit(continued.id, text)
            message = self._store.add(
                self.id, reply.person, text, by_clone=True, turn=reply.turn, version=self._version
            )
            assert message is not None  # noqa: S101  # only one with a key may be known already
            self._history.add(message)
        return message

    def _begin_reply(self, replaced: Sequence[Message]) -> list[Message]:
        """Hide the version that a starting turn replaces, once `read_ahead` is done."""
        with self._engine_lock, self._lock:
            if not replaced:
                return []
            self._version = self._store.begin_version(self.id, replaced[0].turn)
            self._history.remove(replaced)
            return list(replaced)

    def _end_reply(self, mine: object, reply: LiveReply) -> None:
        """Show the version before again, if nothing came of a new one."""
        with self._lock:
            if reply.replaced and not reply.completed:
                before = reply.replaced[0]
                with suppress(RoomError):  # it was deleted meanwhile
                    shown = self._store.show_version(self.id, before.turn, before.version)
                    self._show([], shown)
        self._end_turn(mine)

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
                self._current_turn = self._reply = None
                self.speaking = self.speaking_turn = None
