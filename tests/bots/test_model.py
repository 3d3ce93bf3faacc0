"""Four clones of the real model hold a conversation in a simulated channel."""

from __future__ import annotations

import asyncio

import pytest
import simcord
from tests.bots import simulated  # noqa: F401  # lets buttons through

from myna import config, workspace
from myna.bots.discord_client import DiscordBot
from myna.cli import demo, prepare, train
from myna.cli.bot import hosting_of
from myna.workspace import Workspace

CREW = ["Neil Armstrong", "Buzz Aldrin", "Michael Collins", "CapCom"]
TURNS = 8


@pytest.fixture(scope="module")
def apollo(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Clones of the crew after a few steps of training."""
    settings = config.Settings(
        train=config.Train(epochs=0.002, batch_tokens=256, previews=0, checks=0),
        samples=config.Samples(max_tokens=128, overlap_tokens=16),
        split=config.Split(tune=0),
        chat=config.Chat(max_reply_tokens=48),
        bot=config.Bot(servers=["*"], typing_speed=0, chattiness=0),
    )
    space = workspace.create(tmp_path_factory.mktemp("apollo") / "crew", settings)
    settings = space.settings()
    demo.import_transcript(space)
    prepare.ready(space, settings)
    train.ready(space, settings, "group")
    return space


@pytest.mark.model
def test_four_clones_hold_a_conversation(apollo: Workspace) -> None:
    settings = apollo.settings()

    async def play() -> list[tuple[str, str]]:
        bot = DiscordBot(settings.bot, outbox, consents, make)
        async with simcord.run(bot, settle_timeout=300) as env:
            guild = env.create_guild("Mission Control")
            channel = guild.create_text_channel("loop")
            eve = guild.add_member(env.create_user("eve", global_name="Eve"))
            await env.settle()
            for name in CREW:
                await eve.slash(channel, "clone summon", who=name)
            await eve.send(channel, "Hey everyone, how does the Moon look from up there?")
            await eve.slash(channel, "clone watch", n=TURNS)
            return [(m.author.name, m.content) for m in channel.history() if m.webhook_id]

    chats = {file: workspace.fingerprint(file) for file in apollo.message_files()}
    with hosting_of(apollo, "group", settings, "discord") as (outbox, consents, make):
        assert set(CREW) <= set(consents.speakers())
        said = asyncio.run(play())
    turns = [name for at, (name, _) in enumerate(said) if not at or said[at - 1][0] != name]
    # All four answer Eve; who goes on is the model's choice. A turn may have no words.
    assert len(turns) >= len(CREW) + TURNS / 2
    assert set(turns) == {f"{name} (clone)" for name in CREW}
    assert all(text.strip() and "@" not in text for _, text in said)
    # What was said stands in the room only: nothing that training reads has changed.
    assert chats == {file: workspace.fingerprint(file) for file in apollo.message_files()}
