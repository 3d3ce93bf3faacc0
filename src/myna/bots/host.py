"""The bot of any platform: it receives messages, chooses who answers, and posts the answers.

Each channel has a room and one worker at a time, which ends when nothing is left to do:

    receive ─► outbox: task ─► room.say ─► choose speakers ─► room.speak ─► outbox: posts ─► post

A turn is posted when it is complete. If the process is killed before, nobody has seen it, and
it is regenerated. The model runs in threads; the engine's queue serves the rooms in turn.
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
from myna.bots.delivery import Delivery, is_quiet
from myna.bots.front import Front
from myna.bots.outbox import ChannelTask, Outbox, Post
from myna.config import Bot
from myna.conversations import name_mentions
from myna.errors import BusyError, MynaError, RoomError
from myna.people.consent_checker import ConsentChecker
from myna.rooms.registry import LiveReply, LiveRoom, Rooms
from myna.rooms.store import Message

MAX_FOLLOW_UP_TURNS = 2
"""Limit of turns that other clones, drawn at random, take after an answer."""
MAX_ANSWERS = 4
"""Limit of clones that answer one message."""
MAX_HUMANS = 12
"""Limit of humans in a room, and so in its system line: the last ones who wrote."""
T = TypeVar("T")
log = logging.getLogger(__name__)


class Host:
    """A bot on one platform.

    Args:
        rooms: the clone's rooms.
        outbox: the outbox of this platform.
        consents: the consent of the workspace's people.
        settings: `[bot]` of myna.toml.
        front: the platform.
        off_file: the bot is silent as long as this file exists.
        count_tokens: counts the tokens of a text.
        slots: number of replies that the engine generates at once.
        rng: draws who speaks unasked.
        now: the time on this machine's clock.
    """

    def __init__(
        self,
        rooms: Rooms,
        outbox: Outbox,
        consents: ConsentChecker,
        settings: Bot,
        front: Front,
        *,
        off_file: Path,
        count_tokens: Callable[[str], int],
        slots: int = 1,
        rng: random.Random | None = None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.outbox = outbox
        self.consents = consents
        self.settings = settings
        self.front = front
        self.off_file = off_file
        self._rooms = rooms
        self._count_tokens = count_tokens
        self._rng = rng or random.Random()
        self._now = now
        self._delivery = Delivery(outbox, front, settings.typing_speed, self._may_speak)
        self._open_rooms: dict[str, LiveRoom] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._replies: dict[str, LiveReply] = {}
        # Threads that wait for the engine cost next to nothing.
        self._threads = ThreadPoolExecutor(slots + 8, thread_name_prefix="room")

    # Incoming messages.

    async def room(self, channel_id: str, *, make: bool = False) -> LiveRoom | None:
        """The room of a channel; None if it has none, unless `make` creates it.

        The first call in a process deletes the messages of a turn that a kill interrupted.
        """
        if channel_id not in self._open_rooms and (make or channel_id in self.outbox.channels()):
            exists = channel_id in self.outbox.channels()
            id_ = f"{self.front.platform}:{channel_id}"
            personas: list[str] | None = None if exists else []
            room = await self.in_thread(partial(self._rooms.open, id_, personas=personas))
            if channel_id not in self._open_rooms:
                if exists:
                    newest = self.outbox.newest_posted_message(channel_id)
                    for message in await self.in_thread(partial(room.messages, 200)):
                        if message.by_clone and message.id > newest:
                            await self.in_thread(partial(room.delete, message.id))
                self.outbox.add_channel(channel_id)
                self._open_rooms[channel_id] = room
        return self._open_rooms.get(channel_id)

    async def resume(self) -> None:
        """Continue the work of a process that was stopped or killed."""
        for channel_id in self.outbox.channels():
            await self.room(channel_id)
            self.start_worker(channel_id)

    async def receive(
        self,
        channel_id: str,
        key: str,
        account: str,
        name: str,
        text: str,
        *,
        to: str | None = None,
        may_answer: bool = True,
    ) -> bool:
        """Receive a message of a human; False if it is not read.

        Args:
            channel_id: the channel.
            key: the message's id on the platform; a second message of this key is ignored.
            account: its author, as in people.toml (`discord:1234`).
            name: the author's display name; any text.
            text: any text; it stays one message.
            to: the persona to whose message it replies.
            may_answer: False for an old message, which is only read.
        """
        room = await self.room(channel_id)
        if room is None or not text.strip() or not self.consents.may_read(account):
            return False
        present = self.present_personas(room)
        if not present:
            self.outbox.skip_message(channel_id, key)
            return False
        speakers: Sequence[str] | None = None
        if to in present:
            speakers = [to]
        elif mentioned := name_mentions.named_people(text, present):
            speakers = mentioned[:MAX_ANSWERS]
        elif name_mentions.names_everyone(text):
            speakers = present[:MAX_ANSWERS]
        self.outbox.add_task(
            channel_id,
            key=key,
            person=self.name_in_room(channel_id, account, name),
            text=text,
            may_answer=may_answer,
            speakers=speakers,
            turns=MAX_FOLLOW_UP_TURNS,
        )
        self.start_worker(channel_id)
        return True

    async def edit_message(self, channel_id: str, key: str, text: str) -> None:
        """Follow a human's edit of a message."""
        room = await self.room(channel_id)
        if room is None:
            return
        async with self._locks[channel_id]:
            if not self.outbox.edit_message(channel_id, key, text):
                await self._if_exists(partial(room.edit, key, text))

    async def delete_message(self, channel_id: str, key: str) -> None:
        """Follow the deletion of a message, of a human or of a clone."""
        room = await self.room(channel_id)
        if room is None:
            return
        async with self._locks[channel_id]:
            post = self.outbox.find_post(channel_id, key)
            if post is not None:
                self.outbox.drop_post(post, "deleted")
                await self._if_exists(partial(room.delete, post.message))
            else:
                self.outbox.cancel_message(channel_id, key)
                await self._if_exists(partial(room.delete, key))

    async def leave_channel(self, channel_id: str) -> None:
        """Erase the room of a channel that is gone."""
        if await self.room(channel_id) is not None:
            self.outbox.remove_channel(channel_id)
            if worker := self._workers.pop(channel_id, None):
                worker.cancel()
            del self._open_rooms[channel_id]
            await self.in_thread(partial(self._rooms.drop, f"{self.front.platform}:{channel_id}"))

    async def forget_account(self, account: str) -> None:
        """Erase an account's messages in all rooms."""
        names_by_channel = self.outbox.names_of([account])
        self.outbox.erase([account])
        for channel_id, names in names_by_channel.items():
            room = await self.room(channel_id)
            if room is None:
                continue
            async with self._locks[channel_id]:
                for message in await self.in_thread(room.messages):
                    if message.person in names and not message.by_clone:
                        await self._if_exists(partial(room.delete, message.id))
                for name in names:
                    await self._if_exists(partial(room.leave, name))

    def name_in_room(self, channel_id: str, account: str, name: str) -> str:
        """An account's name in a room, which is fixed by its first message."""
        names = self.outbox.names(channel_id)
        if account not in names:
            person = self.consents.person_of(account)
            name = person.display_name if person is not None else name
            names[account] = front_.name_in_room(name, set(names.values()), self.consents.personas)
            self.outbox.set_name(channel_id, account, names[account])
        return names[account]

    def present_personas(self, room: LiveRoom) -> list[str]:
        """The personas of a room that may speak."""
        allowed = self.consents.speakers()
        return [person for person in room.personas if person in allowed]

    def silence_reason(self) -> str:
        """The reason why the clones are silent now; "" if they may speak."""
        if self.off_file.exists():
            return "switched off by the owner"
        if is_quiet(self._now(), self.settings.quiet_hours):
            return f"quiet hours ({self.settings.quiet_hours})"
        if self.settings.daily_tokens and self.outbox.tokens_today() >= self.settings.daily_tokens:
            return "the limit of tokens for today is reached (bot.daily_tokens)"
        return ""

    # Answers.

    def start_worker(self, channel_id: str) -> None:
        """Start the worker of a channel unless it runs."""
        worker = self._workers.get(channel_id)
        if worker is None or worker.done():
            name = f"channel {channel_id}"
            self._workers[channel_id] = asyncio.create_task(self._work(channel_id), name=name)

    def silence(self) -> None:
        """Stop all live replies, and drop all messages that wait to be posted."""
        self.outbox.drop_everything("switched off")
        self._stop_replies()

    def _stop_replies(self) -> None:
        for reply in list(self._replies.values()):
            reply.close()

    async def close(self) -> None:
        """Stop; the next process continues unfinished work."""
        self._stop_replies()
        for worker in self._workers.values():
            worker.cancel()
        await asyncio.gather(*self._workers.values(), return_exceptions=True)
        self._threads.shutdown(wait=True)

    async def _work(self, channel_id: str) -> None:
        room = await self.room(channel_id)
        while room is not None:
            async with self._locks[channel_id]:
                await self._store_messages(channel_id, room)
            if post := self.outbox.next_post(channel_id):
                await self._deliver(post, room)
            elif task := self.outbox.next_task(channel_id):
                try:
                    await self._run_task(task, room)
                except BusyError:
                    await asyncio.sleep(1)
                except Exception as error:
                    # One message that cannot be answered does not silence the channel.
                    trace = not isinstance(error, MynaError)
                    log.error("%s: %s", channel_id, error, exc_info=trace)
                    self.outbox.finish_task(task)
            else:
                return

    async def _store_messages(self, channel_id: str, room: LiveRoom) -> None:
        """Write the received messages into the room."""
        for task in self.outbox.new_messages(channel_id):
            to = task.speakers or ()
            say = partial(room.say, task.person, task.text, key=task.key, to=to)
            await self._if_exists(say)
            self.outbox.mark_stored(task)
            for human in room.humans[: -MAX_HUMANS or None]:
                if human != task.person:
                    await self._if_exists(partial(room.leave, human))

    async def _run_task(self, task: ChannelTask, room: LiveRoom) -> None:
        """Let the next speaker of a task take a turn, or finish the task."""
        if not task.may_answer or self.silence_reason():
            self.outbox.finish_task(task)
        elif task.speakers:
            person, *rest = task.speakers
            if person in self.present_personas(room):
                await self._speak(task, room, person, rest, task.turns)
            else:
                self.outbox.set_speakers(task, rest, task.turns)
        elif task.turns and (speaker := await self._draw_speaker(task, room)):
            await self._speak(task, room, speaker, (), task.turns - 1)
        else:
            self.outbox.finish_task(task)

    async def _draw_speaker(self, task: ChannelTask, room: LiveRoom) -> str | None:
        """Draw a persona that speaks unasked, by the model's probabilities; None: nobody."""
        messages = await self.in_thread(partial(room.messages, 1))
        last = messages[-1].person if messages else None
        candidates = [person for person in self.present_personas(room) if person != last]
        if not candidates:
            return None
        humans = []
        if task.key is not None:  # after a human's message, humans may be next too
            if self.outbox.count_open_tasks(task.channel_id) > 1:
                return None  # a newer message waits
            if self._rng.random() >= self.chattiness(room):
                return None
            humans = [person for person in room.humans if person != last]
        everyone = [*candidates, *humans]
        probabilities = await self.in_thread(partial(room.speaker_probabilities, everyone))
        speaker = self._rng.choices(list(probabilities), weights=list(probabilities.values()))[0]
        return speaker if speaker in candidates else None

    def chattiness(self, room: LiveRoom) -> float:
        """The probability that a clone of a room joins in unasked."""
        notes = room.settings.get("notes") or {}
        return float(notes.get("chattiness", self.settings.chattiness))

    async def _speak(
        self, task: ChannelTask, room: LiveRoom, person: str, rest: Sequence[str], turns: int
    ) -> None:
        """Generate a persona's turn, and put its messages into the outbox."""
        messages = await self.in_thread(partial(self._generate_turn, task.channel_id, room, person))
        if not self._may_speak(person) or person not in room.personas:
            for message in messages:
                await self._if_exists(partial(room.delete, message.id))
            self.outbox.finish_task(task)
            return
        posts = []
        for message in messages:
            pieces = self.front.split(person, message.text)
            posts += [(person, message.turn, message.id, piece, False) for piece in pieces]
            if not pieces:  # nothing of it can be posted
                await self._if_exists(partial(room.delete, message.id))
        if posts:
            posts[-1] = (*posts[-1][:4], True)
        tokens = sum(self._count_tokens(message.text) for message in messages)
        self.outbox.add_posts(task, posts, speakers=rest, turns=turns, tokens=tokens)

    def _generate_turn(self, channel_id: str, room: LiveRoom, person: str) -> list[Message]:
        """The messages of a whole turn; runs in a thread."""
        with room.speak(person) as reply:
            self._replies[channel_id] = reply
            try:
                return list(reply.messages())
            finally:
                del self._replies[channel_id]

    async def _deliver(self, post: Post, room: LiveRoom) -> None:
        """Post a message; if that is impossible, delete it from the room."""
        await self._delivery.deliver(post)
        current = self.outbox.get_post(post.id)
        if current is not None and current.state == "dropped":
            await self._if_exists(partial(room.delete, post.message))

    def _may_speak(self, person: str) -> bool:
        return not self.off_file.exists() and person in self.consents.speakers()

    async def _if_exists(self, call: Callable[[], object]) -> None:
        """Change a room; a message or member that is already gone is no error."""
        try:
            await self.in_thread(call)
        except RoomError as error:
            log.debug("%s", error)

    async def in_thread(self, call: Callable[[], T]) -> T:
        """The result of a blocking call, run in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
