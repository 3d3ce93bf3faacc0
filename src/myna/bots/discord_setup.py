"""The setup of a Discord bot: its token, its invite link, and a check of permissions."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import discord
import keyring
from keyring.errors import KeyringError, NoKeyringError

from myna.errors import BotError

INVALID_TOKEN_CODE = 4004
"""Close code of the gateway for an invalid token ("Gateway Close Event Codes", Discord's
developer reference)."""
TOKEN_ENV = "MYNA_DISCORD_TOKEN"  # noqa: S105
DEVELOPER_PORTAL = "https://discord.com/developers/applications"
REQUIRED_PERMISSIONS = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    read_message_history=True,
    manage_webhooks=True,
)
PERMISSION_REASONS = {
    "view_channel": "it sees no channel without it",
    "send_messages": "the clones are mute without it",
    "send_messages_in_threads": "the clones are mute in threads without it",
    "read_message_history": "it cannot read missed messages, nor its own ones before a crash",
    "manage_webhooks": "without it, clones have no names and avatars of their own",
}

discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # clones have no voice


def load_token() -> str:
    """Load the bot's token from the environment, or from the system's keyring.

    Raises:
        BotError: it is in neither.
    """
    token, why = os.environ.get(TOKEN_ENV, "").strip(), ""
    if not token:
        try:
            token = (keyring.get_password("myna", "discord") or "").strip()
        except NoKeyringError:
            why = "; this machine has no keyring"
        except KeyringError as error:
            why = f"; the keyring cannot be read ({error})"
    if not token:
        raise BotError(
            f"there is no bot token: take it from {DEVELOPER_PORTAL} (Bot, Reset Token) and put "
            f"it into {TOKEN_ENV}, or into the keyring with `keyring set myna discord`{why}"
        )
    return token


def to_bot_error(error: Exception) -> BotError:
    """A BotError that explains why the bot cannot connect, and what to do."""
    if isinstance(error, discord.PrivilegedIntentsRequired):
        return BotError(
            "Discord does not let the bot read messages: switch on 'Message Content Intent' at "
            f"{DEVELOPER_PORTAL} (your application, Bot), then run this again"
        )
    reset = isinstance(error, discord.ConnectionClosed) and error.code == INVALID_TOKEN_CODE
    if isinstance(error, discord.LoginFailure) or reset:
        return BotError(
            f"Discord does not know this token: it is wrong or was reset. Take a new one from "
            f"{DEVELOPER_PORTAL} (Bot, Reset Token) and put it into {TOKEN_ENV}"
        )
    return BotError(f"Discord cannot be reached: {error}. Try again in a while")


async def invite_url(client: discord.Client) -> str:
    """The URL that invites a logged-in client's bot with the required permissions."""
    application = await client.application_info()
    return discord.utils.oauth_url(
        application.id, permissions=REQUIRED_PERMISSIONS, scopes=("bot", "applications.commands")
    )


@dataclass
class SetupReport:
    """The result of `--check`."""

    name: str = ""
    servers: dict[str, list[str]] = field(default_factory=dict)
    """Missing permissions and settings, by server."""
    missing: list[str] = field(default_factory=list)
    """Missing settings of the application."""

    @property
    def is_complete(self) -> bool:
        """True if nothing is missing."""
        return not self.missing and not any(self.servers.values())


class SetupChecker(discord.Client):
    """A client that connects, checks its servers, and disconnects.

    `servers` is `[bot] servers` of myna.toml, a list of ids.
    """

    def __init__(self, servers: list[str]) -> None:
        super().__init__(intents=discord.Intents(guilds=True))
        self._server_ids = servers
        self.findings = SetupReport()

    async def setup_hook(self) -> None:
        """Check the application's intents."""
        application = await self.application_info()
        self.findings.name = application.name
        flags = application.flags
        if not (flags.gateway_message_content or flags.gateway_message_content_limited):
            self.findings.missing.append(str(to_bot_error(discord.PrivilegedIntentsRequired(None))))

    async def on_ready(self) -> None:
        """Check the permissions in each server."""
        for guild in self.guilds:
            self.findings.servers[f"{guild.name} ({guild.id})"] = self._missing_in(guild)
        if not self.guilds:
            self.findings.missing.append(f"it is in no server yet: {await invite_url(self)}")
        for server_id in self._server_ids:
            if server_id not in {str(guild.id) for guild in self.guilds}:
                self.findings.missing.append(f"it is not in the server {server_id} of bot.servers")
        await self.close()

    def _missing_in(self, guild: discord.Guild) -> list[str]:
        allowed = guild.me.guild_permissions
        missing = [
            f"permission {name.replace('_', ' ')}: {why}"
            for name, why in PERMISSION_REASONS.items()
            if not getattr(allowed, name)
        ]
        for channel in guild.text_channels:
            allowed_here = channel.permissions_for(guild.me)
            denied = [
                name
                for name in PERMISSION_REASONS
                if getattr(allowed, name) and not getattr(allowed_here, name)
            ]
            if allowed_here.view_channel and denied:
                missing.append(f"#{channel.name} denies: {', '.join(denied).replace('_', ' ')}")
        if str(guild.id) not in self._server_ids:
            missing.append(
                f'it is silent there: add it to myna.toml, [bot] servers = ["{guild.id}"]'
            )
        return missing


async def check_setup(token: str, servers: list[str]) -> SetupReport:
    """Check that a token, its intents and its permissions are all that the bot needs.

    Raises:
        BotError: the token is wrong, or Discord cannot be reached.
    """
    async with SetupChecker(servers) as client:
        try:
            await client.start(token)
        except (discord.DiscordException, OSError) as error:
            raise to_bot_error(error) from None
        return client.findings


async def bot_invite_url(token: str) -> str:
    """The invite URL of a token's bot.

    Raises:
        BotError: as `check_setup`.
    """
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        try:
            await client.login(token)
            return await invite_url(client)
        except (discord.DiscordException, OSError) as error:
            raise to_bot_error(error) from None
