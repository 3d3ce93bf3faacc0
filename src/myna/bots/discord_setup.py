"""The setup of a Discord bot: its token, its invite link, and a check of permissions."""

from __future__ import annotations

import os
import re
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
    "read_message_history": "it cannot read missed messages, nor its own ones before a crash, "
    "without it",
    "manage_webhooks": "clones have no names and avatars of their own without it",
}
PERMISSION_TITLES = {"view_channel": "View Channels"} | {
    name: name.replace("_", " ").title().replace(" In ", " in ")
    for name in PERMISSION_REASONS
    if name != "view_channel"
}
"""Names of permissions as Discord's settings show them."""
INTENT_PAGE = DEVELOPER_PORTAL + "/{}/bot"
APPLICATION_ID = re.compile(r"\d{17,20}")

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
    return application_invite_url(str((await client.application_info()).id))


def application_invite_url(application_id: str) -> str:
    """The URL that invites an application's bot with the required permissions.

    Raises:
        BotError: it is no id.
    """
    if not APPLICATION_ID.fullmatch(application_id):
        raise BotError(
            f"'{application_id}' is no application id: it has 17 to 20 digits, and stands at "
            f"{DEVELOPER_PORTAL} (your application, General Information)"
        )
    return discord.utils.oauth_url(
        int(application_id),
        permissions=REQUIRED_PERMISSIONS,
        scopes=("bot", "applications.commands"),
    )


@dataclass(frozen=True)
class Requirement:
    """A permission, intent or setting that the bot needs."""

    name: str
    is_there: bool
    remedy: str
    """The reason for it, and where to switch it on."""


@dataclass
class SetupReport:
    """The result of `--check`."""

    name: str = ""
    application: list[Requirement] = field(default_factory=list)
    """Those of the application."""
    servers: dict[str, list[Requirement]] = field(default_factory=dict)
    """Those of each server."""
    missing: list[str] = field(default_factory=list)
    """Servers that it is not in."""

    @property
    def is_complete(self) -> bool:
        """True if nothing is missing."""
        needed = [*self.application, *(item for items in self.servers.values() for item in items)]
        return not self.missing and all(item.is_there for item in needed)


def setup_lines(report: SetupReport) -> list[str]:
    """The lines of a report: everything that the bot needs, and what to do for what is missing."""
    lines = [f"the token is good: {report.name}"]
    for title, items in (("the application", report.application), *report.servers.items()):
        lines.append(f"{title}:")
        lines += [
            f"  ✓ {item.name}" if item.is_there else f"  ✗ {item.name}: {item.remedy}"
            for item in items
        ]
    return lines + report.missing


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
        self.findings.application.append(
            Requirement(
                "Message Content Intent",
                flags.gateway_message_content or flags.gateway_message_content_limited,
                "it reads no message without it; switch it on at "
                f"{INTENT_PAGE.format(application.id)}, under Privileged Gateway Intents",
            )
        )

    async def on_ready(self) -> None:
        """Check the permissions in each server."""
        for guild in self.guilds:
            self.findings.servers[f"{guild.name} ({guild.id})"] = self._needed_in(guild)
        missing = set(self._server_ids).difference(str(guild.id) for guild in self.guilds)
        if missing or not self.guilds:
            invite = await invite_url(self)
            here = [f"it is not in the server {one} of bot.servers" for one in sorted(missing)]
            self.findings.missing += [
                f"{line}: invite it: {invite}" for line in here or ["it is in no server yet"]
            ]
        await self.close()

    def _needed_in(self, guild: discord.Guild) -> list[Requirement]:
        allowed = guild.me.guild_permissions
        needed = [
            Requirement(
                PERMISSION_TITLES[name],
                getattr(allowed, name),
                f"{why}; in Discord: Server Settings, Roles, the bot's role, Permissions",
            )
            for name, why in PERMISSION_REASONS.items()
        ]
        for channel in guild.text_channels:
            allowed_here = channel.permissions_for(guild.me)
            denied = [
                title
                for name, title in PERMISSION_TITLES.items()
                if getattr(allowed, name) and not getattr(allowed_here, name)
            ]
            if allowed_here.view_channel and denied:
                remedy = (
                    f"denied in this channel: {', '.join(denied)}; in Discord: Edit Channel, "
                    "Permissions, the bot's role"
                )
                needed.append(Requirement(f"#{channel.name}", False, remedy))
        is_listed = str(guild.id) in self._server_ids
        remedy = f'it is silent there without it; write [bot] servers = ["{guild.id}"]'
        return [*needed, Requirement("bot.servers in myna.toml", is_listed, remedy)]


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
