"""The front end for IRC: one nick that listens and runs commands, and one for each clone.

Each clone is a connection of its own, from summon to dismiss. The listener also receives the
clones' messages: that confirms that the server accepted them. A channel's id is its name in
lower case.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress

from myna.bots.commands import BotCommands
from myna.bots.front import Front, UndeliverableError, clone_display_name
from myna.bots.host import Host
from myna.bots.irc_connection import (
    MAX_LINE_BYTES,
    IrcConnection,
    IrcLine,
    ServerAddress,
    nick_from_name,
    split_text,
)
from myna.bots.outbox import Post
from myna.config import Bot
from myna.errors import MynaError

LINE_OVERHEAD_BYTES = 170
"""Longest part of a line before its text: `:nick!user@host PRIVMSG #channel :`."""
ECHO_TIMEOUT_SECONDS = 20.0
"""Time limit for a message to come back to the listener."""
HELP = (
    "!summon NAME|everyone, !dismiss NAME|everyone, !who, !watch N, !retry, !forget-context, "
    "!settings [chattiness] [temperature], !stats, !opt-out [NAME]; the owner: !off, !on"
)
_CLONE = re.compile(r"\[c(lone)?\]\Z")
"""Ending of the nicks of clones."""
log = logging.getLogger(__name__)


class IrcBot:
    """The clones on an IRC server; a front end for `host.Host`.

    Args:
        address: the server.
        nick: the nick of the bot itself.
        channels: channels that the clones may join.
        settings: `[bot]` of myna.toml.
        make_host: creates the host for this front end.
        back_off: seconds before the first attempt to reconnect.
    """

    platform = "irc"

    def __init__(
        self,
        address: ServerAddress,
        nick: str,
        channels: Sequence[str],
        settings: Bot,
        make_host: Callable[[Front], Host],
        *,
        back_off: float = 1.0,
    ) -> None:
        self._address = address
        self._settings = settings
        self._back_off = back_off
        self._listener = IrcConnection(
            address, nick, "myna: clones of people here", self._on_line, back_off=back_off
        )
        self._channels = [channel.casefold() for channel in channels]
        self._clones: dict[str, IrcConnection] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._echoes: dict[tuple[str, str, str], asyncio.Future[None]] = {}
        self._sent_ids: set[int] = set()
        self._echoed_ids: set[int] = set()
        self.host = make_host(self)
        self.commands = BotCommands(self.host)

    async def run(self) -> None:
        """Stay connected until cancelled."""
        for channel in self._channels:
            await self._listener.join(channel)
        listener = asyncio.create_task(self._listener.run(), name="irc")
        try:
            await self._listener.ready.wait()
            for channel in self._channels:
                if (room := await self.host.room(channel)) is not None:
                    await self._connect_clones(channel, room.personas)
            await self.host.resume()
            await listener
        finally:
            await self.host.close()
            for connection in (*self._clones.values(), self._listener):
                await connection.quit("good-bye")
            for task in (*self._tasks.values(), listener):
                task.cancel()
            await asyncio.gather(*self._tasks.values(), listener, return_exceptions=True)

    # The interface for the host.

    def split(self, person: str, text: str) -> list[str]:
        """Split a message into pieces that fit into a line."""
        return split_text(text, MAX_LINE_BYTES - LINE_OVERHEAD_BYTES)

    async def post(self, post: Post) -> str:
        """Send a clone's message; return an invented id once the listener received it."""
        await self._connect_clones(post.channel_id, [post.person])
        clone = self._clones[post.person]
        await clone.ready.wait()
        await self._listener.ready.wait()
        if why := clone.channels.get(post.channel_id, "it was kicked"):
            raise UndeliverableError(f"it is not in {post.channel_id}: {why}")
        echo: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        key = (clone.nick.casefold(), post.channel_id, post.text)
        self._echoes[key] = echo
        self._sent_ids.add(post.id)
        try:
            await clone.say(post.channel_id, post.text)
            async with asyncio.timeout(ECHO_TIMEOUT_SECONDS):
                await echo
        finally:
            self._echoes.pop(key, None)
        self._echoed_ids.add(post.id)
        return uuid.uuid4().hex

    async def find(self, post: Post) -> str | None:
        """An id if the listener received the message; None if not.

        IRC has no history: a message that a killed process began to send counts as sent.
        """
        if post.id not in self._sent_ids:
            return uuid.uuid4().hex
        return uuid.uuid4().hex if post.id in self._echoed_ids else None

    async def typing(self, channel_id: str, person: str, seconds: float) -> None:
        """Wait: IRC shows no typing."""
        await asyncio.sleep(seconds)

    async def remove(self, posts: Sequence[Post]) -> None:
        """Do nothing: messages on IRC cannot be deleted."""

    # Connections of clones.

    async def _connect_clones(self, channel_id: str, personas: Sequence[str]) -> None:
        """Connect clones, and let them join a channel."""
        for person in personas:
            if person not in self._clones:
                ending = "[clone]" if self._listener.max_nick_chars >= 16 else "[c]"
                nick = nick_from_name(person, ending, self._listener.max_nick_chars)
                self._clones[person] = IrcConnection(
                    self._address,
                    nick,
                    f"{clone_display_name(person)}: a clone, not the human",
                    self._on_line,
                    back_off=self._back_off,
                )
                self._clones[person].max_nick_chars = self._listener.max_nick_chars
                await self._clones[person].join(channel_id)
                run = asyncio.create_task(self._clones[person].run(), name=nick)
                self._tasks[person] = run
            await self._clones[person].join(channel_id)

    async def _disconnect_clones(self, channel_id: str) -> None:
        """Disconnect clones that are no longer in a channel's room."""
        room = await self.host.room(channel_id)
        for person, clone in list(self._clones.items()):
            if room is None or person in room.personas or channel_id not in clone.channels:
                continue
            del clone.channels[channel_id]
            if clone.channels:
                with suppress(OSError):
                    await clone.send(f"PART {channel_id}")
                continue
            await clone.quit("dismissed")
            self._clones.pop(person)
            self._tasks.pop(person).cancel()

    # Received lines.

    async def _on_line(self, connection: IrcConnection, line: IrcLine) -> None:
        if line.command == "KICK" and connection is not self._listener:
            await self._on_kick(connection, line)
        if connection is not self._listener or line.command != "PRIVMSG" or len(line.params) < 2:
            return
        channel_id, text = line.params[0].casefold(), line.params[1]
        ours = {clone.nick.casefold() for clone in self._clones.values()}
        if line.nick.casefold() in ours:
            echo = self._echoes.get((line.nick.casefold(), channel_id, text))
            if echo is not None and not echo.done():
                echo.set_result(None)
            return
        if channel_id not in self._channels or line.nick == self._listener.nick:
            return
        if _CLONE.search(line.nick):
            return  # a clone of another bot: the two would talk without end
        if text.startswith("\x01ACTION "):
            text = text[8:].rstrip("\x01")
        elif text.startswith("\x01"):
            return
        account = f"irc:{line.nick}"
        if text.startswith("!"):
            # In a task of its own: the listener must receive further lines meanwhile.
            task = asyncio.create_task(self._run_command(channel_id, line.nick, text[1:]))
            self._tasks[f"!{id(task)}"] = task
            task.add_done_callback(lambda _: self._tasks.pop(f"!{id(task)}", None))
        else:
            await self.host.receive(channel_id, uuid.uuid4().hex, account, line.nick, text)

    async def _on_kick(self, connection: IrcConnection, line: IrcLine) -> None:
        """Dismiss a clone that is kicked."""
        for person, clone in self._clones.items():
            if clone is connection and len(line.params) > 1 and line.params[1] == clone.nick:
                with suppress(MynaError):
                    await self.commands.dismiss(line.params[0].casefold(), person)

    async def _run_command(self, channel_id: str, nick: str, typed: str) -> None:
        """Run a command, and answer in the channel with a notice."""
        word, _, rest = typed.strip().partition(" ")
        try:
            answer = await self._answer(channel_id, nick, word.casefold(), rest.strip())
        except MynaError as error:
            answer = str(error)
        except Exception:
            log.exception("a command failed")
            answer = "That did not work: the bot's log says why."
        with suppress(OSError):
            for piece in split_text(answer, MAX_LINE_BYTES - LINE_OVERHEAD_BYTES):
                await self._listener.say(channel_id, piece, "NOTICE")

    async def _answer(self, channel_id: str, nick: str, word: str, rest: str) -> str:
        commands, account = self.commands, f"irc:{nick}"
        match word:
            case "summon":
                answer = await commands.summon(channel_id, rest)
                if (room := await self.host.room(channel_id)) is not None:
                    await self._connect_clones(channel_id, room.personas)
                return answer
            case "dismiss":
                answer = await commands.dismiss(channel_id, rest)
                await self._disconnect_clones(channel_id)
                return answer
            case "who":
                return await commands.list_members(channel_id)
            case "watch":
                return await commands.watch(channel_id, int(rest) if rest.isdecimal() else 6)
            case "retry":
                return await commands.retry(channel_id)
            case "forget-context":
                return await commands.forget_context(channel_id)
            case "settings":
                return await commands.settings(channel_id, *_parse_numbers(rest))
            case "stats":
                return await commands.stats(channel_id)
            case "opt-out":
                return await commands.opt_out(account, nick, rest or None)
            case "on" | "off":
                if nick.casefold() not in {owner.casefold() for owner in self._settings.owners}:
                    return "Only the bot's owner may do that."
                return commands.switch(on=word == "on")
            case "help":
                return HELP
        return ""  # a command of another bot


def _parse_numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()[:2]]
    except ValueError:
        raise MynaError("write it as !settings 0.3 0.9: chattiness, temperature") from None
