"""Setting a bot up: tokens, the invite link, and what `--check` finds missing."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import discord
import pytest
import yarl
from tests.bots.bridge import TOKEN, VERSION, Bridge, bridged
from tests.bots.simulated import build
from tests.bots.world import World

from myna.bots import discord_setup, logs
from myna.errors import BotError

Scenario = Callable[[Bridge], Coroutine[Any, Any, Any]]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, as the bot logs it."""
    stream = io.StringIO()
    handler = logs.to(stream, [TOKEN], debug=True)
    yield stream
    logging.getLogger().removeHandler(handler)
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture
def at(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Callable[[Bridge], Coroutine[Any, Any, Any]]], Any]:
    """Do something with a simulated Discord behind real HTTP."""

    def done(scenario: Scenario) -> Any:
        async def play() -> Any:
            async with bridged() as (bridge, address):
                monkeypatch.setattr(discord.http.Route, "BASE", address + VERSION)
                url = yarl.URL(address.replace("http", "ws") + "/gateway")
                monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", url)
                return await scenario(bridge)

        return asyncio.run(play())

    return done


class TestToken:
    def test_comes_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MYNA_DISCORD_TOKEN", f" {TOKEN}\n")
        assert discord_setup.token() == TOKEN

    def test_that_is_nowhere_is_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MYNA_DISCORD_TOKEN", raising=False)
        with pytest.raises(BotError, match="there is no bot token: take it from https://discord"):
            discord_setup.token()

    def test_that_is_wrong_or_revoked_is_explained(self, at: Any, log: io.StringIO) -> None:
        async def scenario(bridge: Bridge) -> None:
            bridge.known_token = False
            for ask in (discord_setup.check(TOKEN, []), discord_setup.invitation(TOKEN)):
                with pytest.raises(BotError, match="Discord does not know this token"):
                    await ask

        at(scenario)
        assert TOKEN not in log.getvalue()

    def test_never_stands_in_the_log(self, at: Any, log: io.StringIO) -> None:
        async def scenario(_: Bridge) -> None:
            await discord_setup.check(TOKEN, [])
            try:
                raise ValueError(f"Bot {TOKEN}")
            except ValueError:
                logging.getLogger("any").exception("header %s", TOKEN)
            logging.getLogger("any").warning("POST https://x/api/v10/webhooks/12/a-b_c.d?wait=1")

        at(scenario)
        written = log.getvalue()
        assert "header [secret]" in written
        assert "ValueError: Bot [secret]" in written
        assert "/webhooks/12/[secret]?wait=1" in written
        assert TOKEN not in written
        assert "a-b_c.d" not in written


def test_the_invite_names_the_bot_and_what_it_needs(at: Any) -> None:
    async def scenario(bridge: Bridge) -> None:
        link = yarl.URL(await discord_setup.invitation(TOKEN))
        assert link.query["client_id"] == str(bridge.backend.application_id)
        assert link.query["permissions"] == str(discord_setup.NEEDED.value)
        assert link.query["scope"] == "bot applications.commands"

    at(scenario)


class TestCheck:
    def test_says_that_all_is_well(self, at: Any) -> None:
        async def scenario(bridge: Bridge) -> None:
            found = await discord_setup.check(TOKEN, [str(bridge.guild)])
            assert found.is_well
            assert found.servers == {f"Tea House ({bridge.guild})": []}

        at(scenario)

    def test_says_what_is_missing(self, at: Any) -> None:
        async def scenario(bridge: Bridge) -> None:
            bridge.content_intent = False
            guild = bridge.backend.guilds[bridge.guild]
            for role in guild.roles.values():
                may = discord.Permissions(role.permissions)
                may.update(manage_webhooks=False, administrator=False)
                role.permissions = may.value
            found = await discord_setup.check(TOKEN, ["77"])
            assert not found.is_well
            [lacks] = found.servers.values()
            assert lacks == [
                "permission manage webhooks: without it, clones have no names and avatars of "
                "their own",
                f'it is silent there: add it to myna.toml, [bot] servers = ["{bridge.guild}"]',
            ]
            intent, server = found.missing
            assert "switch on 'Message Content Intent' at https://discord.com" in intent
            assert server == "it is not in the server 77 of bot.servers"

        at(scenario)


def test_a_missing_intent_is_explained_when_it_connects(at: Any, world: World) -> None:
    async def scenario(bridge: Bridge) -> None:
        bridge.content_intent = False
        async with build(world) as bot:
            with pytest.raises(discord.PrivilegedIntentsRequired) as error:
                await bot.start(TOKEN)
        said = str(discord_setup.explained(error.value))
        assert said.startswith("Discord does not let the bot read messages: switch on 'Message")

    at(scenario)
    world.close()
