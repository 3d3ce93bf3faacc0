"""Posts of clones in a simulated Discord."""

from __future__ import annotations

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simcord.builders import ChannelHandle
from tests.bots.simulated import Server, build, played
from tests.bots.world import FRIENDS, World

from myna.bots import delivery
from myna.bots import discord_front as texts
from myna.bots.discord_setup import REQUIRED_PERMISSIONS
from myna.bots.outbox import Post

ANA = "Ana Silva (clone)"


async def limited(on: Server, *without: str) -> None:
    """Go to a channel where the bot lacks these permissions."""
    guild = on.bot.get_guild(on.guild.id)
    assert guild is not None
    lacks = discord.PermissionOverwrite(**dict.fromkeys(without, False))
    on.channel = on.guild.create_text_channel("closed", overwrites={guild.me: lacks})
    await on.env.settle()


class TestWebhooks:
    def test_speak_in_each_clone_s_name_with_its_human_s_avatar(self, world: World) -> None:
        async def scenario(on: Server) -> None:
            user = on.env.create_user("silva", avatar="a" * 32)
            ana = on.guild.add_member(user)
            world.consent(dict.fromkeys(FRIENDS, "clone"), Ana=f"discord:{ana.id}")
            await on.clone("summon", who="everyone")
            await on.eve.send(on.channel, "ana and cy")
            ana_said, cy_said = on.channel.history()[-2:]
            assert (ana_said.author.name, cy_said.author.name) == (ANA, "Cy (clone)")
            assert f"/avatars/{ana.id}/{'a' * 32}" in str(
                on.env.backend.messages[on.channel.id][ana_said.id].author_avatar
            )
            assert ana_said.webhook_id == cy_said.webhook_id is not None
            assert len(on.env.backend.webhooks) == 1

        played(scenario, world)

    def test_that_are_there_are_used_again_after_a_restart(self, world: World) -> None:
        async def scenario(on: Server) -> None:
            await on.clone("summon", who="ana")
            await on.eve.send(on.channel, "ana")
            await on.bot.host.close()
            world.close()
            await on.env.restart_bot(build(world))
            await on.eve.send(on.channel, "ana, again")
            assert [text for _, text in on.by_clones()] == ["re ana", "re ana, again"]
            assert len(on.env.backend.webhooks) == 1

        played(scenario, world)

    def test_that_are_deleted_while_they_speak_are_made_anew(self, world: World) -> None:
        world.settings = world.settings.model_copy(update={"typing_speed": 0.1})
        world.engine._lines = 2

        async def scenario(on: Server) -> None:
            await on.clone("summon", who="ana")
            await on.eve.send(on.channel, "ana")
            await on.env.advance_time(13)
            assert [text for _, text in on.by_clones()] == ["re ana"]
            [old] = on.env.backend.webhooks
            on.env.backend.delete_webhook(old)
            await on.env.advance_time(13)
            assert [text for _, text in on.by_clones()] == ["re ana", "re ana 2"]
            assert list(on.env.backend.webhooks) != [old]

        played(scenario, world)

    def test_in_a_thread_are_its_channel_s(self, world: World) -> None:
        async def scenario(on: Server) -> None:
            thread = on.env.backend.create_thread(on.channel.id, "side talk", on.eve.id)
            on.channel = ChannelHandle(on.env, on.guild, thread)
            await on.env.settle()
            await on.clone("summon", who="ana")
            await on.eve.send(on.channel, "ana")
            # Simcord posts it in the channel; that the thread was named is what Discord needs.
            posts = [r for r in on.env.http_requests if r.path.startswith("/webhooks/")]
            assert [r.json["content"] for r in posts if "content" in r.json][-1] == "re ana"
            assert str(posts[-1].params["thread_id"]) == str(thread.id)
            [hook] = on.env.backend.webhooks.values()
            assert hook.channel_id == thread.parent_id

        played(scenario, world)


def test_where_it_may_not_manage_webhooks_it_speaks_in_its_own_name(world: World) -> None:
    async def scenario(on: Server) -> None:
        await limited(on, "manage_webhooks")
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "ana")
        assert on.said()[-1] == ("TestBot", f"**{ANA}:** re ana")
        last = on.channel.last_message
        assert last is not None
        await on.eve.click(last, label="retry")
        assert on.said()[-1] == ("TestBot", f"**{ANA}:** re ana")
        assert on.channel.last_message is not None
        assert on.channel.last_message.id != last.id

    played(scenario, world)


def test_where_it_may_not_write_nothing_is_said_and_nobody_thinks_it_was(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(on: Server) -> None:
        await limited(on, "manage_webhooks", "send_messages")
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "ana")
        assert on.by_clones() == []
        room = world.rooms.open(f"discord:{on.channel.id}")
        assert [m.text for m in room.messages()] == ["ana"]
        assert "0 on their way, 1 taken back or not posted" in await on.clone("stats")

    played(scenario, world)
    assert "a message of Ana Silva was not posted: it may not write in #closed" in caplog.text


def test_several_messages_are_typed_one_after_the_other(world: World) -> None:
    world.settings = world.settings.model_copy(update={"typing_speed": 1})
    world.engine._lines = 3

    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "ana, now")  # 'ana, now' again: 11 seconds, 12 at most
        seen = []
        for _ in range(4):
            seen.append(len(on.by_clones()))
            await on.env.advance_time(12)
        assert seen == [0, 1, 2, 3]
        typed = [r for r in on.env.http_requests if r.path.endswith("/typing")]
        assert len(typed) == 6  # each lasts ten seconds

    played(scenario, world)


def test_the_server_s_own_emoji_are_used(world: World) -> None:
    async def scenario(on: Server) -> None:
        emoji = on.guild.create_emoji("teapot")
        await on.env.settle()
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, f"ana say more <:teapot:{emoji.id}> :cup: 10:30:20")
        assert on.by_clones() == [(ANA, f"more <:teapot:{emoji.id}> :cup: 10:30:20")]

    played(scenario, world)


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ("@everyone tea", "everyone tea"),
        ("ask <@123> and <@&9>", "ask 123 and &9"),
        ("mail a@b", "mail ab"),
    ],
)
def test_nobody_is_pinged(world: World, words: str, out: str) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, f"ana say {words}")
        [(_, text)] = on.by_clones()
        assert "@" not in text
        posts = [r for r in on.env.http_requests if r.method == "POST" and "webhooks/" in r.path]
        assert posts[-1].json["allowed_mentions"] == {"parse": []}

    played(scenario, world)


@given(st.text())
def test_no_text_of_a_clone_has_a_ping(text: str) -> None:
    said = texts.without_mentions(text)
    assert "@" not in said
    assert "<#1>" not in texts.without_mentions(f"<#1>{text}")


@given(st.text(min_size=1), st.integers(min_value=10, max_value=40))
def test_long_texts_are_cut_and_no_word_is_lost(text: str, longest: int) -> None:
    cut = texts.split_message(text, longest)
    assert all(0 < len(piece) <= longest for piece in cut)
    assert "".join("".join(cut).split()) == "".join(texts.without_mentions(text).split())


def test_more_than_2000_characters_are_several_messages(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        world.engine.saying = words = "tea " * 1000
        await on.eve.send(on.channel, "ana")
        said = [text for _, text in on.by_clones()]
        assert [len(text) for text in said] == [1899, 1899, 199]
        assert " ".join(said) == words.strip()
        assert [len(m.components) for m in on.channel.history()[-3:]] == [0, 0, 1]

    played(scenario, world)


def test_an_engine_that_fails_does_not_silence_the_channel(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        world.engine.failing = 1
        await on.eve.send(on.channel, "ana, one")
        await on.eve.send(on.channel, "ana, two")
        assert on.by_clones() == [(ANA, "re ana, two")]

    played(scenario, world)


def test_what_discord_fails_at_is_tried_again_and_not_doubled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "RETRY_PAUSES", (0.1, 0.1))

    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "ana, one")
        on.env.inject_error("POST", "/webhooks/*", status=503, times=2)
        await on.eve.send(on.channel, "ana, two")
        assert [text for _, text in on.by_clones()] == ["re ana, one", "re ana, two"]

    played(scenario, world)


def test_what_was_posted_although_it_seemed_to_fail_is_found_not_doubled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "RETRY_PAUSES", (0.1,))

    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        front = world.host.front
        really, failing = front.post, [True]

        async def post(post: object) -> str:
            posted = await really(post)  # type: ignore[arg-type]
            if failing.pop() if failing else False:
                raise OSError("the answer was lost")
            return posted

        front.post = post  # type: ignore[method-assign]
        for words in ("ana", "ana"):
            await on.eve.send(on.channel, words)
        assert [text for _, text in on.by_clones()] == ["re ana", "re ana"]

    played(scenario, world)


def test_what_discord_does_not_take_is_not_tried_again_when_they_may_not_speak(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "RETRY_PAUSES", (60,))

    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        on.env.inject_error("POST", "/channels/*/webhooks", status=503)
        await on.eve.send(on.channel, "ana, one")
        await on.clone("opt-out", who="ana")
        await on.env.advance_time(60)
        assert on.by_clones() == []

    played(scenario, world)
    assert "a message of Ana Silva was not posted: may not speak" in caplog.text


def test_what_cannot_be_taken_back_any_more_does_not_silence_the_channel(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        front = world.host.front
        really = front.post

        async def post(post: Post) -> str:
            if post.text == "re ana, one":  # somebody deletes it while it is on its way
                world.outboxes[0].drop_post(post, "deleted")
            return await really(post)

        front.post = post  # type: ignore[method-assign]
        on.env.inject_error("DELETE", "/webhooks/*", status=500, times=None)
        await on.eve.send(on.channel, "ana, one")
        await on.env.advance_time(60)
        await on.eve.send(on.channel, "ana, two")
        assert on.by_clones()[-1] == (ANA, "re ana, two")

    played(scenario, world)
    assert "a message cannot be deleted" in caplog.text


def test_the_invite_asks_for_what_is_used_and_no_more() -> None:
    assert {name for name, wanted in REQUIRED_PERMISSIONS if wanted} == {
        "view_channel",
        "read_messages",
        "send_messages",
        "send_messages_in_threads",
        "read_message_history",
        "manage_webhooks",
    } - {"view_channel"}
