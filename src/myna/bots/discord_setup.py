"""Setting a Discord bot up: its token, its invite link, and what is missing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import discord
import keyring
from keyring.errors import KeyringError, NoKeyringError

from myna.errors import BotError

NO_SUCH_TOKEN = 4004
"""How the gateway closes a connection whose token is not valid ("Gateway Close Event Codes",
Discord's developer reference)."""
VARIABLE = "MYNA_DISCORD_TOKEN"
PORTAL = "https://discord.com/developers/applications"
NEEDED = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    read_message_history=True,
    manage_webhooks=True,
)
WHY = {
    "view_channel": "it sees no channel without it",
    "send_messages": "the clones are mute without it",
    "send_messages_in_threads": "the clones are mute in threads without it",
    "read_message_history": "it cannot read what it missed, nor see what it said before a crash",
    "manage_webhooks": "without it, clones have no names and avatars of their own",
}

discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # clones have no voice


def token() -> str:
    """The bot's token: from the environment, or from the system's keyring.

    Raises:
        BotError: it is in neither.
    """
    found, why = os.environ.get(VARIABLE, "").strip(), ""
    if not found:
        try:
            found = (keyring.get_password("myna", "discord") or "").strip()
        except NoKeyringError:
            why = "; this machine has no keyring"
        except KeyringError as error:
            why = f"; the keyring cannot be read ({error})"
    if not found:
        raise BotError(
            f"there is no bot token: take it from {PORTAL} (Bot, Reset Token) and put it into "
            f"{VARIABLE}, or into the keyring with `keyring set myna discord`{why}"
        )
    return found


def explained(error: Exception) -> BotError:
    """What keeps the bot from connecting, and what to do."""
    if isinstance(error, discord.PrivilegedIntentsRequired):
        return BotError(
            "Discord does not let the bot read messages: switch on 'Message Content Intent' at "
            f"{PORTAL} (your application, Bot), then run this again"
        )
    reset = isinstance(error, discord.ConnectionClosed) and error.code == NO_SUCH_TOKEN
    if isinstance(error, discord.LoginFailure) or reset:
        return BotError(
            f"Discord does not know this token: it is wrong or was reset. Take a new one from "
            f"{PORTAL} (Bot, Reset Token) and put it into {VARIABLE}"
        )
    return BotError(f"Discord cannot be reached: {error}. Try again in a while")


async def invite(client: discord.Client) -> str:
    """The link that invites the bot of a client that is logged in, with what it needs."""
    application = await client.application_info()
    return discord.utils.oauth_url(
        application.id, permissions=NEEDED, scopes=("bot", "applications.commands")
    )


@dataclass
class Findings:
    """What `--check` found."""

    name: str = ""
    servers: dict[str, list[str]] = field(default_factory=dict)
    """What is missing, by server; nothing where all is well."""
    missing: list[str] = field(default_factory=list)
    """What is missing besides."""

    @property
    def is_well(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing and not any(self.servers.values())


class Checker(discord.Client):
    """Connects, looks around, and leaves.

    `servers` is the owner's list of ids.
    """

    def __init__(self, servers: list[str]) -> None:
        super().__init__(intents=discord.Intents(guilds=True))
        self._listed = servers
        self.findings = Findings()

    async def setup_hook(self) -> None:
        """What the application may do."""
        application = await self.application_info()
        self.findings.name = application.name
        flags = application.flags
        if not (flags.gateway_message_content or flags.gateway_message_content_limited):
            self.findings.missing.append(str(explained(discord.PrivilegedIntentsRequired(None))))

    async def on_ready(self) -> None:
        """What it may do in each server."""
        for guild in self.guilds:
            self.findings.servers[f"{guild.name} ({guild.id})"] = self._lacks(guild)
        if not self.guilds:
            self.findings.missing.append(f"it is in no server yet: {await invite(self)}")
        for listed in self._listed:
            if listed not in {str(guild.id) for guild in self.guilds}:
                self.findings.missing.append(f"it is not in the server {listed} of bot.servers")
        await self.close()

    def _lacks(self, guild: discord.Guild) -> list[str]:
        may = guild.me.guild_permissions
        lacks = [
            f"permission {name.replace('_', ' ')}: {why}"
            for name, why in WHY.items()
            if not getattr(may, name)
        ]
        for channel in guild.text_channels:
            here = channel.permissions_for(guild.me)
            mute = [name for name in WHY if getattr(may, name) and not getattr(here, name)]
            if here.view_channel and mute:
                lacks.append(f"#{channel.name} denies: {', '.join(mute).replace('_', ' ')}")
        if str(guild.id) not in self._listed:
            lacks.append(f'it is silent there: add it to myna.toml, [bot] servers = ["{guild.id}"]')
        return lacks


async def check(secret: str, servers: list[str]) -> Findings:
    """Whether a token, its intents and its permissions are all that the bot needs.

    Raises:
        BotError: the token is wrong, or Discord cannot be reached.
    """
    async with Checker(servers) as client:
        try:
            await client.start(secret)
        except (discord.DiscordException, OSError) as error:
            raise explained(error) from None
        return client.findings


async def invitation(secret: str) -> str:
    """The invite link for the bot of a token.

    Raises:
        BotError: as `check`.
    """
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        try:
            await client.login(secret)
            return await invite(client)
        except (discord.DiscordException, OSError) as error:
            raise explained(error) from None
