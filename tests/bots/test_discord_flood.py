"""A hundred messages in ten channels at once: none is lost, none is doubled, all take turns."""

from __future__ import annotations

from collections import Counter

from tests.bots.simulated import Server, played
from tests.bots.world import World


def test_a_hundred_messages_in_ten_channels_at_once(world: World) -> None:
    world.engine._seconds = 0.002

    async def scenario(on: Server) -> None:
        channels = [on.guild.create_text_channel(f"room-{number}") for number in range(10)]
        await on.env.settle()
        for channel in channels:
            on.channel = channel
            await on.clone("summon", who="ana")
            await on.clone("summon", who="ben")
        for number in range(10):
            for channel in channels:
                who = ("ana", "ben")[number % 2]
                on.env.backend.create_message(
                    channel.id, on.eve.id, f"{who} say {channel.name} {number}"
                )
        await on.env.settle(timeout=120)
        for channel in channels:
            said = Counter(on.by_clones(channel))
            room = world.rooms.open(f"discord:{channel.id}").messages()
            assert Counter(name for name, _ in said.elements()) == {
                "Ana Silva (clone)": 5,
                "Ben Okoro (clone)": 5,
            }
            assert all(f"{channel.name} " in text for _, text in said)
            assert [m.text for m in room if not m.by_clone] == [
                f"{('ana', 'ben')[n % 2]} say {channel.name} {n}" for n in range(10)
            ]
            assert sum(m.by_clone for m in room) == 10

    played(scenario, world)
    assert world.engine.most_running <= world.engine.slots
    calls = [prompt.rpartition("say ")[2].partition(" ")[0] for prompt in world.engine.prompts]
    assert len(calls) == 100
    # In turn: when the first room is half done, so is every other.
    half = Counter(calls[:50])
    assert min(half.values()) >= 3


def test_a_message_that_is_delivered_twice_is_answered_once(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        message = await on.eve.send(on.channel, "ana?")
        await on.bot.on_message(message)
        await on.env.settle()
        assert on.by_clones() == [("Ana Silva (clone)", "re ana?")]

    played(scenario, world)
