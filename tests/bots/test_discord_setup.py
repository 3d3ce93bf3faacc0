"""Setting a bot up: tokens, the invite link, and what `--check` finds missing."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import discord
import keyring
import pytest
import yarl
from keyring.backend import KeyringBackend
from keyring.backends import fail
from keyring.errors import KeyringLocked
from tests.bots.bridge import Bridge, bridged, until
from tests.bots.simulated import build
from tests.bots.world import API_VERSION, TOKEN, World

from myna.bots import discord_setup
from myna.cli.bot import log_to
from myna.errors import BotError

Scenario = Callable[[Bridge], Coroutine[Any, Any, Any]]


class Ring(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self) -> None:
        self.locked = False
        self._kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("prompt dismissed")
        return self._kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._kept[service, username] = password


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ring]:
    """An empty keyring, and no token in the environment."""
    monkeypatch.delenv("MYNA_DISCORD_TOKEN", raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(Ring())
    yield keyring.get_keyring()
    keyring.set_keyring(before)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, as the bot logs it."""
    stream = io.StringIO()
    handler = log_to(stream, [TOKEN], debug=True)
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
                monkeypatch.setattr(discord.http.Route, "BASE", address + API_VERSION)
                url = yarl.URL(address.replace("http", "ws") + "/gateway")
                monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", url)
                return await scenario(bridge)

        return asyncio.run(play())

    return done


class TestToken:
    def test_comes_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MYNA_DISCORD_TOKEN", f" {TOKEN}\n")
        assert discord_setup.load_token() == TOKEN

    def test_comes_from_the_keyring_where_the_environment_has_none(self, ring: Ring) -> None:
        ring.set_password("myna", "discord", f"{TOKEN}\n")
        assert discord_setup.load_token() == TOKEN

    def test_in_the_environment_comes_first(
        self, ring: Ring, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MYNA_DISCORD_TOKEN", TOKEN)
        ring.set_password("myna", "discord", "another")
        assert discord_setup.load_token() == TOKEN

    def test_that_is_nowhere_is_asked_for(self, ring: Ring) -> None:
        with pytest.raises(BotError, match="there is no bot token: take it from https://discord"):
            discord_setup.load_token()

    def test_is_asked_for_in_one_line_where_there_is_no_keyring(self, ring: Ring) -> None:
        keyring.set_keyring(fail.Keyring())
        with pytest.raises(BotError, match=r"`keyring set myna discord`; this machine has no k"):
            discord_setup.load_token()

    def test_is_asked_for_in_one_line_where_the_keyring_is_locked(self, ring: Ring) -> None:
        ring.locked = True
        with pytest.raises(BotError, match=r"; the keyring cannot be read \(prompt dismissed\)"):
            discord_setup.load_token()

    def test_that_is_wrong_or_revoked_is_explained(self, at: Any, log: io.StringIO) -> None:
        async def scenario(bridge: Bridge) -> None:
            bridge.known_token = False
            for ask in (discord_setup.check_setup(TOKEN, []), discord_setup.bot_invite_url(TOKEN)):
                with pytest.raises(BotError, match="Discord does not know this token"):
                    await ask

        at(scenario)
        assert TOKEN not in log.getvalue()

    def test_never_stands_in_the_log(self, at: Any, log: io.StringIO) -> None:
        async def scenario(_: Bridge) -> None:
            await discord_setup.check_setup(TOKEN, [])
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
        link = yarl.URL(await discord_setup.bot_invite_url(TOKEN))
        assert link.query["client_id"] == str(bridge.backend.application_id)
        assert link.query["permissions"] == str(discord_setup.REQUIRED_PERMISSIONS.value)
        assert link.query["scope"] == "bot applications.commands"

    at(scenario)


def test_the_invite_needs_only_the_application_s_id() -> None:
    link = yarl.URL(discord_setup.application_invite_url("123456789012345678"))
    assert link.query["client_id"] == "123456789012345678"
    assert link.query["permissions"] == str(discord_setup.REQUIRED_PERMISSIONS.value)
    with pytest.raises(BotError, match="'my bot' is no application id: it has 17 to 20 digits"):
        discord_setup.application_invite_url("my bot")


class TestCheck:
    def test_says_that_all_is_well(self, at: Any) -> None:
        async def scenario(bridge: Bridge) -> None:
            report = await discord_setup.check_setup(TOKEN, [str(bridge.guild)])
            assert report.is_complete
            [here] = report.servers.values()
            assert [item.name for item in here] == [
                "View Channels", "Send Messages", "Send Messages in Threads",
                "Read Message History", "Manage Webhooks", "bot.servers in myna.toml",
            ]  # fmt: skip
            assert all(item.is_there for item in [*here, *report.application])
            assert [item.name for item in report.application] == ["Message Content Intent"]
            lines = discord_setup.setup_lines(report)
            assert "  ✓ Message Content Intent" in lines
            assert "  ✓ Manage Webhooks" in lines

        at(scenario)

    def test_says_what_is_missing(self, at: Any) -> None:
        async def scenario(bridge: Bridge) -> None:
            bridge.content_intent = False
            guild = bridge.backend.guilds[bridge.guild]
            for role in guild.roles.values():
                may = discord.Permissions(role.permissions)
                may.update(manage_webhooks=False, administrator=False)
                role.permissions = may.value
            report = await discord_setup.check_setup(TOKEN, ["77"])
            assert not report.is_complete
            lines = discord_setup.setup_lines(report)
            application = str(bridge.backend.application_id)
            for line in (
                "  ✗ Message Content Intent: it reads no message without it; switch it on at "
                f"https://discord.com/developers/applications/{application}/bot, under Privileged "
                "Gateway Intents",
                "  ✗ Manage Webhooks: clones have no names and avatars of their own without it; "
                "in Discord: Server Settings, Roles, the bot's role, Permissions",
                "  ✗ bot.servers in myna.toml: it is silent there without it; write "
                f'[bot] servers = ["{bridge.guild}"]',
                "  ✓ Send Messages",
            ):
                assert line in lines
            [missing] = report.missing
            assert missing.startswith("it is not in the server 77 of bot.servers: invite it: https")

        at(scenario)


def test_a_token_that_is_reset_while_the_bot_runs_is_explained(at: Any, world: World) -> None:
    async def scenario(bridge: Bridge) -> None:
        async with build(world) as bot:
            running = asyncio.create_task(bot.start(TOKEN))
            await until("it is connected", lambda: bridge.sockets)
            await bridge.sockets[0].close(code=4004, message=b"Authentication failed.")
            with pytest.raises(discord.ConnectionClosed) as error:
                await running
        said = str(discord_setup.to_bot_error(error.value))
        assert said.startswith("Discord does not know this token: it is wrong or was reset.")

    at(scenario)
    world.close()


def test_a_missing_intent_is_explained_when_it_connects(at: Any, world: World) -> None:
    async def scenario(bridge: Bridge) -> None:
        bridge.content_intent = False
        async with build(world) as bot:
            with pytest.raises(discord.PrivilegedIntentsRequired) as error:
                await bot.start(TOKEN)
        said = str(discord_setup.to_bot_error(error.value))
        assert said.startswith("Discord does not let the bot read messages: switch on 'Message")

    at(scenario)
    world.close()
