"""Erasing a person from rooms, and from what bots remember."""

from __future__ import annotations

import pytest
from tests.bots.world import FRIENDS, World

from myna import people
from myna.bots.outbox import Outbox, forget_in_rooms
from myna.errors import WorkspaceError
from myna.people import Person, consent
from myna.people import forgetting as from_chats
from myna.people.consent import OptOut

ANA = Person("Ana Silva", ("discord:7", "irc:ana"), "clone")


def talked(world: World) -> None:
    """Ana (as humans, under two names) and her clone were heard in two places, Eve in one."""
    world.consent(dict.fromkeys(FRIENDS, "clone"))
    outbox, _, _ = world.bot_parts("discord")
    for channel_id, called in (("tea", "Ana Silva (human)"), ("lake", "Birdie")):
        outbox.add_channel(channel_id)
        room = world.rooms.open(f"discord:{channel_id}", personas=["Ana Silva", "Cy"])
        outbox.set_name(channel_id, "discord:7", called)
        room.say(called, "ana was here")
        outbox.add_task(
            channel_id, key="1", person=called, text="ana's next words", speakers=["Cy"]
        )
    outbox.set_name("tea", "discord:8", "Birdie")
    world.rooms.open("discord:tea").say("Birdie", "I am somebody else")
    outbox.add_task("tea", key="2", person="Birdie", text="hm", speakers=["Ana Silva", "Cy"])
    [*_, task] = outbox.new_messages("tea")
    posts = [("Ana Silva", 1, 1, "ana's clone's words", True), ("Cy", 2, 2, "cy's words", True)]
    outbox.add_posts(task, posts, speakers=["Ana Silva", "Cy"], turns=0, tokens=1)
    world.close()


def test_what_they_wrote_and_what_their_clone_was_to_say_goes_and_others_words_stay(
    world: World,
) -> None:
    talked(world)
    assert forget_in_rooms(world.space, ANA) == 2
    outbox, _, _ = world.bot_parts("discord")
    assert outbox.names("tea") == {"discord:8": "Birdie"}
    assert outbox.names("lake") == {}
    assert [(t.person, t.speakers) for t in outbox.new_messages("tea")] == [("Birdie", ("Cy",))]
    assert outbox.new_messages("lake") == []
    post = outbox.next_post("tea")
    assert post is not None
    assert (post.person, post.text) == ("Cy", "cy's words")
    tea, lake = (world.rooms.open(f"discord:{channel_id}") for channel_id in ("tea", "lake"))
    assert [(m.person, m.text) for m in tea.messages()] == [("Birdie", "I am somebody else")]
    assert lake.messages() == []
    assert (tea.members, lake.members) == (["Cy", "Birdie"], ["Cy"])
    world.close()
    files = [world.space.rooms_file, *world.space.bots.iterdir()]
    left = b"".join(file.read_bytes() for file in files)
    assert b"ana" not in left
    assert b"Ana" not in left


def test_nothing_is_made_where_nobody_ever_talked(world: World) -> None:
    assert forget_in_rooms(world.space, ANA) == 0
    assert not world.space.rooms_file.exists()


def test_a_bot_that_is_running_is_to_be_stopped_first(world: World) -> None:
    talked(world)
    world.bot_parts("discord")
    with pytest.raises(WorkspaceError, match=r"is in use: a bot of this workspace is running"):
        forget_in_rooms(world.space, ANA)
    world.close()
    assert forget_in_rooms(world.space, ANA) == 2


def test_a_second_bot_of_one_platform_does_not_start(world: World) -> None:
    world.bot_parts("discord")
    with pytest.raises(WorkspaceError, match="stop it first"):
        Outbox(world.space.bots / "discord.sqlite")
    Outbox(world.space.bots / "irc.sqlite").close()
    world.close()


def test_who_was_forgotten_is_silent_and_not_read_though_their_opt_out_is_gone(
    world: World,
) -> None:
    world.consent(dict.fromkeys(FRIENDS, "clone"), Ana="discord:7")
    out = [OptOut("discord:7", "ana", "Ana Silva", "now"), OptOut("irc:an", "an", "Ana Silva", "n")]
    consent.add_opt_outs(world.space.opt_outs_file, [*out, OptOut("discord:9", "zoe", "", "now")])
    ana = people.find_person(people.load(world.space.people_file), "Ana Silva")
    from_chats.forget_person(world.space, ana)
    assert [entry.name for entry in consent.load_opt_outs(world.space.opt_outs_file)] == ["zoe"]
    _, consents, _ = world.bot_parts("discord")
    assert "Ana Silva" not in consents.speakers()
    asked = ("discord:7", "irc:an", "discord:8")
    assert [consents.may_read(account) for account in asked] == [False, False, True]
    world.close()
