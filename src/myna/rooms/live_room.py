"""A live room: what is said in it, and who speaks next."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from myna import config
from myna.config import Sampling
from myna.conversations import name_mentions
from myna.engines.queueing import Queue
from myna.errors import BusyError, PeopleError, RoomError, SpeakingError
from myna.people import plain_name
from myna.persona import next_speaker as next_speaker_
from myna.persona.clone import Clone
from myna.persona.memory import OWNER
from myna.persona.prompt import Line, Room
from myna.persona.turn import Generation
from myna.rendering.turns import entry_line_of
from myna.rooms.live_reply import Reply
from myna.rooms.members import Attendance
from myna.rooms.prompt_history import Shown, copied
from myna.rooms.store import LONGEST, Histories, Message

AHEAD = 0.15
"""Share of the longest prompt that is kept free for what is said next: a reply and more."""


class LiveRoom(Attendance):
    """A room in use: `Rooms.open` gives it."""

    def __init__(
        self,
        clone: Clone,
        histories: Histories,
        queue: Queue,
        name: str,
        settings: dict[str, Any],
    ) -> None:
        super().__init__(clone, histories, name, settings)
        self._queue = queue
        self._shown = Shown(self._clone, self._histories, name)
        self._reading = threading.Lock()
        """Held while the engine reads ahead."""
        self._floor: object | None = None
        """Whoever has it speaks, or is about to."""
        self._reply: weakref.ref[Reply] | None = None
        self.speaking: str | None = None
        """The persona who is speaking now."""

    def say(
        self, person: str, text: str, *, key: str | None = None, to: Sequence[str] = ()
    ) -> Message | None:
        """A human says something; they join if they are not here.

        Args:
            person: who.
            text: whatever it looks like, it stays one message of theirs.
            key: what the message is known by elsewhere.
            to: the personas it is for, where that is known better than from the text.

        Returns:
            The message; None where its key is known already (delivered twice, it is said
            once), or where nothing can be seen in it.

        Raises:
            RoomError: it is longer than 20,000 characters.
        """
        if not any(char.isprintable() and not char.isspace() for char in text):
            return None
        person = plain_name(person)
        with self._lock:
            message = self._histories.add(self.id, person, text, key=key, to=to)
            if message is not None:
                self.join(person)
                self._shown.add(message)
        return message

    def addressed(self) -> list[str]:
        """The personas here whom the last words of humans are for, and who did not answer yet.

        Empty where they are for all: by `to`, or else by names with which the text begins
        or that have an @ in front.
        """
        with self._lock:
            here, spoken, wanted, burst = self.personas, set[str](), list[str](), False
            for message in reversed(self._shown.messages):
                if message.by_clone:
                    if burst:
                        break
                    spoken.add(message.person)
                    continue
                burst = True
                named = message.to or name_mentions.named_people(message.text, here, addressed=True)
                wanted += [n for n in named if n in here and n not in spoken and n not in wanted]
            return wanted

    def chances(self, among: Sequence[str] | None = None) -> dict[str, float]:
        """How likely each of `among` is to speak next, by the model; sums to 1.

        None means everybody here, humans included, but for whoever spoke last: what they
        say next would belong to the same turn. Empty where that is nobody.

        Raises:
            BusyError: too many wait for the engine.
            EngineError: the engine failed.
        """
        with self._lock:
            last = self._shown.last_person
            asked = [m for m in self.members if m != last] if among is None else list(among)
            room = self._room()
            room.before_cue()
            self._shown.trim()
            room = copied(room)
        if len(asked) < 2:
            return dict.fromkeys(asked, 1.0)
        with self._queue.slot(self.id), self._reading:
            return next_speaker_.probabilities(self._clone.engine, room, asked)

    def next_speaker(self, among: Sequence[str] | None = None) -> str | None:
        """Who speaks next: one who is addressed, or else drawn by `chances`.

        May be a human: then it is their turn. None where nobody is here.

        Raises:
            BusyError, EngineError: as `chances`.
        """
        wanted = [name for name in self.addressed() if among is None or name in among]
        if wanted:
            return wanted[0]
        chances = self.chances(among)
        return next_speaker_.choose(chances, self._clone.chance) if chances else None

    def speak(
        self, person: str | None = None, *, among: Sequence[str] | None = None, opening: str = ""
    ) -> Reply:
        """A persona's next turn: iterate to hear it.

        Args:
            person: who speaks. None: one who is addressed, or else one of the personas in
                `among` (None: all here) by their chances; never who spoke last.
            among: see `person`.
            opening: the first line of what they say, which they go on from (an entry).

        Raises:
            PeopleError: no persona here is called so, or there is none.
            SpeakingError: somebody speaks in this room already.
            BusyError, EngineError: as `chances`; the same may come while iterating.
        """
        with self._one_speaks():
            if person is None:
                person = self._choose(among)
            elif person not in self.personas:
                here = ", ".join(self.personas) or "nobody"
                raise PeopleError(f"no persona called {person!r} is here: there is {here}")
            return self._begin(person, None, opening)

    def read_ahead(self, gone: Callable[[], bool] = lambda: False) -> None:
        """Have the engine read what it has not yet read, so that the next reply begins at once.

        To be called while nothing is asked for: where a room is resumed, and after replies.
        A history that fills the prompt is trimmed now: reading what is left of it takes
        seconds, which nobody waits for then. It ends soon after `gone`, and does nothing
        where it would be in the way.

        Raises:
            EngineError: the engine failed.
        """
        if self._queue.waiting:
            return
        with suppress(BusyError), self._queue.slot(self.id, gone), self._reading:
            with self._lock:
                personas, last = self.personas, self._shown.last_person
                if self._floor is not None or not personas or last is None:
                    return
                unread = self._shown.is_new
                person = last if last in personas else personas[0]
                room = self._room()
                if not room.make_space(AHEAD) and not unread:
                    return
                prompt = room.prompt(person)
                self._shown.trim()
            engine = self._clone.engine_for(person)
            for _ in Generation(engine, prompt, Sampling(max_tokens=1), gone):
                pass

    def retry(self) -> Reply:
        """The last turn of a persona is said anew, with another seed.

        The old one is erased when the new one begins. What humans said since stays, after it.

        Raises:
            RoomError: no persona has said anything since `forget`.
            SpeakingError, BusyError, EngineError: as `speak`.
        """
        with self._one_speaks(), self._lock:
            here = self.personas
            said = reversed(self._shown.messages)
            last = next((m for m in said if m.by_clone and m.person in here), None)
            if last is None:
                raise RoomError("there is no answer to say anew")
            first = next(m for m in self._shown.messages if m.turn == last.turn)
            return self._begin(last.person, last.turn, entry_line_of(first.text))

    def edit(self, message: int | str, text: str) -> Message:
        """Give a message, known by its id (int) or its key (str), other words.

        Raises:
            RoomError: there is no such message, nothing in the text, or too much.
        """
        with self._lock:
            edited = self._histories.edit(self.id, message, text)
            self._shown.change(edited)
        return edited

    def delete(self, message: int | str) -> Message:
        """Erase a message's words; returns the message as it was.

        Raises:
            RoomError: there is no such message.
        """
        with self._lock:
            erased = self._histories.delete(self.id, message)
            self._shown.drop([erased])
        return erased

    def forget(self) -> None:
        """The personas forget what was said up to now; nothing is erased."""
        with self._lock:
            self._shown.forget(self._histories.forget(self.id))

    def catch_up(self) -> list[tuple[str, Message]]:
        """Take in what another process said or changed here.

        Returns what that was: "message", "edited" or "deleted", and which message.
        """
        with self._lock:
            settings = self._histories.settings(self.id)
            if settings is not None and settings != self._settings:
                self._settings = settings
                self._others_are_here()
            return self._shown.catch_up()

    def messages(self, last: int | None = None) -> list[Message]:
        """What was said, in order; of a long history only the `last` messages."""
        return self._histories.messages(self.id, last)

    def _others_are_here(self) -> None:
        self._shown.begin_anew()

    def _choose(self, among: Sequence[str] | None) -> str:
        here = [p for p in self.personas if among is None or p in among]
        if not here:
            raise PeopleError("nobody is here to speak: bring a persona in first")
        with self._lock:
            last = self._shown.last_person
        others = [p for p in here if p != last]
        if not others:
            raise PeopleError(f"{here[0]} spoke last, and nobody else is here to answer")
        return self.next_speaker(others) or others[0]

    def _room(self, before: int | None = None) -> Room:
        """The room that prompts are made with: of all that is shown, or of before a turn."""
        room = self._shown.room(self.personas, self.humans, before)
        room.most_tokens = self._clone.max_prompt_tokens(self._chat)
        return room

    @property
    def _chat(self) -> config.Chat:
        """How personas speak here."""
        return self._clone.chat.model_copy(update=self._settings["chat"])

    def _begin(self, person: str, turn: int | None, opening: str) -> Reply:
        """The reply of `person`, from what was said up to now, or before their turn."""
        with self._lock:
            room = self._room(turn)
            room.recalled = self._recalled(person, room)
            sampling = self._clone.sampling(self._chat)
            said = self._clone.speak(room, person, sampling=sampling, opening=opening)
            room.recalled = []
            new = turn is None
            if turn is None:
                self._shown.trim()
                turn = self._histories.begin_turn(self.id)
            reply = Reply(
                said,
                self._queue,
                self.id,
                turn,
                self._store,
                partial(self._leave_floor, self._floor),
                partial(self._make_way, () if new else (turn,)),
            )
            # Not held here: one that nobody hears any more frees the floor.
            self._reply = weakref.ref(reply)
            self.speaking = person
            return reply

    def _recalled(self, person: str, room: Room) -> list[Line]:
        memory, audience, chat = self._clone.memory, self._settings["audience"], self._chat
        if memory is None or not chat.memory or not audience:
            return []
        return memory.recall(
            person,
            room.lines,
            OWNER if audience == OWNER else [*audience, *self._settings["humans"]],
            most=chat.memory_exchanges,
            tokens=min(chat.memory_tokens, room.most_tokens // 4),
            count=lambda text: len(self._clone.tokenizer.encode(text).ids),
        )

    def _store(self, person: str, text: str, turn: int) -> Message:
        with self._lock:
            message = self._histories.add(self.id, person, text[:LONGEST], by_clone=True, turn=turn)
            if message is None:
                raise RoomError("a message without a key is never known already")
            self._shown.add(message)
        return message

    def _make_way(self, erased: Sequence[int]) -> list[Message]:
        """A reply begins, in the place of these turns; what was read ahead is ready for it."""
        with self._reading, self._lock:
            gone = [m for turn in erased for m in self._histories.delete_turn(self.id, turn)]
            if gone:
                self._shown.drop(gone)
            return gone

    def stop(self) -> None:
        """Stop whoever is speaking."""
        reply = self._reply() if self._reply else None
        if reply is not None:
            reply.close()

    @contextmanager
    def _one_speaks(self) -> Iterator[None]:
        """Take the floor, until the reply that is begun has ended.

        Raises:
            SpeakingError: somebody has it already.
        """
        with self._lock:
            if self._floor is not None:
                who = self.speaking or "somebody"
                raise SpeakingError(f"{who} is speaking here: wait, or stop them")
            mine = self._floor = object()
        try:
            yield
        except BaseException:
            self._leave_floor(mine)
            raise

    def _leave_floor(self, mine: object) -> None:
        with self._lock:
            if self._floor is mine:
                self._floor = self._reply = self.speaking = None
