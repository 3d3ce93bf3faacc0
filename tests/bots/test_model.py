"""Four clones of the real model hold a conversation in a simulated channel."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
import simcord
from tests.bots import simulated  # noqa: F401  # lets buttons through

from myna import apollo11, config, workspace
from myna.bots.discord_client import DiscordBot
from myna.cli import prepare, train
from myna.cli.bot import open_bot
from myna.rooms.live_room import LiveRoom
from myna.workspace import Workspace

CREW = ["Neil Armstrong", "Buzz Aldrin", "Michael Collins", "CapCom"]
TURNS = 10


@pytest.fixture(scope="module")
def apollo(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Clones of the crew after a few steps of training."""
    settings = config.Settings(
        train=config.Train(
            num_train_epochs=0.006, batch_tokens=256, learning_rate=2e-3, previews=0, validations=0
        ),
        samples=config.Samples(max_length=128, overlap_tokens=16),
        split=config.Split(validation=0),
        chat=config.Chat(max_new_tokens=16),
        bot=config.Bot(servers=["*"], typing_speed=0, chattiness=0),
    )
    space = workspace.create(tmp_path_factory.mktemp("apollo") / "crew", settings)
    settings = space.settings()
    apollo11.import_transcript(space)
    prepare.prepare_if_stale(space, settings)
    train.train_if_stale(space, settings, "group")
    return space


@pytest.mark.model
def test_four_clones_hold_a_conversation_in_which_the_model_says_who_speaks_next(
    apollo: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = apollo.settings()
    asked: list[dict[str, float]] = []
    real = LiveRoom.speaker_probabilities

    def probabilities(room: LiveRoom, among: list[str]) -> dict[str, float]:
        asked.append(real(room, among))
        return asked[-1]

    monkeypatch.setattr(LiveRoom, "speaker_probabilities", probabilities)

    async def play() -> None:
        bot = DiscordBot(settings.bot, outbox, consents, make)
        async with simcord.run(bot, settle_timeout=900) as env:
            guild = env.create_guild("Mission Control")
            channel = guild.create_text_channel("loop")
            eve = guild.add_member(env.create_user("eve", global_name="Eve"))
            await env.settle()
            bot.host._rng.seed(1)
            bot.host._rooms.clone.rng.seed(3)
            for name in CREW:
                await eve.slash(channel, "clone summon", who=name)
            await eve.send(channel, "Hey everyone, what a view of the Moon that must be.")
            assert asked == []  # all are spoken to, so all answer: that is the rule's doing
            room = bot.host._open_rooms[str(channel.id)]
            told = room.messages()[-1].turn
            await eve.slash(channel, "clone watch", n=TURNS)
            there = [message for message in room.messages() if message.by_clone]
            posted = [message for message in channel.history() if message.webhook_id]
            bodies = [r.json for r in env.http_requests if r.path.startswith("/webhooks/")]
            posts = [body for body in bodies if body and "username" in body]

        # Each turn was drawn by the model's own chances of the names: all different.
        assert len(asked) == TURNS
        assert all(sum(lot.values()) == pytest.approx(1) for lot in asked)
        assert all(len(set(lot.values())) == len(lot) == len(CREW) - 1 for lot in asked)
        turns = dict.fromkeys((m.turn, m.person) for m in there if m.turn > told)
        speakers = [person for _, person in turns]
        assert len(speakers) > TURNS / 2  # a turn may have no words
        assert all(one != next_ for one, next_ in pairwise(speakers))

        # What stands in the channel is what was said, each message once and by one author.
        expected = [(f"{message.person} (clone)", message.text) for message in there]
        assert [(m.author.name, m.content) for m in posted] == expected
        assert [post["content"] for post in posts] == [text for _, text in expected]
        assert all(post["allowed_mentions"] == {"parse": []} for post in posts)
        for _, text in expected:
            assert text
            assert "@" not in text
            assert not any(line.startswith(f"{n}:") for line in text.splitlines() for n in CREW)

    chats = {file: workspace.fingerprint(file) for file in apollo.message_files()}
    with open_bot(apollo, "group", settings, "discord") as (outbox, consents, make):
        assert set(CREW) <= set(consents.speakers())
        asyncio.run(play())
    # What was said stands in the room only: nothing that training reads has changed.
    assert chats == {file: workspace.fingerprint(file) for file in apollo.message_files()}
