"""`/clone …` and the buttons, typed and pressed in a simulated Discord."""

from __future__ import annotations

import discord
from simcord.actors import MemberActor
from tests.bots.simulated import Server, last, played
from tests.bots.world import FRIENDS, World

from myna import people
from myna.people import consent

NOBODY_HERE = "Nobody is here: summon somebody first."


def test_talk_has_a_clone_come_in_and_answer(world: World) -> None:
    async def scenario(on: Server) -> None:
        result = await on.eve.slash(on.channel, "clone talk", who="ben", message="tea?")
        assert result.response.content == "Eve to Ben Okoro (clone):\n> tea?"
        assert not result.response.ephemeral
        assert on.by_clones() == [("Ben Okoro (clone)", "re tea?")]
        assert await on.clone("who") == (
            "Here now: Ben Okoro (clone). Could be: Ana Silva (clone), Cy (clone), Dee (clone)."
        )

    played(scenario, world)
    assert world.engine.prompts == ["A chat in tea: Ben Okoro, Eve.\nEve: tea?\nBen Okoro:"]


def test_names_are_completed(world: World) -> None:
    async def scenario(on: Server) -> None:
        async def offered(command: str, typed: str) -> list[str]:
            choices = await on.eve.autocomplete(on.channel, f"clone {command}", "who", typed)
            return [choice["value"] for choice in choices]

        assert await offered("summon", "") == ["everyone", *FRIENDS]
        assert await offered("summon", "o") == ["Ben Okoro"]
        assert await offered("dismiss", "eve") == ["everyone"]
        choices = await on.eve.autocomplete(on.channel, "clone talk", "who", "d", message="x")
        assert [choice["value"] for choice in choices] == ["Dee"]

    played(scenario, world)


def test_they_come_when_summoned_and_go_when_dismissed(world: World) -> None:
    async def scenario(on: Server) -> None:
        assert await on.clone("summon", who="cy") == "Here now: Cy (clone)."
        assert await on.clone("summon", who="everyone") == (
            "Here now: Cy (clone), Ana Silva (clone), Ben Okoro (clone), Dee (clone)."
        )
        await on.clone("dismiss", who="ana")
        await on.eve.send(on.channel, "ana and dee, tea?")
        assert on.by_clones() == [("Dee (clone)", "re ana and dee, tea?")]
        assert await on.clone("dismiss", who="everyone") == "Here now: nobody."
        await on.eve.send(on.channel, "dee?")
        assert len(on.by_clones()) == 1

    played(scenario, world)


def test_somebody_unknown_or_without_consent_does_not_come(world: World) -> None:
    world.consent({"Ana Silva": "clone", "Ben Okoro": "context", "Cy": "no"})

    async def scenario(on: Server) -> None:
        assert await on.clone("summon", who="zed") == (
            "Unknown person 'zed': there are Ana Silva, Ben Okoro, Cy, Dee."
        )
        refused = "has not consented to be cloned, or has opted out."
        assert await on.clone("summon", who="Ben") == f"Ben {refused}"
        assert await on.clone("summon", who="Cy") == f"Cy {refused}"
        assert await on.clone("summon", who="everyone") == "Here now: Ana Silva (clone)."

    played(scenario, world)


def test_watching_them_talk_among_themselves(world: World) -> None:
    async def scenario(on: Server) -> None:
        assert await on.clone("watch", n=4) == NOBODY_HERE
        await on.clone("summon", who="ana")
        assert await on.clone("watch", n=4) == "It takes two to talk: summon more of them."
        await on.clone("summon", who="ben")
        await on.eve.send(on.channel, "tea")
        assert await on.clone("watch", n=4) == "They talk for 4 turns."
        speakers = [name for name, _ in on.by_clones()]
        assert len(speakers) == 4
        assert speakers[::2] == [speakers[0]] * 2  # in turn: nobody follows themselves
        assert speakers[1::2] == [speakers[1]] * 2
        assert speakers[0] != speakers[1]

    played(scenario, world)


def test_the_newest_answer_is_said_anew(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        assert await on.clone("retry") == "There is no answer to regenerate."
        await on.eve.send(on.channel, "ana, one")
        await on.eve.send(on.channel, "two, ana")
        before = on.channel.last_message
        assert before is not None
        assert await on.clone("retry") == "Ana Silva (clone) answers again."
        assert on.by_clones() == [
            ("Ana Silva (clone)", "re ana, one"),
            ("Ana Silva (clone)", "re two, ana"),
        ]
        assert on.channel.last_message is not None
        assert on.channel.last_message.id != before.id

    played(scenario, world)
    assert world.engine.prompts[-1] == world.engine.prompts[-2]


def test_the_context_is_forgotten(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "ana, one")
        forgotten = await on.clone("forget-context")
        assert forgotten == "They have forgotten what was said here up to now."
        await on.eve.send(on.channel, "ana, two")

    played(scenario, world)
    assert world.engine.prompts[-1] == "A chat in tea: Ana Silva, Eve.\nEve: ana, two\nAna Silva:"


def test_settings_are_changed_by_those_who_manage_the_channel(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        assert await on.clone("settings") == (
            "chattiness 0, temperature as in myna.toml. Here now: Ana Silva (clone)."
        )
        refused = "Only those who manage this channel may change that."
        assert await on.clone("settings", chattiness=1) == refused
        may = discord.Permissions(manage_channels=True)
        keeper = on.guild.add_member(
            on.env.create_user("kim"), roles=[on.guild.create_role("keeper", permissions=may)]
        )
        assert await on.clone("settings", keeper, chattiness=0.5, temperature=1.5) == (
            "chattiness 0.5, temperature 1.5. Here now: Ana Silva (clone)."
        )
        assert await on.clone("settings") == (
            "chattiness 0.5, temperature 1.5. Here now: Ana Silva (clone)."
        )

    played(scenario, world)


def test_whoever_writes_need_not_wait_for_the_end_of_a_talk_among_clones(world: World) -> None:
    world.settings = world.settings.model_copy(update={"typing_speed": 1})

    async def scenario(on: Server) -> None:
        await on.clone("summon", who="everyone")
        await on.clone("watch", n=4)
        await on.eve.send(on.channel, "dee say stop")
        for _ in range(20):
            await on.env.advance_time(12)
        said = on.by_clones()
        assert len(said) == 5
        assert ("Dee (clone)", "stop") in said[:2]
        assert await on.clone("watch", n=3) == "They talk for 3 turns."
        assert await on.clone("watch", n=30) == "They talk among themselves already."

    played(scenario, world)


class TestChoosingWhoIsHere:
    """The menu under `/clone settings`."""

    @staticmethod
    def keeper(on: Server) -> MemberActor:
        """Somebody who manages channels."""
        may = discord.Permissions(manage_channels=True)
        role = on.guild.create_role("keeper", permissions=may)
        return on.guild.add_member(on.env.create_user("kim"), roles=[role])

    def test_offers_all_with_consent_and_marks_those_who_are_here(self, world: World) -> None:
        world.consent(dict.fromkeys(FRIENDS, "clone") | {"Cy": "context"})

        async def scenario(on: Server) -> None:
            kim = self.keeper(on)
            await on.clone("summon", who="ana")
            settings = await on.answer("settings", kim)
            assert settings.ephemeral
            [[menu]] = [row["components"] for row in settings.components]
            assert (menu["min_values"], menu["max_values"]) == (0, 3)
            assert [(o["value"], o["default"]) for o in menu["options"]] == [
                ("Ana Silva", True),
                ("Ben Okoro", False),
                ("Dee", False),
            ]

        played(scenario, world)

    def test_has_those_come_and_go(self, world: World) -> None:
        async def scenario(on: Server) -> None:
            kim = self.keeper(on)
            await on.clone("summon", who="ana")
            menu = await on.answer("settings", kim)
            chosen = await kim.select(menu, ["Ben Okoro", "Dee"])
            assert last(chosen).content == "Here now: Ben Okoro (clone), Dee (clone)."
            await on.eve.send(on.channel, "hey everyone")
            assert {name for name, _ in on.by_clones()} == {"Ben Okoro (clone)", "Dee (clone)"}
            chosen = await kim.select(menu, [])
            assert last(chosen).content == "Here now: nobody."

        played(scenario, world)

    def test_is_for_those_who_manage_the_channel(self, world: World) -> None:
        async def scenario(on: Server) -> None:
            kim = self.keeper(on)
            await on.clone("summon", who="ana")
            settings = await on.answer("settings")
            assert not settings.components
            menu = await on.answer("settings", kim)
            on.env.backend.remove_member_role(on.guild.id, kim.id, on.guild.roles["keeper"].id)
            refused = await kim.select(menu, ["Dee"])
            assert refused.response.content == (
                "Only those who manage this channel may change that."
            )
            assert (await on.clone("who")).startswith("Here now: Ana Silva (clone). ")

        played(scenario, world)

    def test_of_somebody_whose_consent_is_withdrawn_meanwhile_is_refused(
        self, world: World
    ) -> None:
        async def scenario(on: Server) -> None:
            kim = self.keeper(on)
            await on.clone("summon", who="ana")
            menu = await on.answer("settings", kim)
            world.consent(dict.fromkeys(FRIENDS, "clone") | {"Dee": "no"})
            refused = await kim.select(menu, ["Ben Okoro", "Dee"])
            assert last(refused).content == (
                "Dee has not consented to be cloned, or has opted out."
            )
            assert (await on.clone("who")).startswith("Here now: Ana Silva (clone). ")

        played(scenario, world)


class TestOptingOut:
    def test_of_a_known_account_is_at_once_and_listed(self, world: World) -> None:
        async def scenario(on: Server) -> None:
            ana = on.guild.add_member(on.env.create_user("silva", global_name="Ana"))
            world.consent(dict.fromkeys(FRIENDS, "clone"), Ana=f"discord:{ana.id}")
            await on.clone("summon", who="everyone")
            await ana.send(on.channel, "my secret")
            assert await on.clone("opt-out", ana) == (
                "Done: Ana Silva (clone) never speaks again, and what you write is not read."
            )
            await on.eve.send(on.channel, "ana and cy?")
            await ana.send(on.channel, "cy, do you hear me?")
            assert on.by_clones() == [("Cy (clone)", "re ana and cy?")]
            assert "Ana" not in await on.clone("who")
            talk = await ana.slash(on.channel, "clone talk", who="Cy", message="hi")
            assert talk.response.content == "You have opted out: what you write is not read."
            room = world.rooms.open(f"discord:{on.channel.id}")
            assert [m.text for m in room.messages()] == ["ana and cy?", "re ana and cy?"]
            assert "Ana Silva" not in room.humans
            [entry] = consent.load_opt_outs(world.space.opt_outs_file)
            assert (entry.account, entry.name, entry.person) == (
                f"discord:{ana.id}",
                "Ana",
                "Ana Silva",
            )

        played(scenario, world)

    def test_of_an_unknown_account_says_who_they_are(self, world: World) -> None:
        async def scenario(on: Server) -> None:
            dee = on.guild.add_member(on.env.create_user("dee9"))
            assert (await on.clone("opt-out", dee)).startswith("Done: what you write is not read")
            assert "Dee" in await on.clone("who")
            assert (await on.clone("opt-out", dee, who="dee")).startswith("Done: Dee (clone)")
            assert "Dee" not in await on.clone("who")

        played(scenario, world)

    def test_of_somebody_else_is_refused(self, world: World) -> None:
        world.consent(dict.fromkeys(FRIENDS, "clone"), Ana="discord:77")

        async def scenario(on: Server) -> None:
            refused = "Ana Silva is somebody else: only they can opt out."
            assert await on.clone("opt-out", who="ana") == refused
            assert consent.load_opt_outs(world.space.opt_outs_file) == []

        played(scenario, world)

    def test_drops_what_waits_to_be_said(self, world: World) -> None:
        world.settings = world.settings.model_copy(update={"typing_speed": 0.1})

        async def scenario(on: Server) -> None:
            await on.clone("summon", who="cy")
            await on.eve.send(on.channel, "cy?")  # he types
            assert (await on.clone("opt-out", who="cy")).startswith("Done: Cy (clone)")
            await on.env.advance_time(60)
            assert on.by_clones() == []

        played(scenario, world)


def test_stats_count(world: World) -> None:
    async def scenario(on: Server) -> None:
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "ana, hi")
        await on.eve.send(on.channel, "nobody in particular")
        assert await on.clone("stats") == (
            "Here: 2 messages heard, 1 said, 0 on their way, 0 taken back or not posted. "
            "Today, everywhere: 10 of 200,000 tokens. They may speak."
        )

    played(scenario, world)


def test_the_owner_switches_all_of_it_off(world: World) -> None:
    world.settings = world.settings.model_copy(update={"typing_speed": 0.1})

    async def scenario(on: Server) -> None:
        kim = on.guild.add_member(on.env.create_user("kim"))
        world.settings.owners.append(str(kim.id))
        assert await on.clone("off") == "Only the bot's owner may do that."
        await on.clone("summon", who="ana")
        await on.eve.send(on.channel, "ana, one")  # she types
        assert (await on.clone("off", kim)).startswith("They are silent, here and everywhere")
        await on.env.advance_time(60)
        await on.eve.send(on.channel, "ana, two")
        assert on.by_clones() == []
        silent = "Nobody speaks now: switched off by the owner."
        assert await on.clone("watch") == silent
        talk = await on.eve.slash(on.channel, "clone talk", who="Ana Silva", message="x")
        assert talk.response.content == silent
        assert await on.clone("on", kim) == "They may speak again."
        await on.eve.send(on.channel, "ana, three")
        await on.env.advance_time(60)
        assert on.by_clones() == [("Ana Silva (clone)", "re ana, three")]

    played(scenario, world)


def test_a_server_that_is_not_listed_is_refused(world: World) -> None:
    world.settings = world.settings.model_copy(update={"servers": ["1"]})

    async def scenario(on: Server) -> None:
        assert await on.clone("summon", who="ana") == (
            "This server is not on the owner's list. Its owner can add it to myna.toml: "
            f'[bot] servers = ["{on.guild.id}"]'
        )
        await on.eve.send(on.channel, "ana?")
        assert on.by_clones() == []

    played(scenario, world)


class TestButtons:
    def test_retry_and_delete_stand_under_the_end_of_a_turn(self, world: World) -> None:
        world.engine._lines = 3

        async def scenario(on: Server) -> None:
            await on.clone("summon", who="ana")
            await on.eve.send(on.channel, "ana")
            *_, first, second, third = on.channel.history()
            assert [len(m.components) for m in (first, second, third)] == [0, 0, 1]
            await on.eve.click(third, label="retry")
            assert [text for _, text in on.by_clones()] == ["re ana", "re ana 2", "re ana 3"]
            last = on.channel.last_message
            assert last is not None
            assert last.id != third.id
            await on.eve.click(last, label="delete")
            assert on.by_clones() == []
            assert [m.text for m in world.rooms.open(f"discord:{on.channel.id}").messages()] == [
                "ana"
            ]

        played(scenario, world)

    def test_of_a_turn_that_is_gone_do_nothing(self, world: World) -> None:
        async def scenario(on: Server) -> None:
            await on.clone("summon", who="ana")
            await on.eve.send(on.channel, "ana")
            post = world.outboxes[0].newest_post(str(on.channel.id))
            assert post is not None
            world.outboxes[0].drop_post(post, "too old")
            last = on.channel.last_message
            assert last is not None
            result = await on.eve.click(last, label="retry")
            assert result.response.content == "There is no answer to regenerate."

        played(scenario, world)


class TestAskingForConsent:
    def test_a_button_says_yes_and_another_takes_it_back(self, world: World) -> None:
        async def scenario(on: Server) -> None:
            tom = on.guild.add_member(on.env.create_user("tom", global_name="Tom"))
            world.settings.owners.append(str(tom.id))
            ana = on.guild.add_member(on.env.create_user("silva", global_name="Ana"))
            friends = {**dict.fromkeys(FRIENDS, "clone"), "Ana Silva": "context"}
            world.consent(friends, Ana=f"discord:{ana.id}")
            await tom.slash(on.channel, "clone ask", member=ana)
            question = on.channel.history()[-1]
            assert question.content.startswith("**Ana, may you be cloned?**\nA clone is a language")
            refused = await on.eve.click(question, label="I agree to be cloned")
            assert last(refused).content == "Only the one who is asked can answer."
            assert people.load(world.space.people_file).persons[0].consent == "context"
            thanked = await ana.click(question, label="I agree to be cloned")
            assert str(last(thanked).content).startswith("Thank you: you may be cloned.")
            person = people.load(world.space.people_file).persons[0]
            assert (person.consent, person.scope) == ("clone", ("owner", "group"))
            assert person.record is not None
            assert person.record.asked == "by a button of the bot, in Tea House on Discord"
            withdrawn = await ana.click(question, label="No, or not any more")
            assert str(last(withdrawn).content).startswith("Done: you are not cloned.")
            person = people.load(world.space.people_file).persons[0]
            assert (person.consent, person.record) == ("no", None)

        played(scenario, world)

    def test_only_the_owner_asks_and_only_people_in_the_chats(self, world: World) -> None:
        async def scenario(on: Server) -> None:
            refused = await on.eve.slash(on.channel, "clone ask", member=on.eve)
            assert last(refused).content == "Only the bot's owner may do that."
            world.settings.owners.append(str(on.eve.id))
            refused = await on.eve.slash(on.channel, "clone ask", member=on.eve)
            assert "people.toml has nobody with the account" in str(last(refused).content).lower()

        played(scenario, world)
