"""kill -9 in the middle of a reply, of a bot that is a process of its own."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bots.bridge import Bridge, begin, bridged, process, until
from tests.bots.world import TOKEN, World

from myna.rooms.store import RoomStore
from myna.workspace import Workspace

WHOLE = ["re ana", "re ana 2", "re ana 3"]


def open_room(folder: Path, channel_id: int) -> None:
    """Ana's clone is in a channel's room."""
    world = World(folder)
    outbox, _, _ = world.bot_parts("discord")
    world.rooms.open(f"discord:{channel_id}", personas=["Ana Silva"])
    outbox.add_channel(str(channel_id))
    world.close()


@asynccontextmanager
async def lives(folder: Path, seconds: str = "0") -> AsyncIterator[tuple[Bridge, Process, Process]]:
    """A Discord, a bot whose messages take some seconds to make, and one for afterwards."""
    async with bridged() as (bridge, address):
        open_room(folder, bridge.channel)
        log, arguments = folder / "log", ("alone.py", folder, address)
        async with (
            process(log, *arguments, seconds) as first,
            process(log, *arguments, "0") as second,
        ):
            yield bridge, first, second


async def killed(bot: Process, bridge: Bridge, when: object) -> None:
    """Have a bot hear Eve call Ana, and kill it at some moment."""
    begin(bot)
    await until("connected", lambda: bridge.sockets)
    bridge.say("ana")
    await until("the moment to kill it", when)
    bot.kill()
    await bot.wait()


async def again(bot: Process, bridge: Bridge, whole: list[str]) -> None:
    """Start a bot anew: all is there in the end, and nothing twice."""
    bridge.sockets.clear()
    begin(bot)
    await until(f"{whole}", lambda: len(bridge.said()) >= len(whole))
    bridge.say("ana, last")
    await until("an answer", lambda: len(bridge.said()) >= len(whole) + 3)
    await asyncio.sleep(0.3)
    assert bridge.said() == [*whole, "re ana, last", "re ana, last 2", "re ana, last 3"]


def test_the_rest_of_a_turn_is_said_and_what_was_asked_meanwhile_answered(tmp_path: Path) -> None:
    async def play() -> None:
        async with lives(tmp_path) as (bridge, first, second):
            await killed(first, bridge, lambda: len(bridge.said()) == 1)
            log = (tmp_path / "log").read_text("utf-8")
            assert TOKEN not in log
            assert f"/webhooks/{next(iter(bridge.backend.webhooks))}/[secret]" in log
            bridge.say("ana, and now?")
            # The turn was made before Eve asked, so it stands before her question.
            now = [f"re ana, and now?{number}" for number in ("", " 2", " 3")]
            await again(second, bridge, [*WHOLE, *now])

    asyncio.run(play())


def test_a_turn_that_is_just_made_is_made_anew(tmp_path: Path) -> None:
    async def play() -> None:
        async with lives(tmp_path, "0.4") as (bridge, first, second):
            store = RoomStore(Workspace(tmp_path / "friends").rooms_file)
            channel_id = f"discord:{bridge.channel}"
            half = lambda: any(m.by_clone for m in store.messages(channel_id))  # noqa: E731
            await killed(first, bridge, half)
            assert bridge.said() == []
            await again(second, bridge, WHOLE)
            texts = [m.text for m in store.messages(channel_id) if m.by_clone]
            assert texts[:3] == WHOLE
            store.close()

    asyncio.run(play())


def test_what_was_taken_but_not_answered_is_found(tmp_path: Path) -> None:
    async def play() -> None:
        async with lives(tmp_path) as (bridge, first, second):
            bridge.held = 2
            await killed(first, bridge, bridge.holding.is_set)
            assert bridge.said() == WHOLE[:2]
            await again(second, bridge, WHOLE)

    asyncio.run(play())
