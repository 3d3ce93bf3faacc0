"""The Discord client: it passes events to the host, which answers through the front end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from fnmatch import fnmatchcase

import discord

from myna.bots.commands import BotCommands
from myna.bots.discord_commands import (
    CloneCommandTree,
    ConsentButton,
    PersonaMenu,
    TurnButton,
    buttons,
)
from myna.bots.discord_front import DiscordFront, readable_text
from myna.bots.front import Front
from myna.bots.host import Host
from myna.bots.outbox import Outbox
from myna.config import Bot
from myna.people.consent_checker import ConsentChecker

MAX_MISSED_MESSAGES = 200
"""Limit of messages of a channel that are read after the bot was away."""
MAX_ANSWERED_AGE = timedelta(minutes=10)
"""Age up to which a missed message is still answered."""
log = logging.getLogger(__name__)

HostFactory = Callable[[Front], Host]
"""Creates the host for a front end."""


def intents() -> discord.Intents:
    """The gateway intents of the bot: messages and their content."""
    wanted = discord.Intents.none()
    wanted.guilds = wanted.guild_messages = wanted.message_content = True
    wanted.emojis_and_stickers = wanted.webhooks = True
    return wanted


class DiscordBot(discord.Client):
    """A connected bot.

    Args:
        settings: `[bot]` of myna.toml.
        outbox: the outbox of this platform.
        consents: the consent of the workspace's people.
        make_host: creates the host.
    """

    def __init__(
        self, settings: Bot, outbox: Outbox, consents: ConsentChecker, make_host: HostFactory
    ) -> None:
        super().__init__(
            intents=intents(),
            allowed_mentions=discord.AllowedMentions.none(),
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_messages=None,
        )
        self._settings = settings
        self._outbox = outbox
        self._front = DiscordFront(self, outbox, consents, buttons)
        self.host = make_host(self._front)
        self.commands = BotCommands(self.host)
        self.tree = CloneCommandTree(self, self)
        self.add_dynamic_items(TurnButton, ConsentButton, PersonaMenu)
        self._owners: set[int] = set()
        self._caught_up = asyncio.Event()

    def refusal(self, guild: discord.Guild | None) -> str:
        """The reason why the bot is silent in a server; "" if it may speak."""
        if guild is None:
            return "The clones speak in servers only."
        if any(fnmatchcase(str(guild.id), listed) for listed in self._settings.servers):
            return ""
        return (
            "This server is not on the owner's list. Its owner can add it to myna.toml: "
            f'[bot] servers = ["{guild.id}"]'
        )

    async def is_owner(self, user: discord.abc.User) -> bool:
        """True for users who may switch it off: the application's owner, or `bot.owners`."""
        return user.id in self._owners or str(user.id) in self._settings.owners

    async def setup_hook(self) -> None:
        """Before connecting, load the owners and register the commands."""
        application = await self.application_info()
        team = application.team.members if application.team else []
        self._owners = {application.owner.id, *(member.id for member in team)}
        await self.tree.sync()

    async def on_connect(self) -> None:
        """At each new session, let events wait until missed messages are read."""
        self._caught_up.clear()

    async def on_ready(self) -> None:
        """After each new session, read missed messages, and continue unfinished work."""
        try:
            for channel_id in self._outbox.channels():
                await self._catch_up(channel_id)
        finally:
            self._caught_up.set()
        await self.host.resume()
        log.info("connected as %s, in %d servers", self.user, len(self.guilds))
        for guild in self.guilds:
            if reason := self.refusal(guild):
                log.warning("%s: %s", guild.name, reason)

    async def on_message(self, message: discord.Message) -> None:
        """Receive a message."""
        await self._caught_up.wait()
        await self._receive(message, may_answer=True)

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Follow an edit."""
        await self._caught_up.wait()
        message = payload.message
        if message.edited_at is not None and self._is_readable(message):
            await self.host.edit_message(
                str(payload.channel_id), str(message.id), readable_text(message)
            )

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """Follow a deletion."""
        await self._caught_up.wait()
        await self.host.delete_message(str(payload.channel_id), str(payload.message_id))

    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """Follow the deletion of many messages."""
        await self._caught_up.wait()
        for message in payload.message_ids:
            await self.host.delete_message(str(payload.channel_id), str(message))

    async def on_webhooks_update(self, channel: discord.abc.GuildChannel) -> None:
        """Look again for webhooks: one was deleted, or moved to another channel."""
        self._front.forget_webhooks()

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """Erase the rooms of a server that removed the bot."""
        for channel in (*guild.channels, *guild.threads):
            await self.host.leave_channel(str(channel.id))

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        """Erase the room of a deleted channel."""
        await self.host.leave_channel(str(channel.id))

    async def on_raw_thread_delete(self, payload: discord.RawThreadDeleteEvent) -> None:
        """Erase the room of a deleted thread."""
        await self.host.leave_channel(str(payload.thread_id))

    async def close(self) -> None:
        """Stop the host, then disconnect."""
        await self.host.close()
        await super().close()

    def _is_readable(self, message: discord.Message) -> bool:
        """True for a human's message in a server on the list."""
        return (
            not message.author.bot
            and message.webhook_id is None
            and message.type in (discord.MessageType.default, discord.MessageType.reply)
            and not self.refusal(message.guild)
        )

    async def _receive(self, message: discord.Message, *, may_answer: bool) -> None:
        if not self._is_readable(message):
            return
        channel_id = str(message.channel.id)
        answer_to = message.reference.message_id if message.reference else None
        post = self._outbox.find_post(channel_id, str(answer_to)) if answer_to else None
        await self.host.receive(
            channel_id,
            str(message.id),
            f"discord:{message.author.id}",
            message.author.display_name,
            readable_text(message),
            to=post.person if post else None,
            may_answer=may_answer,
        )

    async def _catch_up(self, channel_id: str) -> None:
        """Receive the messages written while the bot was away."""
        newest, channel = self._outbox.newest_key(channel_id), self.get_channel(int(channel_id))
        if newest is None or not isinstance(channel, discord.abc.Messageable):
            return
        after = discord.Object(int(newest))
        try:
            history = channel.history(
                limit=MAX_MISSED_MESSAGES + 1, after=after, oldest_first=False
            )
            missed = [message async for message in history]
        except (discord.HTTPException, OSError) as error:
            log.warning("%s: missed messages cannot be read: %s", channel_id, error)
            return
        if len(missed) > MAX_MISSED_MESSAGES:
            log.warning(
                "#%s: more than %d messages were missed: older ones are not read",
                channel,
                MAX_MISSED_MESSAGES,
            )
        now = discord.utils.utcnow()
        for message in reversed(missed[:MAX_MISSED_MESSAGES]):
            await self._receive(message, may_answer=now - message.created_at < MAX_ANSWERED_AGE)
