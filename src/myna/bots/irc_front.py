"""The bot on IRC: a nick of its own that listens and obeys, and one for each clone.

Each clone is a connection: it joins when it is summoned and quits when it is dismissed.
The bot's own nick hears all that is said in the channels, the clones' words too; that is
how it knows that the server took them. A place is a channel, in lower case.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress

from myna.bots.commands import Commands
from myna.bots.front import Front, UndeliverableError, shown
from myna.bots.host import Host
from myna.bots.irc_connection import LINE, Address, Connection, Line, pieces, plain_nick
from myna.bots.outbox import Post
from myna.config import Bot
from myna.errors import MynaError

AROUND = 170
"""Bytes of a line besides its text: `:nick!user@host PRIVMSG #channel :` at their longest."""
SEEN_WITHIN = 20.0
"""Seconds within which the server passes a line on."""
HELP = (
    "!summon NAME|everyone, !dismiss NAME|everyone, !who, !watch N, !retry, !forget-context, "
    "!settings [chattiness] [temperature], !stats, !opt-out [NAME]; the owner: !off, !on"
)
_CLONE = re.compile(r"\[c(lone)?\]\Z")
"""How the nicks of clones end."""
log = logging.getLogger(__name__)


class IrcBot:
    """The clones on an IRC server; a front end for `host.Host`.

    Args:
        address: the server.
        nick: of the bot itself.
        channels: where the clones may be.
        settings: `[bot]` of myna.toml.
        hosting: makes the host, given the front end.
        back_off: seconds before the first attempt to connect again.
    """

    platform = "irc"

    def __init__(
        self,
        address: Address,
        nick: str,
        channels: Sequence[str],
        settings: Bot,
        hosting: Callable[[Front], Host],
        *,
        back_off: float = 1.0,
    ) -> None:
        self._address = address
        self._settings = settings
        self._back_off = back_off
        self._ear = Connection(
            address, nick, "myna: clones of people here", self._hear, shortest_back_off=back_off
        )
        self._channels = [channel.casefold() for channel in channels]
        self._clones: dict[str, Connection] = {}
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._awaited: dict[tuple[str, str, str], asyncio.Future[None]] = {}
        self._tried: set[int] = set()
        self._arrived: set[int] = set()
        self.host = hosting(self)
        self.commands = Commands(self.host)

    async def run(self) -> None:
        """Be there until cancelled."""
        for channel in self._channels:
            await self._ear.join(channel)
        ear = asyncio.create_task(self._ear.run(), name="irc")
        try:
            await self._ear.ready.wait()
            for channel in self._channels:
                if (room := await self.host.room(channel)) is not None:
                    await self._seat(channel, room.personas)
            await self.host.resume()
            await ear
        finally:
            await self.host.close()
            for connection in (*self._clones.values(), self._ear):
                await connection.quit("good-bye")
            for task in (*self._runs.values(), ear):
                task.cancel()
            await asyncio.gather(*self._runs.values(), ear, return_exceptions=True)

    # What the host asks for.

    def pieces(self, person: str, text: str) -> list[str]:
        """A message in pieces that fit into a line."""
        return pieces(text, LINE - AROUND)

    async def post(self, post: Post) -> str:
        """Have a clone say something; an id made up for it, once the bot has heard it."""
        await self._seat(post.place, [post.person])
        clone = self._clones[post.person]
        await clone.ready.wait()
        await self._ear.ready.wait()
        if why := clone.channels.get(post.place, "it was kicked"):
            raise UndeliverableError(f"it is not in {post.place}: {why}")
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        key = (clone.nick.casefold(), post.place, post.text)
        self._awaited[key] = heard
        self._tried.add(post.id)
        try:
            await clone.say(post.place, post.text)
            async with asyncio.timeout(SEEN_WITHIN):
                await heard
        finally:
            self._awaited.pop(key, None)
        self._arrived.add(post.id)
        return uuid.uuid4().hex

    async def find(self, post: Post) -> str | None:
        """Whether it was heard. Nobody can tell it of a process that was killed: IRC has no
        history. What that one had begun to send had left it, so it is not sent again.
        """
        if post.id not in self._tried:
            return uuid.uuid4().hex
        return uuid.uuid4().hex if post.id in self._arrived else None

    async def typing(self, place: str, person: str, seconds: float) -> None:
        """IRC shows nothing; the pause stays."""
        await asyncio.sleep(seconds)

    async def remove(self, posts: Sequence[Post]) -> None:
        """What was said on IRC cannot be taken back."""

    # Clones come and go.

    async def _seat(self, place: str, personas: Sequence[str]) -> None:
        """Have clones be in a channel."""
        for person in personas:
            if person not in self._clones:
                ending = "[clone]" if self._ear.longest_nick >= 16 else "[c]"
                nick = plain_nick(person, ending, self._ear.longest_nick)
                self._clones[person] = Connection(
                    self._address,
                    nick,
                    f"{shown(person)}: a clone, not the human",
                    self._hear,
                    shortest_back_off=self._back_off,
                )
                self._clones[person].longest_nick = self._ear.longest_nick
                await self._clones[person].join(place)
                run = asyncio.create_task(self._clones[person].run(), name=nick)
                self._runs[person] = run
            await self._clones[person].join(place)

    async def _unseat(self, place: str) -> None:
        """Have those go who are not in a channel's room any more."""
        room = await self.host.room(place)
        for person, clone in list(self._clones.items()):
            if room is None or person in room.personas or place not in clone.channels:
                continue
            del clone.channels[place]
            if clone.channels:
                with suppress(OSError):
                    await clone.send(f"PART {place}")
                continue
            await clone.quit("dismissed")
            self._clones.pop(person)
            self._runs.pop(person).cancel()

    # What is heard.

    async def _hear(self, connection: Connection, line: Line) -> None:
        if line.command == "KICK" and connection is not self._ear:
            await self._kicked(connection, line)
        if connection is not self._ear or line.command != "PRIVMSG" or len(line.params) < 2:
            return
        place, text = line.params[0].casefold(), line.params[1]
        ours = {clone.nick.casefold() for clone in self._clones.values()}
        if line.nick.casefold() in ours:
            heard = self._awaited.get((line.nick.casefold(), place, text))
            if heard is not None and not heard.done():
                heard.set_result(None)
            return
        if place not in self._channels or line.nick == self._ear.nick:
            return
        if _CLONE.search(line.nick):
            return  # of another bot: they would talk to each other without end
        if text.startswith("\x01ACTION "):
            text = text[8:].rstrip("\x01")
        elif text.startswith("\x01"):
            return
        account = f"irc:{line.nick}"
        if text.startswith("!"):
            # In a task of its own: the ear must go on hearing.
            task = asyncio.create_task(self._obey(place, line.nick, text[1:]))
            self._runs[f"!{id(task)}"] = task
            task.add_done_callback(lambda _: self._runs.pop(f"!{id(task)}", None))
        else:
            await self.host.hear(place, uuid.uuid4().hex, account, line.nick, text)

    async def _kicked(self, connection: Connection, line: Line) -> None:
        """Whoever is kicked is dismissed."""
        for person, clone in self._clones.items():
            if clone is connection and len(line.params) > 1 and line.params[1] == clone.nick:
                with suppress(MynaError):
                    await self.commands.dismiss(line.params[0].casefold(), person)

    async def _obey(self, place: str, nick: str, typed: str) -> None:
        """A command: the answer goes to the channel, as a notice."""
        word, _, rest = typed.strip().partition(" ")
        try:
            answer = await self._done(place, nick, word.casefold(), rest.strip())
        except MynaError as error:
            answer = str(error)
        except Exception:
            log.exception("a command failed")
            answer = "That did not work: the bot's log says why."
        with suppress(OSError):
            for piece in pieces(answer, LINE - AROUND):
                await self._ear.say(place, piece, "NOTICE")

    async def _done(self, place: str, nick: str, word: str, rest: str) -> str:
        commands, account = self.commands, f"irc:{nick}"
        match word:
            case "summon":
                answer = await commands.summon(place, rest)
                if (room := await self.host.room(place)) is not None:
                    await self._seat(place, room.personas)
                return answer
            case "dismiss":
                answer = await commands.dismiss(place, rest)
                await self._unseat(place)
                return answer
            case "who":
                return await commands.who(place)
            case "watch":
                return await commands.watch(place, int(rest) if rest.isdecimal() else 6)
            case "retry":
                return await commands.retry(place)
            case "forget-context":
                return await commands.forget_context(place)
            case "settings":
                return await commands.settings(place, *_numbers(rest))
            case "stats":
                return await commands.stats(place)
            case "opt-out":
                return await commands.opt_out(account, nick, rest or None)
            case "on" | "off":
                if nick.casefold() not in {owner.casefold() for owner in self._settings.owners}:
                    return "Only the bot's owner may do that."
                return commands.switch(on=word == "on")
            case "help":
                return HELP
        return ""  # a word for another bot


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()[:2]]
    except ValueError:
        raise MynaError("write it as !settings 0.3 0.9: chattiness, temperature") from None
