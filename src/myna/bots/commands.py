"""What people may ask of the bot, the same on every platform; each gives a line to show."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from myna import people
from myna.bots.front import UndeliverableError, shown
from myna.bots.host import Host
from myna.errors import MynaError, PeopleError, RoomError
from myna.rooms.registry import LiveRoom

EVERYONE = "everyone"
MOST_TURNS = 30
"""Most turns that clones talk among themselves at one command."""


class Commands:
    """The commands of a bot. All raise PeopleError for somebody who is not there."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def could_speak(self, begin: str = "") -> list[str]:
        """The personas with consent whose name begins so, any word of it."""
        folded = begin.casefold().strip()
        return [
            person
            for person in self._host.consents.speakers()
            if any(
                part.startswith(folded) for part in (person.casefold(), *person.casefold().split())
            )
        ]

    async def talk(
        self, place: str, key: str, account: str, name: str, who: str, message: str
    ) -> str:
        """Say something to a persona, who answers; they come in if they are not here."""
        person = self.find(who)
        if why := self.refusal(account):
            return why
        room = await self._room(place)
        await self._host.blocking(partial(room.summon, person))
        await self._host.hear(place, key, account, name, message, to=person)
        return f"{shown(person)} has heard you."

    def refusal(self, account: str) -> str:
        """Why nobody would answer somebody now; "" where they would."""
        if not self._host.consents.reads(account):
            return "You have opted out: what you write is not read."
        why = self._host.silent()
        return f"Nobody speaks now: {why}." if why else ""

    async def summon(self, place: str, who: str) -> str:
        """Have a persona come in, or everyone."""
        called = self.could_speak() if who.casefold() == EVERYONE else [self.find(who)]
        if not called:
            return "Nobody here has consented to be cloned: see `myna people`."
        room = await self._room(place)
        for person in called:
            await self._host.blocking(partial(room.summon, person))
        return f"Here now: {self._listed(room)}."

    async def dismiss(self, place: str, who: str) -> str:
        """Have a persona go, or everyone."""
        room = await self._known(place)
        gone = list(room.personas) if who.casefold() == EVERYONE else [
            people.match_name(who, room.personas)
        ]  # fmt: skip
        for person in gone:
            await self._host.blocking(partial(room.dismiss, person))
        return f"Here now: {self._listed(room)}."

    async def choose(self, place: str, chosen: Sequence[str], among: Sequence[str]) -> str:
        """Have those who are chosen be here, and nobody else of those to choose among."""
        room = await self._known(place)
        called = [self.find(who) for who in chosen]
        for person in set(among).difference(called):
            await self._host.blocking(partial(room.dismiss, person))
        for person in called:
            await self._host.blocking(partial(room.summon, person))
        return f"Here now: {self._listed(room)}."

    async def watch(self, place: str, turns: int) -> str:
        """Let them talk among themselves."""
        room = await self._known(place)
        if why := self._host.silent():
            return f"Nobody speaks now: {why}."
        if len(self._host.present(room)) < 2:
            return "It takes two to talk: summon more of them."
        if self._host.outbox.is_talk(place):
            return "They talk among themselves already."
        turns = min(max(turns, 1), MOST_TURNS)
        self._host.outbox.add(place, speakers=(), turns=turns)
        self._host.work(place)
        return f"They talk for {turns} turns."

    async def retry(self, place: str, post_id: int | None = None) -> str:
        """Have a turn said anew: the newest, or the one that a post belongs to."""
        room = await self._known(place)
        outbox = self._host.outbox
        post = outbox.newest_post(place) if post_id is None else outbox.post(post_id)
        if post is None or post.place != place or post.state == "dropped":
            return "There is no answer to be said anew."
        if why := self._host.silent():
            return f"Nobody speaks now: {why}."
        outbox.add(place, speakers=[post.person])
        await self._taken_back(place, room, post.turn, "said anew")
        self._host.work(place)
        return f"{shown(post.person)} says it anew."

    async def delete(self, place: str, post_id: int) -> str:
        """Take a clone's turn back, on the platform and in the room."""
        room = await self._known(place)
        post = self._host.outbox.post(post_id)
        if post is None or post.place != place:
            return "That is too long ago: delete it by hand."
        await self._taken_back(place, room, post.turn, "deleted")
        return "It is gone."

    async def _taken_back(self, place: str, room: LiveRoom, turn: int, why: str) -> None:
        posts = self._host.outbox.of_turn(place, turn)
        for post in posts:
            self._host.outbox.drop(post, why)
        for message in {post.message for post in posts}:
            try:
                await self._host.blocking(partial(room.delete, message))
            except RoomError:
                continue  # it was deleted before
        try:
            await self._host.front.remove([post for post in posts if post.posted])
        except UndeliverableError as error:
            raise RoomError(str(error)) from error

    async def forget_context(self, place: str) -> str:
        """Have them forget what was said here up to now."""
        room = await self._known(place)
        await self._host.blocking(room.forget)
        return "They have forgotten what was said here up to now."

    async def settings(
        self, place: str, chattiness: float | None = None, temperature: float | None = None
    ) -> str:
        """Show or change how they behave here."""
        room = await self._known(place)
        if chattiness is not None:
            notes = dict(room.settings.get("notes") or {}) | {"chattiness": _share(chattiness)}
            await self._host.blocking(partial(room.configure, notes=notes))
        if temperature is not None:
            await self._host.blocking(partial(room.configure, chat={"temperature": temperature}))
        chat = room.settings.get("chat") or {}
        return (
            f"chattiness {self._host.chattiness(room):g}, "
            f"temperature {chat.get('temperature', 'as in myna.toml')}. "
            f"Here now: {self._listed(room)}."
        )

    async def here(self, place: str) -> list[str]:
        """The personas who are here and may speak."""
        return self._host.present(await self._known(place))

    async def who(self, place: str) -> str:
        """Who is here, and who could be."""
        room = await self._host.room(place)
        others = [p for p in self.could_speak() if room is None or p not in room.personas]
        here = self._listed(room) if room is not None else "nobody"
        return f"Here now: {here}. Could be: {', '.join(map(shown, others)) or 'nobody else'}."

    async def opt_out(self, account: str, name: str, who: str | None = None) -> str:
        """Take a human out: their clone is silent; what they write, and wrote, is gone."""
        consents = self._host.consents
        persona = people.match_name(who, consents.personas) if who else None
        silent = consents.opt_out(account, name, persona)
        await self._host.forget(account)
        if silent:
            return f"Done: {shown(silent)} never speaks again, and what you write is not read."
        return (
            "Done: what you write is not read any more. If a clone of you is here under a name "
            "that is not known to be yours, say which with who."
        )

    async def stats(self, place: str) -> str:
        """What the bot has done here, and today."""
        outbox, settings = self._host.outbox, self._host.settings
        counts = outbox.counts(place)
        most = f" of {settings.daily_tokens:,}" if settings.daily_tokens else ""
        return (
            f"Here: {counts['heard']:,} messages heard, {counts['sent']:,} said, "
            f"{counts['waiting']:,} on their way, {counts['dropped']:,} taken back or not posted. "
            f"Today, everywhere: {outbox.spent():,}{most} tokens. "
            f"{self._host.silent().capitalize() or 'They may speak'}."
        )

    def switch(self, on: bool) -> str:
        """The owner's switch: at once, and until it is switched on again."""
        off = self._host.off
        if on:
            off.unlink(missing_ok=True)
            return "They may speak again."
        off.parent.mkdir(parents=True, exist_ok=True)
        off.touch()
        self._host.silence()
        return "They are silent, here and everywhere, until you switch them on again."

    def find(self, who: str) -> str:
        """The persona meant by a name, if they may speak."""
        try:
            return people.match_name(who, self._host.consents.speakers())
        except PeopleError:
            people.match_name(who, self._host.consents.personas)  # nobody at all: it says so
            raise PeopleError(f"{who} has not consented to be cloned, or has opted out") from None

    async def _room(self, place: str) -> LiveRoom:
        room = await self._host.room(place, make=True)
        if room is None:
            raise RoomError("there can be no room here")
        return room

    async def _known(self, place: str) -> LiveRoom:
        room = await self._host.room(place)
        if room is None:
            raise RoomError("nobody is here: summon somebody first")
        return room

    def _listed(self, room: LiveRoom) -> str:
        return ", ".join(map(shown, self._host.present(room))) or "nobody"


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise MynaError("chattiness is a number from 0 to 1")
    return value
