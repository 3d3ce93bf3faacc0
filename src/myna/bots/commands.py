"""The commands of a bot, the same on every platform; each returns a line to show."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from myna import people
from myna.bots.front import UndeliverableError, clone_display_name
from myna.bots.host import Host
from myna.errors import MynaError, PeopleError, RoomError
from myna.people.consent import MEANING
from myna.rooms.registry import LiveRoom

log = logging.getLogger(__name__)
EVERYONE = "everyone"
MAX_WATCH_TURNS = 30
"""Limit of turns that clones talk among themselves after one command."""


class BotCommands:
    """The commands of a bot. All raise PeopleError for an unknown person."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def matching_personas(self, prefix: str = "") -> list[str]:
        """The personas with consent that have a word in their name with this prefix."""
        folded = prefix.casefold().strip()
        return [
            person
            for person in self._host.consents.speakers()
            if any(word.casefold().startswith(folded) for word in (person, *person.split()))
        ]

    async def talk(
        self, channel_id: str, key: str, account: str, name: str, who: str, message: str
    ) -> str:
        """Send a message to a persona, who answers; it is summoned if it is not here."""
        person = self.find_speaker(who)
        if reason := self.refusal(account):
            return reason
        room = await self._open_room(channel_id)
        await self._host.in_thread(partial(room.summon, person))
        await self._host.receive(channel_id, key, account, name, message, to=person)
        return f"{clone_display_name(person)} has heard you."

    def refusal(self, account: str) -> str:
        """The reason why no clone would answer an account now; "" if one would."""
        if not self._host.consents.may_read(account):
            return "You have opted out: what you write is not read."
        reason = self._host.silence_reason()
        return f"Nobody speaks now: {reason}." if reason else ""

    async def summon(self, channel_id: str, who: str) -> str:
        """Add a persona, or everyone, to a channel."""
        is_everyone = who.casefold() == EVERYONE
        personas = self.matching_personas() if is_everyone else [self.find_speaker(who)]
        if not personas:
            return "Nobody here has consented to be cloned: see `myna people`."
        room = await self._open_room(channel_id)
        for person in personas:
            await self._host.in_thread(partial(room.summon, person))
        return f"Here now: {self._list_personas(room)}."

    async def dismiss(self, channel_id: str, who: str) -> str:
        """Remove a persona, or everyone, from a channel."""
        room = await self._existing_room(channel_id)
        present = list(room.personas)
        is_everyone = who.casefold() == EVERYONE
        for person in present if is_everyone else [people.match_name(who, present)]:
            await self._host.in_thread(partial(room.dismiss, person))
        return f"Here now: {self._list_personas(room)}."

    async def set_personas(
        self, channel_id: str, chosen: Sequence[str], among: Sequence[str]
    ) -> str:
        """Add the chosen personas to a channel, and remove the others of `among`."""
        room = await self._existing_room(channel_id)
        personas = [self.find_speaker(who) for who in chosen]
        for person in set(among).difference(personas):
            await self._host.in_thread(partial(room.dismiss, person))
        for person in personas:
            await self._host.in_thread(partial(room.summon, person))
        return f"Here now: {self._list_personas(room)}."

    async def watch(self, channel_id: str, turns: int) -> str:
        """Let the clones talk among themselves."""
        room = await self._existing_room(channel_id)
        if reason := self._host.silence_reason():
            return f"Nobody speaks now: {reason}."
        if len(self._host.present_personas(room)) < 2:
            return "It takes two to talk: summon more of them."
        if self._host.outbox.has_clone_talk(channel_id):
            return "They talk among themselves already."
        turns = min(max(turns, 1), MAX_WATCH_TURNS)
        self._host.outbox.add_task(channel_id, speakers=(), turns=turns)
        self._host.start_worker(channel_id)
        return f"They talk for {turns} turns."

    async def retry(self, channel_id: str, post_id: int | None = None) -> str:
        """Regenerate a turn: the newest, or the one that a post belongs to."""
        room = await self._existing_room(channel_id)
        outbox = self._host.outbox
        post = outbox.newest_post(channel_id) if post_id is None else outbox.get_post(post_id)
        if post is None or post.channel_id != channel_id or post.state == "dropped":
            return "There is no answer to regenerate."
        if reason := self._host.silence_reason():
            return f"Nobody speaks now: {reason}."
        outbox.add_task(channel_id, speakers=[post.person])
        await self._retract(channel_id, room, post.turn, "regenerated")
        self._host.start_worker(channel_id)
        return f"{clone_display_name(post.person)} answers again."

    async def delete(self, channel_id: str, post_id: int) -> str:
        """Delete a clone's turn, on the platform and in the room."""
        room = await self._existing_room(channel_id)
        post = self._host.outbox.get_post(post_id)
        if post is None or post.channel_id != channel_id:
            return "That is too long ago: delete it by hand."
        await self._retract(channel_id, room, post.turn, "deleted")
        return "It is gone."

    async def _retract(self, channel_id: str, room: LiveRoom, turn: int, reason: str) -> None:
        posts = self._host.outbox.turn_posts(channel_id, turn)
        for post in posts:
            self._host.outbox.drop_post(post, reason)
        for message in {post.message for post in posts}:
            try:
                await self._host.in_thread(partial(room.delete, message))
            except RoomError:
                continue  # it is already deleted
        try:
            await self._host.front.remove([post for post in posts if post.platform_id])
        except UndeliverableError as error:
            raise RoomError(str(error)) from error

    async def forget_context(self, channel_id: str) -> str:
        """Begin a new context in a channel: the clones forget its messages."""
        room = await self._existing_room(channel_id)
        await self._host.in_thread(room.forget)
        return "They have forgotten what was said here up to now."

    async def settings(
        self, channel_id: str, chattiness: float | None = None, temperature: float | None = None
    ) -> str:
        """Change the settings of a channel, and show them."""
        room = await self._existing_room(channel_id)
        if chattiness is not None:
            if not 0 <= chattiness <= 1:
                raise MynaError("chattiness is a number from 0 to 1")
            notes = dict(room.settings.get("notes") or {}) | {"chattiness": chattiness}
            await self._host.in_thread(partial(room.configure, notes=notes))
        if temperature is not None:
            await self._host.in_thread(partial(room.configure, chat={"temperature": temperature}))
        chat = room.settings.get("chat") or {}
        return (
            f"chattiness {self._host.chattiness(room):g}, "
            f"temperature {chat.get('temperature', 'as in myna.toml')}. "
            f"Here now: {self._list_personas(room)}."
        )

    async def present_personas(self, channel_id: str) -> list[str]:
        """The personas in a channel that may speak."""
        return self._host.present_personas(await self._existing_room(channel_id))

    async def list_members(self, channel_id: str) -> str:
        """List the clones in a channel, and the other ones."""
        room = await self._host.room(channel_id)
        others = [p for p in self.matching_personas() if room is None or p not in room.personas]
        here = self._list_personas(room) if room is not None else "nobody"
        absent = ", ".join(map(clone_display_name, others)) or "nobody else"
        return f"Here now: {here}. Could be: {absent}."

    async def opt_out(self, account: str, name: str, who: str | None = None) -> str:
        """Opt a human out: their clone falls silent, their messages are erased and not read."""
        consents = self._host.consents
        persona = people.match_name(who, consents.personas) if who else None
        silent = consents.opt_out(account, name, persona)
        await self._host.forget_account(account)
        if silent:
            clone = clone_display_name(silent)
            return f"Done: {clone} never speaks again, and what you write is not read."
        return (
            "Done: what you write is not read any more. If a clone of you is here under a name "
            "that is not known to be yours, say which with who."
        )

    def consent_question(self, account: str, name: str) -> str:
        """The question whether somebody may be cloned, to be shown with a yes and a no.

        Raises:
            PeopleError: people.toml lacks the account, or has it as a bot's.
        """
        person = self._host.consents.person_of(account)
        if person is None or person.is_bot:
            raise PeopleError(
                f"people.toml has nobody with the account {account}: add it to their accounts"
            )
        return (
            f"**{name}, may you be cloned?**\n{MEANING}\nA yes here is for a clone that talks to "
            f"the owner of the chats and in groups such as this one. Only {name} can answer; the "
            "buttons stay, so that a yes can be taken back."
        )

    async def answer_consent(self, account: str, *, agrees: bool, where: str) -> str:
        """Write down somebody's own answer; a no also silences a clone that is there already."""
        how = f"by a button of the bot, in {where}"
        person = await self._host.in_thread(
            partial(self._host.consents.answer, account, agrees=agrees, how=how)
        )
        log.info("%s: %s", person.name, "agreed to be cloned" if agrees else "may not be cloned")
        if agrees:
            return "Thank you: you may be cloned. The other button takes it back, at any time."
        return (
            "Done: you are not cloned. A clone of you is silent from now on, and the next training "
            "is without your messages."
        )

    async def stats(self, channel_id: str) -> str:
        """Count the messages of a channel, and the tokens of today."""
        outbox, settings = self._host.outbox, self._host.settings
        counts = outbox.count_messages(channel_id)
        most = f" of {settings.daily_tokens:,}" if settings.daily_tokens else ""
        return (
            f"Here: {counts['heard']:,} messages heard, {counts['sent']:,} said, "
            f"{counts['waiting']:,} on their way, {counts['dropped']:,} taken back or not posted. "
            f"Today, everywhere: {outbox.tokens_today():,}{most} tokens. "
            f"{self._host.silence_reason().capitalize() or 'They may speak'}."
        )

    def switch(self, on: bool) -> str:
        """The owner's switch: at once, and until it is switched on again."""
        off = self._host.off_file
        if on:
            off.unlink(missing_ok=True)
            return "They may speak again."
        off.parent.mkdir(parents=True, exist_ok=True)
        off.touch()
        self._host.silence()
        return "They are silent, here and everywhere, until you switch them on again."

    def find_speaker(self, who: str) -> str:
        """The persona meant by a name, if they may speak."""
        try:
            return people.match_name(who, self._host.consents.speakers())
        except PeopleError:
            people.match_name(who, self._host.consents.personas)  # nobody at all: it says so
            raise PeopleError(f"{who} has not consented to be cloned, or has opted out") from None

    async def _open_room(self, channel_id: str) -> LiveRoom:
        room = await self._host.room(channel_id, make=True)
        if room is None:
            raise RoomError("there can be no room here")
        return room

    async def _existing_room(self, channel_id: str) -> LiveRoom:
        room = await self._host.room(channel_id)
        if room is None:
            raise RoomError("nobody is here: summon somebody first")
        return room

    def _list_personas(self, room: LiveRoom) -> str:
        return ", ".join(map(clone_display_name, self._host.present_personas(room))) or "nobody"
