"""A Discord bot as a process of its own: python alone.py FOLDER ADDRESS SECONDS.

It begins when it is told to, by a line on standard input.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import discord
import yarl
from tests.bots.world import API_VERSION, TOKEN, World

from myna.bots import delivery
from myna.bots.discord_client import DiscordBot
from myna.cli.bot import log_to


class Forgotten(list[str]):
    """A list that stays empty: a bot that runs for long keeps no prompt."""

    def append(self, _: str) -> None:
        pass


async def main(folder: Path, address: str, seconds: float) -> None:
    """Be a bot whose clones say three messages a turn, each made in some seconds."""
    discord.http.Route.BASE = address + API_VERSION
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(
        address.replace("http", "ws") + "/gateway"
    )
    delivery.MIN_TYPING_SECONDS = 0.15
    log_to(sys.stderr, [TOKEN], debug=True)
    world = World(folder, lines=3, seconds=seconds, typing_speed=1000)
    world.engine.prompts = Forgotten()
    outbox, consents, make = world.bot_parts("discord")
    async with DiscordBot(world.settings, outbox, consents, make) as bot:
        await bot.start(TOKEN)


sys.stdin.readline()
asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
