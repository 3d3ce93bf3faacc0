"""The Discord client: what happens there reaches the bot, and the bot's words reach it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from fnmatch import fnmatchcase

import discord

from myna.bots.commands import Commands
from myna.bots.consent import Consents
from myna.bots.discord_commands import Action, Seats, Tree, buttons
from myna.bots.discord_front import DiscordFront, heard
from myna.bots.front import Front
from myna.bots.host import Host
from myna.bots.outbox import Outbox
from myna.config import Bot

MISSED = 200
"""Most messages of a channel that are read after the bot was away."""
FRESH = timedelta(minutes=10)
"""How old a message that was missed may be to be answered still."""
log = logging.getLogger(__name__)

Hosting = Callable[[Front], Host]
"""Makes the bot, given the front end."""


def intents() -> discord.Intents:
    """What the bot asks Discord to be told: messages, and what is in them."""
    wanted = discord.Intents.none()
    wanted.guilds = wanted.guild_messages = wanted.message_content = True
    wanted.emojis_and_stickers = wanted.webhooks = True
    return wanted


class DiscordBot(discord.Client):
    """A connected bot.

    Args:
        settings: `[bot]` of myna.toml.
        outbox: of this platform.
        consents: of the workspace.
        hosting: makes the host.
    """

    def __init__(self, settings: Bot, outbox: Outbox, consents: Consents, hosting: Hosting) -> None:
        super().__init__(
            intents=intents(),
            allowed_mentions=discord.AllowedMentions.none(),
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_messages=None,
        )
        self._settings = settings
        self._outbox = outbox
        self._front = DiscordFront(self, outbox, consents, buttons)
        self.host = hosting(self._front)
        self.commands = Commands(self.host)
        self.tree = Tree(self, self)
        self.add_dynamic_items(Action, Seats)
        self._owners: set[int] = set()
        self._caught_up = asyncio.Event()

    def refuses(self, guild: discord.Guild | None) -> str:
        """Why it does nothing in a server; "" where it may."""
        if guild is None:
            return "The clones speak in servers only."
        if any(fnmatchcase(str(guild.id), listed) for listed in self._settings.servers):
            return ""
        return (
            "This server is not on the owner's list. Its owner can add it to myna.toml: "
            f'[bot] servers = ["{guild.id}"]'
        )

    async def is_owner(self, user: discord.abc.User) -> bool:
        """Whether somebody may switch it off: the application's owner, or one in `bot.owners`."""
        return user.id in self._owners or str(user.id) in self._settings.owners

    async def setup_hook(self) -> None:
        """Before it connects: who owns it, and the commands that Discord offers."""
        application = await self.application_info()
        team = application.team.members if application.team else []
        self._owners = {application.owner.id, *(member.id for member in team)}
        await self.tree.sync()

    async def on_connect(self) -> None:
        """Each new session: what happens from now on waits until what was missed is read."""
        self._caught_up.clear()

    async def on_ready(self) -> None:
        """After each new session: read what was missed, go on with what was begun."""
        try:
            for place in self._outbox.places():
                await self._catch_up(place)
        finally:
            self._caught_up.set()
        await self.host.resume()
        log.info("connected as %s, in %d servers", self.user, len(self.guilds))
        for guild in self.guilds:
            if why := self.refuses(guild):
                log.warning("%s: %s", guild.name, why)

    async def on_message(self, message: discord.Message) -> None:
        """Somebody wrote."""
        await self._caught_up.wait()
        await self._hear(message, answered=True)

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Somebody gave a message other words."""
        await self._caught_up.wait()
        message = payload.message
        if message.edited_at is not None and self._reads(message):
            await self.host.edited(str(payload.channel_id), str(message.id), heard(message))

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """A message is gone."""
        await self._caught_up.wait()
        await self.host.deleted(str(payload.channel_id), str(payload.message_id))

    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """Many are."""
        await self._caught_up.wait()
        for message in payload.message_ids:
            await self.host.deleted(str(payload.channel_id), str(message))

    async def on_webhooks_update(self, channel: discord.abc.GuildChannel) -> None:
        """A webhook was deleted, or moved to another channel."""
        self._front.forget_webhooks()

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """A server sent the bot away, and its rooms go."""
        for channel in (*guild.channels, *guild.threads):
            await self.host.leave(str(channel.id))

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        """A channel is gone, and its room goes."""
        await self.host.leave(str(channel.id))

    async def on_raw_thread_delete(self, payload: discord.RawThreadDeleteEvent) -> None:
        """A thread is gone, and its room goes."""
        await self.host.leave(str(payload.thread_id))

    async def close(self) -> None:
        """Disconnect; the host stops first."""
        await self.host.close()
        await super().close()

    def _reads(self, message: discord.Message) -> bool:
        """Whether a message is a human's, in a server on the list."""
        return (
            not message.author.bot
            and message.webhook_id is None
            and message.type in (discord.MessageType.default, discord.MessageType.reply)
            and not self.refuses(message.guild)
        )

    async def _hear(self, message: discord.Message, *, answered: bool) -> None:
        if not self._reads(message):
            return
        place = str(message.channel.id)
        answer_to = message.reference.message_id if message.reference else None
        post = self._outbox.posted(place, str(answer_to)) if answer_to else None
        await self.host.hear(
            place,
            str(message.id),
            f"discord:{message.author.id}",
            message.author.display_name,
            heard(message),
            to=post.person if post else None,
            answered=answered,
        )

    async def _catch_up(self, place: str) -> None:
        """Hear what was written while the bot was away."""
        newest, channel = self._outbox.newest(place), self.get_channel(int(place))
        if newest is None or not isinstance(channel, discord.abc.Messageable):
            return
        after = discord.Object(int(newest))
        try:
            history = channel.history(limit=MISSED + 1, after=after, oldest_first=False)
            missed = [message async for message in history]
        except (discord.HTTPException, OSError) as error:
            log.warning("%s: what was missed cannot be read: %s", place, error)
            return
        if len(missed) > MISSED:
            log.warning(
                "#%s: more than %d messages were missed: older ones are not read", channel, MISSED
            )
        now = discord.utils.utcnow()
        for message in reversed(missed[:MISSED]):
            await self._hear(message, answered=now - message.created_at < FRESH)
