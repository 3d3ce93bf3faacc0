"""An IRC bot as a process of its own: python alone_irc.py FOLDER PORT.

It begins when it is told to, by a line on standard input.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.bots.world import World

from myna.bots.irc_connection import ServerAddress
from myna.bots.irc_front import IrcBot
from myna.cli.bot import log_to


async def main(folder: Path, port: int) -> None:
    """Be a bot whose clones say three messages a turn, half a second apart."""
    log_to(sys.stderr, [], debug=True)
    world = World(folder, lines=3, typing_speed=1000)
    _, _, make = world.bot_parts("irc")
    address = ServerAddress("127.0.0.1", port, tls=False)
    await IrcBot(address, "myna", ["#tea"], world.settings, make, back_off=0.05).run()


sys.stdin.readline()
asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
