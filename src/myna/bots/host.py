"""The bot, whatever the platform: it hears, decides who answers, and posts what they say.

Each place (a channel) has a room and is worked on by one task at a time, which ends when
nothing is left to do there:

    hear ──► outbox: task ──► room.say ──► who answers ──► room.speak ──► outbox: posts ──► post

A turn is posted once it is whole, so that a kill while it is made loses no word of it: it
was never seen, and it is made anew. The model's work runs in threads, and the engine's
queue takes the rooms in turn.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from myna.bots import front as front_
from myna.bots.consent import Consents
from myna.bots.delivery import Delivery, is_quiet
from myna.bots.front import Front
from myna.bots.outbox import Outbox, Post, Task
from myna.config import Bot
from myna.conversations import name_mentions
from myna.errors import BusyError, MynaError, RoomError
from myna.rooms.registry import LiveReply, LiveRoom, Rooms
from myna.rooms.store import Message

FOLLOWING = 2
"""Most turns that other clones take after an answer, if the chance has it so."""
MOST_ANSWERS = 4
"""Most clones that answer one message."""
MOST_HUMANS = 12
"""Humans that the line about who is in the room names: the last ones to speak."""
T = TypeVar("T")
log = logging.getLogger(__name__)


class Host:
    """A bot on one platform.

    Args:
        rooms: of the clone.
        outbox: of this platform.
        consents: of the workspace.
        settings: `[bot]` of myna.toml.
        front: the platform.
        off: a file that silences the bot as long as it is there.
        count: how many tokens a text has.
        slots: how many replies the engine makes at once.
        chance: for what is left to it.
        now: the time on this machine's clock.
    """

    def __init__(
        self,
        rooms: Rooms,
        outbox: Outbox,
        consents: Consents,
        settings: Bot,
        front: Front,
        *,
        off: Path,
        count: Callable[[str], int],
        slots: int = 1,
        chance: random.Random | None = None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.outbox = outbox
        self.consents = consents
        self.settings = settings
        self.front = front
        self.off = off
        self._rooms = rooms
        self._count = count
        self._chance = chance or random.Random()
        self._now = now
        self._delivery = Delivery(outbox, front, settings.typing_speed, self._may)
        self._open: dict[str, LiveRoom] = {}
        self._working: dict[str, asyncio.Task[None]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._replies: dict[str, LiveReply] = {}
        # Threads that wait for the engine cost next to nothing.
        self._threads = ThreadPoolExecutor(slots + 8, thread_name_prefix="room")

    # What comes in.

    async def room(self, place: str, *, make: bool = False) -> LiveRoom | None:
        """The room of a place; None where the clones are not, unless they are to come.

        The first time in this process, what a killed one left half made goes.
        """
        if place not in self._open and (make or place in self.outbox.places()):
            known = place in self.outbox.places()
            id_ = f"{self.front.platform}:{place}"
            personas: list[str] | None = None if known else []
            found = await self.blocking(partial(self._rooms.open, id_, personas=personas))
            if place not in self._open:
                if known:
                    newest = self.outbox.newest_message(place)
                    for message in await self.blocking(partial(found.messages, 200)):
                        if message.by_clone and message.id > newest:
                            await self.blocking(partial(found.delete, message.id))
                self.outbox.open_place(place)
                self._open[place] = found
        return self._open.get(place)

    async def resume(self) -> None:
        """Go on where the last process was stopped or killed."""
        for place in self.outbox.places():
            await self.room(place)
            self.work(place)

    async def hear(
        self,
        place: str,
        key: str,
        account: str,
        name: str,
        text: str,
        *,
        to: str | None = None,
        answered: bool = True,
    ) -> bool:
        """Somebody wrote something; False where it is not read.

        Args:
            place: where.
            key: the message's id there; the same message is heard once.
            account: who, as people.toml writes it (`discord:1234`).
            name: what they are called there: anything.
            text: anything; it stays one message of theirs.
            to: the persona whose message it replies to.
            answered: whether it may be answered; old news is only read.
        """
        room = await self.room(place)
        if room is None or not text.strip() or not self.consents.reads(account):
            return False
        present = self.present(room)
        if not present:
            self.outbox.passed(place, key)
            return False
        speakers: Sequence[str] | None = None
        if to in present:
            speakers = [to]
        elif called := name_mentions.named_people(text, present):
            speakers = called[:MOST_ANSWERS]
        elif name_mentions.names_everyone(text):
            speakers = present[:MOST_ANSWERS]
        self.outbox.add(
            place,
            key=key,
            person=self.called(place, account, name),
            text=text,
            answered=answered,
            speakers=speakers,
            turns=FOLLOWING,
        )
        self.work(place)
        return True

    async def edited(self, place: str, key: str, text: str) -> None:
        """A human gave a message other words."""
        room = await self.room(place)
        if room is None:
            return
        async with self._locks[place]:
            if not self.outbox.reworded(place, key, text):
                await self._quietly(partial(room.edit, key, text))

    async def deleted(self, place: str, key: str) -> None:
        """A message is gone from the platform, of a human or of a clone."""
        room = await self.room(place)
        if room is None:
            return
        async with self._locks[place]:
            post = self.outbox.posted(place, key)
            if post is not None:
                self.outbox.drop(post, "deleted")
                await self._quietly(partial(room.delete, post.message))
            else:
                self.outbox.withdrawn(place, key)
                await self._quietly(partial(room.delete, key))

    async def leave(self, place: str) -> None:
        """A place is gone: so is what was said there."""
        if await self.room(place) is not None:
            self.outbox.leave_place(place)
            if running := self._working.pop(place, None):
                running.cancel()
            del self._open[place]
            await self.blocking(partial(self._rooms.drop, f"{self.front.platform}:{place}"))

    async def forget(self, account: str) -> None:
        """Take what somebody wrote out of all rooms."""
        in_rooms = self.outbox.called([account])
        self.outbox.erase([account])
        for place, called in in_rooms.items():
            room = await self.room(place)
            if room is None:
                continue
            async with self._locks[place]:
                for message in await self.blocking(room.messages):
                    if message.person in called and not message.by_clone:
                        await self._quietly(partial(room.delete, message.id))
                for name in called:
                    await self._quietly(partial(room.leave, name))

    def called(self, place: str, account: str, name: str) -> str:
        """What an account is called in a room, from its first message on."""
        known = self.outbox.names(place)
        if account not in known:
            person = self.consents.person(account)
            mine = person.shown if person is not None else name
            known[account] = front_.in_room(mine, set(known.values()), self.consents.personas)
            self.outbox.call(place, account, known[account])
        return known[account]

    def present(self, room: LiveRoom) -> list[str]:
        """The personas of a room that may speak."""
        allowed = self.consents.speakers()
        return [person for person in room.personas if person in allowed]

    def silent(self) -> str:
        """Why nobody speaks now; "" where they may."""
        if self.off.exists():
            return "switched off by the owner"
        if is_quiet(self._now(), self.settings.quiet_hours):
            return f"quiet hours ({self.settings.quiet_hours})"
        if self.settings.daily_tokens and self.outbox.spent() >= self.settings.daily_tokens:
            return "all has been said that may be said today (bot.daily_tokens)"
        return ""

    # What goes out.

    def work(self, place: str) -> None:
        """See to it that what is to be done in a place is done."""
        running = self._working.get(place)
        if running is None or running.done():
            self._working[place] = asyncio.create_task(self._work(place), name=f"place {place}")

    def silence(self) -> None:
        """At once, nobody speaks any more, and nothing that waits is posted."""
        self.outbox.drop_all("switched off")
        for reply in list(self._replies.values()):
            reply.close()

    async def close(self) -> None:
        """Stop; what is half done is gone on with the next time."""
        for reply in list(self._replies.values()):
            reply.close()
        for task in self._working.values():
            task.cancel()
        await asyncio.gather(*self._working.values(), return_exceptions=True)
        self._threads.shutdown(wait=True)

    async def _work(self, place: str) -> None:
        room = await self.room(place)
        while room is not None:
            async with self._locks[place]:
                await self._hear(place, room)
            if post := self.outbox.next_post(place):
                await self._deliver(post, room)
            elif task := self.outbox.next_task(place):
                try:
                    await self._advance(task, room)
                except BusyError:
                    await asyncio.sleep(1)
                except Exception as error:
                    # One message that cannot be answered does not silence the place.
                    log.error("%s: %s", place, error, exc_info=not isinstance(error, MynaError))
                    self.outbox.finish(task)
            else:
                return

    async def _hear(self, place: str, room: LiveRoom) -> None:
        """Have all that came in stand in the room."""
        for task in self.outbox.unheard(place):
            to = task.speakers or ()
            say = partial(room.say, task.person, task.text, key=task.key, to=to)
            await self._quietly(say)
            self.outbox.heard(task)
            for gone in room.humans[: -MOST_HUMANS or None]:
                if gone != task.person:
                    await self._quietly(partial(room.leave, gone))

    async def _advance(self, task: Task, room: LiveRoom) -> None:
        """Have the next one speak for a task, or be done with it."""
        if not task.answered or self.silent():
            self.outbox.finish(task)
        elif task.speakers:
            person, *rest = task.speakers
            if person in self.present(room):
                await self._speak(task, room, person, rest, task.turns)
            else:
                self.outbox.decide(task, rest, task.turns)
        elif task.turns and (drawn := await self._drawn(task, room)):
            await self._speak(task, room, drawn, (), task.turns - 1)
        else:
            self.outbox.finish(task)

    async def _drawn(self, task: Task, room: LiveRoom) -> str | None:
        """Who speaks unasked, by the model's own chances; None where nobody does."""
        said = await self.blocking(partial(room.messages, 1))
        last = said[-1].person if said else None
        among = [person for person in self.present(room) if person != last]
        if not among:
            return None
        if task.key is not None:  # a message of a human: they may have the word
            if self.outbox.waiting(task.place) > 1:
                return None  # somebody has written since
            if self._chance.random() >= self.chattiness(room):
                return None
            humans = [person for person in room.humans if person != last]
        else:
            humans = []
        chances = await self.blocking(partial(room.speaker_probabilities, [*among, *humans]))
        drawn = self._chance.choices(list(chances), weights=list(chances.values()))[0]
        return drawn if drawn in among else None

    def chattiness(self, room: LiveRoom) -> float:
        """How often the clones of a room join in unasked."""
        notes = room.settings.get("notes") or {}
        return float(notes.get("chattiness", self.settings.chattiness))

    async def _speak(
        self, task: Task, room: LiveRoom, person: str, rest: Sequence[str], turns: int
    ) -> None:
        """Have a persona take a turn, and its messages wait to be posted."""
        said = await self.blocking(partial(self._turn, task.place, room, person))
        if not self._may(person) or person not in room.personas:
            for message in said:
                await self._quietly(partial(room.delete, message.id))
            self.outbox.finish(task)
            return
        posts = []
        for message in said:
            pieces = self.front.pieces(person, message.text)
            posts += [(person, message.turn, message.id, piece, False) for piece in pieces]
            if not pieces:  # nobody gets to see it
                await self._quietly(partial(room.delete, message.id))
        if posts:
            posts[-1] = (*posts[-1][:4], True)
        tokens = sum(self._count(message.text) for message in said)
        self.outbox.said(task, posts, speakers=rest, turns=turns, tokens=tokens)

    def _turn(self, place: str, room: LiveRoom, person: str) -> list[Message]:
        """All of a turn; in a thread."""
        with room.speak(person) as reply:
            self._replies[place] = reply
            try:
                return list(reply.messages())
            finally:
                del self._replies[place]

    async def _deliver(self, post: Post, room: LiveRoom) -> None:
        """Post a message; where nobody gets to see it, it was not said."""
        await self._delivery.deliver(post)
        now = self.outbox.post(post.id)
        if now is not None and now.state == "dropped":
            await self._quietly(partial(room.delete, post.message))

    def _may(self, person: str) -> bool:
        return not self.off.exists() and person in self.consents.speakers()

    async def _quietly(self, call: Callable[[], object]) -> None:
        """Change a room, where what it is about may be gone."""
        try:
            await self.blocking(call)
        except RoomError as error:
            log.debug("%s", error)

    async def blocking(self, call: Callable[[], T]) -> T:
        """The result of a call that may take long; in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
