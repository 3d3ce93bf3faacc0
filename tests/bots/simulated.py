"""A simulated Discord (simcord), with a real discord.py client in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import simcord
from simcord.actors import MemberActor
from simcord.builders import ChannelHandle, GuildHandle
from simcord.http.routes import interactions
from simcord.results import InteractionResult, ResponseMessage
from tests.bots.world import World

from myna.bots.discord_client import DiscordBot

# Simcord takes every webhook for one of a human, and refuses buttons on it. Those of a bot's
# own may have them ("Execute Webhook", Discord's developer reference), so here they are let
# through; all the rest of the route is simcord's.
interactions._incoming_webhook_body = lambda ctx: (dict(ctx.body()), True)


@dataclass
class Server:
    """A simulated server with the bot in it."""

    env: simcord.Env
    bot: DiscordBot
    world: World
    guild: GuildHandle
    channel: ChannelHandle
    eve: MemberActor

    def said(self, channel: ChannelHandle | None = None) -> list[tuple[str, str]]:
        """All messages in a channel: who, and what."""
        return [(m.author.name, m.content) for m in (channel or self.channel).history()]

    def by_clones(self, channel: ChannelHandle | None = None) -> list[tuple[str, str]]:
        """The messages of clones."""
        return [said for said in self.said(channel) if said[0].endswith("(clone)")]

    async def clone(self, command: str, by: MemberActor | None = None, **options: Any) -> str:
        """The text of the answer to `/clone COMMAND`."""
        return str((await self.answer(command, by, **options)).content)

    async def answer(
        self, command: str, by: MemberActor | None = None, **options: Any
    ) -> ResponseMessage:
        """The answer to `/clone COMMAND`, with all that is under it."""
        return last(await (by or self.eve).slash(self.channel, f"clone {command}", **options))


def last(result: InteractionResult) -> ResponseMessage:
    """The newest answer to a command, or to something pressed."""
    return result.followups[-1] if result.followups else result.response


def build(world: World) -> DiscordBot:
    outbox, consents, make = world.bot_parts("discord")
    return DiscordBot(world.settings, outbox, consents, make)


@asynccontextmanager
async def simulated(world: World, **options: Any) -> AsyncIterator[Server]:
    """A server with one channel, a human called Eve, and the bot."""
    bot = build(world)
    async with simcord.run(bot, **options) as env:
        guild = env.create_guild("Tea House")
        channel = guild.create_text_channel("kettle")
        eve = guild.add_member(env.create_user("eve", global_name="Eve"))
        await env.settle()
        yield Server(env, bot, world, guild, channel, eve)


Scenario = Callable[[Server], Coroutine[Any, Any, None]]


def played(scenario: Scenario, world: World, **options: Any) -> None:
    """Play a scenario in a simulated server."""

    async def play() -> None:
        async with simulated(world, **options) as server:
            await scenario(server)

    try:
        asyncio.run(play())
    finally:
        world.close()
