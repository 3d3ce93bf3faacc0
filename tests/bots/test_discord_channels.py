"""Channels of every kind, and what becomes of them and of messages in them."""

from __future__ import annotations

import pytest
from simcord.backend.models import MessageSticker, Poll, PollAnswer
from simcord.builders import ChannelHandle
from simcord.enums import MessageType
from tests.bots.simulated import Server, played
from tests.bots.test_discord_receiving import ANA, heard
from tests.bots.world import World

from myna.bots import delivery


def kinds(on: Server) -> dict[str, ChannelHandle]:
    """A channel of each kind in which people write."""
    forum = on.guild.create_forum_channel("ideas")
    post = on.env.backend.create_thread(forum.id, "more tea", on.eve.id)
    return {
        "voice": on.guild.create_voice_channel("lounge"),
        "stage": on.guild.create_stage_channel("podium"),
        "announcements": on.guild.create_news_channel("news"),
        "forum": ChannelHandle(on.env, on.guild, post),
    }


@pytest.mark.parametrize("kind", ["voice", "stage", "announcements", "forum"])
def test_clones_talk_wherever_people_write(world: World, kind: str) -> None:
    async def scenario(on: Server) -> None:
        on.channel = kinds(on)[kind]
        await on.env.settle()
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "ana?")
        assert heard(on) == [("Eve", "ana?"), ("Ana Silva", "re ana?")]
        [hook] = on.env.backend.webhooks.values()
        channel = on.env.backend.channels[on.channel.id]
        assert hook.channel_id == (channel.parent_id if kind == "forum" else channel.id)

    played(scenario, world)


def test_in_direct_messages_nothing_is_read(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        await on.eve.send_dm("ana?")
        assert world.rooms.ids() == [f"discord:{on.channel.id}"]
        assert heard(on) == []

    played(scenario, world)


def test_what_is_no_words_of_theirs_is_not_heard(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        backend = on.env.backend
        first = await on.eve.send(on.channel, "ana, one")
        await on.eve.forward(first, on.channel)
        answers = [PollAnswer(1, "tea"), PollAnswer(2, "ana")]
        poll = Poll(question="ana?", answers=answers, expiry=backend.now_iso())
        backend.create_message(on.channel.id, on.eve.id, poll=poll)
        on.guild.create_system_message(on.channel, MessageType.NEW_MEMBER, author=on.eve)
        await on.env.settle()
        assert heard(on) == [("Eve", "ana, one"), ("Ana Silva", "re ana, one")]

    played(scenario, world)


def test_a_sticker_is_heard(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        sticker = on.guild.create_sticker("wave")
        item = MessageSticker(sticker.id, "wave", 1, on.guild.id)
        on.env.backend.create_message(on.channel.id, on.eve.id, stickers=[item])
        await on.env.settle()
        assert heard(on) == [("Eve", "[sticker]")]

    played(scenario, world)


def test_messages_deleted_by_the_hundred_are_gone_from_the_room(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        sent = [await on.eve.send(on.channel, f"{number}") for number in range(3)]
        await on.eve.send(on.channel, "ana?")
        last = on.channel.last_message
        assert last is not None
        on.env.backend.bulk_delete_messages(on.channel.id, [sent[0].id, sent[2].id, last.id])
        await on.env.settle()
        assert heard(on) == [("Eve", "1"), ("Eve", "ana?")]

    played(scenario, world)


def test_a_member_who_takes_another_name_is_who_they_were(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "one")
        on.env.backend.edit_member(on.guild.id, on.eve.id, {"nick": "Ana Silva"})
        await on.eve.send(on.channel, "two")
        assert heard(on) == [("Eve", "one"), ("Eve", "two")]

    played(scenario, world)


def test_a_channel_takes_the_rooms_of_its_threads_with_it(world: World) -> None:
    async def scenario(on: Server) -> None:
        thread = on.env.backend.create_thread(on.channel.id, "side talk", on.eve.id)
        parent, on.channel = on.channel, ChannelHandle(on.env, on.guild, thread)
        await on.env.settle()
        await on.clone("summon", who="ana")
        assert world.rooms.ids() == [f"discord:{thread.id}"]
        on.env.backend.delete_channel(parent.id)
        await on.env.settle()
        assert world.rooms.ids() == []

    played(scenario, world)


def test_a_server_that_sends_the_bot_away_takes_its_rooms_with_it(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "ana?")
        on.env.backend.remove_guild(on.guild.id)
        await on.env.settle()
        assert world.rooms.ids() == []
        assert world.outboxes[0].channels() == []

    played(scenario, world)


def test_a_webhook_that_is_moved_to_another_channel_says_nothing_there(world: World) -> None:
    async def scenario(on: Server) -> None:
        other = on.guild.create_text_channel("public")
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "ana, one")
        [hook] = on.env.backend.webhooks
        on.env.backend.edit_webhook(hook, {"channel_id": str(other.id)})
        await on.env.settle()
        await on.eve.send(on.channel, "ana, two")
        assert [text for _, text in on.by_clones()] == ["re ana, one", "re ana, two"]
        assert on.said(other) == []

    played(scenario, world)


def test_an_avatar_that_cannot_be_fetched_is_asked_for_again(world: World) -> None:
    async def scenario(on: Server) -> None:
        ana = on.guild.add_member(on.env.create_user("silva", avatar="a" * 32))
        world.consent({"Ana Silva": "clone"}, Ana=f"discord:{ana.id}")
        on.env.inject_error("GET", "/users/*", status=404)
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "ana, one")
        await on.eve.send(on.channel, "ana, two")
        first, second = (m for m in on.channel.history() if m.webhook_id)
        stored = on.env.backend.messages[on.channel.id]
        assert f"/avatars/{ana.id}/" not in str(stored[first.id].author_avatar)
        assert f"/avatars/{ana.id}/" in str(stored[second.id].author_avatar)

    played(scenario, world)


def test_a_message_to_a_clone_of_many_lines_is_shown_as_far_as_it_fits(world: World) -> None:
    async def scenario(on: Server) -> None:
        result = await on.eve.slash(
            on.channel, "clone talk", who="Ana Silva", message="a\n" * 740 + "b"
        )
        assert len(result.response.content) == 2000
        assert on.by_clones() == [(ANA, "re b")]

    played(scenario, world)


def test_what_a_webhook_s_limit_holds_up_is_said_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "RETRY_PAUSES", (0.1, 0.1, 0.1))

    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "ana, one")
        on.env.inject_error("POST", "/webhooks/*", status=429, times=3)
        await on.eve.send(on.channel, "ana, two")
        assert [text for _, text in on.by_clones()] == ["re ana, one", "re ana, two"]

    played(scenario, world)


def test_invited_again_clones_come_when_summoned(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        await on.bot.host.leave_channel(str(on.channel.id))  # as when it was sent away
        await on.eve.send(on.channel, "ana?")
        assert on.by_clones() == []
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "ana, again?")
        assert heard(on) == [("Eve", "ana, again?"), ("Ana Silva", "re ana, again?")]

    played(scenario, world)
