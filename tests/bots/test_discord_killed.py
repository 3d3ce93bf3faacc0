"""kill -9 in the middle of a reply, of a bot that is a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.bots.bridge import TOKEN, Bridge, bridged, process, until
from tests.bots.world import World

from myna.persona.histories import Histories
from myna.workspace import Workspace

WHOLE = ["re ana", "re ana 2", "re ana 3"]


def opened(folder: Path, place: int) -> None:
    """Ana's clone is in a channel's room."""
    world = World(folder)
    outbox, _, _ = world.hosting("discord")
    world.rooms.open(f"discord:{place}", personas=["Ana Silva"])
    outbox.open_place(str(place))
    world.close()


async def killed(folder: Path, bridge: Bridge, address: str, seconds: str, when: object) -> str:
    """Start a bot, have Eve call Ana, and kill it at some moment; what it logged."""
    file = folder / "log"
    async with process(file, "alone.py", folder, address, seconds) as bot:
        await until("connected", lambda: bridge.sockets)
        bridge.say("ana")
        await until("the moment to kill it", when)
        bot.kill()
        await bot.wait()
    log = file.read_text("utf-8")
    assert TOKEN not in log
    return log


async def again(folder: Path, bridge: Bridge, address: str, whole: list[str]) -> None:
    """Start a bot anew: all is there in the end, and nothing twice."""
    bridge.sockets.clear()
    async with process(folder / "log", "alone.py", folder, address, "0"):
        await until(f"{whole}", lambda: len(bridge.said()) >= len(whole))
        bridge.say("ana, last")
        await until("an answer", lambda: len(bridge.said()) >= len(whole) + 3)
        await asyncio.sleep(0.3)
    assert bridge.said() == [*whole, "re ana, last", "re ana, last 2", "re ana, last 3"]


def test_the_rest_of_a_turn_is_said_and_what_was_asked_meanwhile_answered(tmp_path: Path) -> None:
    async def play() -> None:
        async with bridged() as (bridge, address):
            opened(tmp_path, bridge.channel)
            log = await killed(tmp_path, bridge, address, "0", lambda: len(bridge.said()) == 1)
            assert f"/webhooks/{next(iter(bridge.backend.webhooks))}/[secret]" in log
            bridge.say("ana, and now?")
            # The turn was made before Eve asked, so it stands before her question.
            now = [f"re ana, and now?{number}" for number in ("", " 2", " 3")]
            await again(tmp_path, bridge, address, [*WHOLE, *now])

    asyncio.run(play())


def test_a_turn_that_is_just_made_is_made_anew(tmp_path: Path) -> None:
    async def play() -> None:
        async with bridged() as (bridge, address):
            opened(tmp_path, bridge.channel)
            histories = Histories(Workspace(tmp_path / "friends").rooms_file)
            place = f"discord:{bridge.channel}"
            half = lambda: any(m.by_clone for m in histories.messages(place))  # noqa: E731
            await killed(tmp_path, bridge, address, "0.4", half)
            assert bridge.said() == []
            await again(tmp_path, bridge, address, WHOLE)
            texts = [m.text for m in histories.messages(place) if m.by_clone]
            assert texts[:3] == WHOLE
            histories.close()

    asyncio.run(play())


def test_what_was_taken_but_not_answered_is_found(tmp_path: Path) -> None:
    async def play() -> None:
        async with bridged() as (bridge, address):
            opened(tmp_path, bridge.channel)
            bridge.held = 2
            await killed(tmp_path, bridge, address, "0", bridge.holding.is_set)
            assert bridge.said() == WHOLE[:2]
            await again(tmp_path, bridge, address, WHOLE)

    asyncio.run(play())
