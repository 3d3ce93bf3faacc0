"""A live room: who is in it, what they say, and who speaks next."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from myna import config
from myna.engines.queueing import Queue
from myna.errors import PeopleError, RoomError, SettingsError, SpeakingError
from myna.messages import tidy
from myna.people import plain_name
from myna.persona import turn_taking
from myna.persona.clone import Clone
from myna.persona.histories import LONGEST, Histories, Message
from myna.persona.memory import OWNER, Audience
from myna.persona.reply import Reply
from myna.persona.room import Line, Room
from myna.persona.shown import Shown, copied
from myna.samples.lines import entry_line_of

OWN = ("temperature", "top_p", "min_p", "max_reply_tokens", "memory")
"""The settings of `[chat]` that a room may have of its own."""


class LiveRoom:
    """A room in use: `Rooms.open` gives it.

    Names are made to fit before a colon (`people.plain_name`) wherever they come in.
    """

    def __init__(
        self,
        clone: Clone,
        histories: Histories,
        queue: Queue,
        name: str,
        settings: dict[str, Any],
    ) -> None:
        self.id = name
        self._clone = clone
        self._histories = histories
        self._queue = queue
        self._settings = settings
        self._lock = threading.RLock()
        self._shown = Shown(self._clone, self._histories, name)
        self._floor: object | None = None
        """Whoever has it speaks, or is about to."""
        self._reply: weakref.ref[Reply] | None = None
        self.speaking: str | None = None
        """The persona who is speaking now."""

    @property
    def members(self) -> list[str]:
        """Everyone present: the personas, then the humans."""
        return [*self.personas, *self.humans]

    @property
    def personas(self) -> list[str]:
        """The personas present, without those whom a human speaks for."""
        with self._lock:
            known = self._clone.personas
            here = self._settings["personas"]
            return [p for p in here if p in known and p not in self._settings["humans"]]

    @property
    def humans(self) -> list[str]:
        """The humans present."""
        with self._lock:
            return list(self._settings["humans"])

    @property
    def settings(self) -> dict[str, Any]:
        """What is set for this room: `humans`, `personas`, `audience`, `chat`, `notes`."""
        with self._lock:
            return {**self._settings, "humans": self.humans, "chat": dict(self._settings["chat"])}

    def configure(
        self, chat: Mapping[str, Any] | None = None, notes: Mapping[str, Any] | None = None
    ) -> None:
        """Change how personas speak here.

        Args:
            chat: settings of `[chat]` that this room has its own of (temperature, top_p,
                min_p, max_reply_tokens, memory); a value of None goes back to the clone's.
            notes: what a front end wants to keep with the room, any JSON; None leaves it.

        Raises:
            SettingsError: no such setting, or a wrong value.
        """
        for name in chat or ():
            if name not in OWN:
                raise SettingsError(f"a room has no setting {name!r}: choose {', '.join(OWN)}")
        with self._lock:
            own = {**self._settings["chat"], **(chat or {})}
            own = {name: value for name, value in own.items() if value is not None}
            valid = config.updated(config.Settings(), "chat", own).chat
            own = {name: getattr(valid, name) for name in own}
            changed = {"chat": own} if notes is None else {"chat": own, "notes": dict(notes)}
            self._change(**changed)

    def heard_by(self, audience: Audience | None) -> None:
        """Say who can read the room from now on; None: unknown."""
        self._change(audience=audience if audience is None or audience == OWNER else [*audience])

    def join(self, name: str) -> None:
        """A human comes in; a persona of the same name falls silent."""
        self.arrive([name], None, None)

    def leave(self, name: str) -> None:
        """A human goes."""
        with self._lock:
            self._change(humans=[h for h in self.humans if h != plain_name(name)])

    def summon(self, name: str) -> None:
        """A persona comes in.

        Raises:
            PeopleError: there is no such persona.
        """
        name = self._clone.known(name)
        with self._lock:
            if name not in self._settings["personas"]:
                self._change(personas=[*self._settings["personas"], name])

    def dismiss(self, name: str) -> None:
        """A persona goes."""
        with self._lock:
            self._change(personas=[p for p in self._settings["personas"] if p != name])

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
            once), or where nothing is in it.

        Raises:
            RoomError: it is longer than 20,000 characters.
        """
        if not tidy(text):
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
                named = message.to or turn_taking.addressed(message.text, here)
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
            room = self._shown.room(self.personas, self.humans, None)
            room.before_cue()
            self._shown.trim()
            room = copied(room)
        if len(asked) < 2:
            return dict.fromkeys(asked, 1.0)
        with self._queue.turn(self.id):
            return turn_taking.probabilities(self._clone.engine, room, asked)

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
        return turn_taking.choose(chances, self._clone.chance) if chances else None

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

    def messages(self, last: int | None = None) -> list[Message]:
        """What was said, in order; of a long history only the `last` messages."""
        return self._histories.messages(self.id, last)

    def arrive(
        self, humans: Sequence[str], personas: Sequence[str] | None, audience: Audience | None
    ) -> None:
        """Humans come in; personas and audience are these, unless None leaves them."""
        with self._lock:
            here = list(dict.fromkeys([*self.humans, *map(plain_name, humans)]))
            if here != self.humans:
                self._change(humans=here)
            if personas is not None and list(personas) != self._settings["personas"]:
                self._change(personas=list(personas))
            if audience is not None:
                self.heard_by(audience)

    def _change(self, **settings: Any) -> None:
        with self._lock:
            changed = {**self._settings, **settings}
            if changed != self._settings:
                self._histories.keep(self.id, changed)
                if {"humans", "personas"} & settings.keys():
                    self._shown.begin_anew()
                self._settings = changed

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

    def _begin(self, person: str, turn: int | None, opening: str) -> Reply:
        """The reply of `person`, from what was said up to now, or before their turn."""
        with self._lock:
            chat = self._clone.chat.model_copy(update=self._settings["chat"])
            room = self._shown.room(self.personas, self.humans, turn)
            room.recalled = self._recalled(person, room, chat)
            prompt = room.prompt(person, opening)
            new = turn is None
            if turn is None:
                self._shown.trim()
                turn = self._histories.begin_turn(self.id)
            shown, room.recalled = copied(room), []
            clone = replace(self._clone, chat=chat)
            reply = Reply(
                clone.speak(shown, person, opening),
                self._queue,
                self.id,
                turn,
                len(prompt),
                self._store,
                partial(self._leave_floor, self._floor),
                partial(self._erase, () if new else (turn,)),
            )
            # Not held here: one that nobody hears any more frees the floor.
            self._reply = weakref.ref(reply)
            self.speaking = person
            return reply

    def _recalled(self, person: str, room: Room, chat: config.Chat) -> list[Line]:
        memory, audience = self._clone.memory, self._settings["audience"]
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

    def _erase(self, turns: Sequence[int]) -> list[Message]:
        with self._lock:
            erased = [m for turn in turns for m in self._histories.delete_turn(self.id, turn)]
            if erased:
                self._shown.drop(erased)
            return erased

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
