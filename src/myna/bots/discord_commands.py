"""Commands on Discord: `/clone …`, and the buttons under a clone's turn."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

import discord
from discord import app_commands

from myna.bots.commands import EVERYONE, MAX_WATCH_TURNS, BotCommands
from myna.bots.discord_front import MAX_MESSAGE_CHARS
from myna.bots.front import clone_display_name
from myna.bots.outbox import Post
from myna.config.fields import MAX_TEMPERATURE
from myna.errors import MynaError, PeopleError

MAX_CHOICES = 25
"""Limit of autocomplete choices ("Application Command Option Choice", developer reference)."""
MANAGERS_ONLY = "Only those who manage this channel may change that."
MAX_TALK_CHARS = 1500
"""Longest message of `/clone talk`."""
log = logging.getLogger(__name__)


class CommandClient(Protocol):
    """The client, as the commands use it."""

    commands: BotCommands

    def refusal(self, guild: discord.Guild | None) -> str:
        """The reason why the bot is silent in a server; "" if it may speak."""

    async def is_owner(self, user: discord.abc.User) -> bool:
        """True for users who may switch the bot off."""


class CloneCommandTree(app_commands.CommandTree[discord.Client]):
    """All commands, refused in servers that are not on the list."""

    def __init__(self, client: discord.Client, bot: CommandClient) -> None:
        super().__init__(client)
        self._bot = bot
        self.add_command(CloneCommands(bot))

    async def interaction_check(self, interaction: discord.Interaction) -> bool:
        """True if commands may be used in the server; otherwise reply with the reason."""
        reason = self._bot.refusal(interaction.guild)
        if reason and interaction.type is discord.InteractionType.application_command:
            await _reply(interaction, reason)
        return not reason


class CloneCommands(app_commands.Group):
    """`/clone` and its subcommands."""

    def __init__(self, bot: CommandClient) -> None:
        super().__init__(
            name="clone", description="Clones of people in this server", guild_only=True
        )
        self._bot = bot

    async def _complete_persona(
        self, _: discord.Interaction, typed: str
    ) -> list[app_commands.Choice[str]]:
        return _choices(self._bot.commands.matching_personas(typed))

    async def _complete_all(
        self, _: discord.Interaction, typed: str
    ) -> list[app_commands.Choice[str]]:
        everyone = [EVERYONE] if EVERYONE.startswith(typed.casefold()) else []
        return _choices([*everyone, *self._bot.commands.matching_personas(typed)])

    @app_commands.command()
    @app_commands.describe(who="whose clone", message="what you say")
    @app_commands.autocomplete(who=_complete_persona)
    async def talk(
        self,
        interaction: discord.Interaction,
        who: str,
        message: app_commands.Range[str, 1, MAX_TALK_CHARS],
    ) -> None:
        """Send a message to a clone, which answers here."""
        commands = self._bot.commands
        asker = interaction.user.display_name
        try:
            person = commands.find_speaker(who)
            reason = commands.refusal(_account(interaction.user))
        except MynaError as error:
            reason = _sentence(error)
        if reason:
            await _reply(interaction, reason)
            return
        # Everyone sees the message; quoting keeps it the user's, whatever it looks like.
        quoted = "\n".join(f"> {line}" for line in message.splitlines())
        await interaction.response.send_message(
            f"{discord.utils.escape_markdown(asker)} to {clone_display_name(person)}:\n{quoted}"[
                :MAX_MESSAGE_CHARS
            ],
            allowed_mentions=discord.AllowedMentions.none(),
        )
        key = str((await interaction.original_response()).id)
        account = _account(interaction.user)
        await commands.talk(_channel_id(interaction), key, account, asker, person, message)

    @app_commands.command()
    @app_commands.describe(who="whose clone, or everyone")
    @app_commands.autocomplete(who=_complete_all)
    async def summon(self, interaction: discord.Interaction, who: str) -> None:
        """Add a clone to this channel."""
        await _respond(interaction, self._bot.commands.summon(_channel_id(interaction), who))

    @app_commands.command()
    @app_commands.describe(who="whose clone, or everyone")
    @app_commands.autocomplete(who=_complete_all)
    async def dismiss(self, interaction: discord.Interaction, who: str) -> None:
        """Remove a clone from this channel."""
        await _respond(interaction, self._bot.commands.dismiss(_channel_id(interaction), who))

    @app_commands.command()
    @app_commands.describe(n="how many turns")
    async def watch(
        self, interaction: discord.Interaction, n: app_commands.Range[int, 1, MAX_WATCH_TURNS] = 6
    ) -> None:
        """Let the clones here talk among themselves."""
        await _respond(interaction, self._bot.commands.watch(_channel_id(interaction), n))

    @app_commands.command()
    async def retry(self, interaction: discord.Interaction) -> None:
        """Regenerate the newest answer."""
        await _respond(interaction, self._bot.commands.retry(_channel_id(interaction)))

    @app_commands.command(name="forget-context")
    async def forget_context(self, interaction: discord.Interaction) -> None:
        """Let the clones forget all messages of this channel up to now."""
        await _respond(interaction, self._bot.commands.forget_context(_channel_id(interaction)))

    @app_commands.command()
    @app_commands.describe(
        chattiness="how often they join in unasked, from 0 to 1",
        temperature="sampling temperature: the higher, the more random",
    )
    async def settings(
        self,
        interaction: discord.Interaction,
        chattiness: app_commands.Range[float, 0, 1] | None = None,
        temperature: app_commands.Range[float, 0, MAX_TEMPERATURE] | None = None,
    ) -> None:
        """Show this channel's settings; those who manage it may change them."""
        commands, channel_id = self._bot.commands, _channel_id(interaction)
        if not await _can_manage(self._bot, interaction):
            if chattiness is not None or temperature is not None:
                await _reply(interaction, MANAGERS_ONLY)
            else:
                await _respond(interaction, commands.settings(channel_id))
            return

        async def menu() -> discord.ui.View:
            return PersonaMenu.menu(
                commands.matching_personas(), await commands.present_personas(channel_id)
            )

        await _respond(interaction, commands.settings(channel_id, chattiness, temperature), menu)

    @app_commands.command()
    async def who(self, interaction: discord.Interaction) -> None:
        """List the clones in this channel, and the other ones."""
        await _respond(interaction, self._bot.commands.list_members(_channel_id(interaction)))

    @app_commands.command(name="opt-out")
    @app_commands.describe(who="the name of your clone, if it is not known to be yours")
    @app_commands.autocomplete(who=_complete_persona)
    async def opt_out(self, interaction: discord.Interaction, who: str | None = None) -> None:
        """Opt out: your clone falls silent, and what you write is not read."""
        user = interaction.user
        done = self._bot.commands.opt_out(_account(user), user.display_name, who)
        await _respond(interaction, done)

    @app_commands.command()
    @app_commands.describe(member="who is asked; only they can answer")
    async def ask(self, interaction: discord.Interaction, member: discord.Member) -> None:
        """Ask a member whether they may be cloned (owners only)."""
        try:
            if not await self._bot.is_owner(interaction.user):
                raise PeopleError("only the bot's owner may do that")
            account, name = _account(member), discord.utils.escape_markdown(member.display_name)
            question = self._bot.commands.consent_question(account, name)
        except MynaError as error:
            await _reply(interaction, _sentence(error))
            return
        view = discord.ui.View(timeout=None)
        view.add_item(ConsentButton("yes", member.id))
        view.add_item(ConsentButton("no", member.id))
        nobody = discord.AllowedMentions.none()
        await interaction.response.send_message(question, view=view, allowed_mentions=nobody)

    @app_commands.command()
    async def stats(self, interaction: discord.Interaction) -> None:
        """Count the messages of this channel, and the tokens of today."""
        await _respond(interaction, self._bot.commands.stats(_channel_id(interaction)))

    @app_commands.command()
    async def off(self, interaction: discord.Interaction) -> None:
        """Silence all clones at once, everywhere (owners only)."""
        await self._switch(interaction, on=False)

    @app_commands.command()
    async def on(self, interaction: discord.Interaction) -> None:
        """Let the clones speak again (owners only)."""
        await self._switch(interaction, on=True)

    async def _switch(self, interaction: discord.Interaction, *, on: bool) -> None:
        if not await self._bot.is_owner(interaction.user):
            await _reply(interaction, "Only the bot's owner may do that.")
            return
        await _reply(interaction, self._bot.commands.switch(on=on))


class TurnButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=r"myna:(?P<what>retry|delete):(?P<post>[0-9]+)",
):
    """A button under a clone's turn; it works after a restart as well."""

    def __init__(self, action: str, post: int) -> None:
        super().__init__(
            discord.ui.Button(
                label=action, style=discord.ButtonStyle.secondary, custom_id=f"myna:{action}:{post}"
            )
        )
        self._action = action
        self._post_id = post

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> TurnButton:
        """The button that was pressed."""
        return cls(match["what"], int(match["post"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        """Regenerate or delete the turn."""
        bot: CommandClient = interaction.client  # type: ignore[assignment]
        if reason := bot.refusal(interaction.guild):
            await _reply(interaction, reason)
            return
        does = bot.commands.retry if self._action == "retry" else bot.commands.delete
        await _respond(interaction, does(_channel_id(interaction), self._post_id))


class ConsentButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=r"myna:consent:(?P<answer>yes|no):(?P<user>[0-9]+)",
):
    """A button under the question whether somebody may be cloned; only they can press it."""

    def __init__(self, answer: str, user: int) -> None:
        agrees = answer == "yes"
        super().__init__(
            discord.ui.Button(
                label="I agree to be cloned" if agrees else "No, or not any more",
                style=discord.ButtonStyle.primary if agrees else discord.ButtonStyle.secondary,
                custom_id=f"myna:consent:{answer}:{user}",
            )
        )
        self._agrees = agrees
        self._user = user

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> ConsentButton:
        """The button that was pressed."""
        return cls(match["answer"], int(match["user"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        """Write down the answer."""
        bot: CommandClient = interaction.client  # type: ignore[assignment]
        reason = bot.refusal(interaction.guild)
        if interaction.user.id != self._user:
            reason = "Only the one who is asked can answer."
        if reason:
            await _reply(interaction, reason)
            return
        where = f"{interaction.guild} on Discord"
        account = _account(interaction.user)
        done = bot.commands.answer_consent(account, agrees=self._agrees, where=where)
        await _respond(interaction, done)


class PersonaMenu(
    discord.ui.DynamicItem[discord.ui.Select[discord.ui.View]], template="myna:seats"
):
    """The menu of the clones in a channel, under its settings."""

    @classmethod
    def menu(cls, personas: list[str], here: list[str]) -> discord.ui.View:
        """The menu; if there are too many personas, those present and the first others."""
        offered = sorted(personas, key=lambda person: person not in here)[:MAX_CHOICES]
        view = discord.ui.View(timeout=None)
        if offered:
            options = [
                discord.SelectOption(
                    label=clone_display_name(person), value=person, default=person in here
                )
                for person in personas
                if person in offered
            ]
            view.add_item(
                cls(
                    discord.ui.Select(
                        custom_id="myna:seats",
                        placeholder="Nobody is here",
                        min_values=0,
                        max_values=len(options),
                        options=options,
                    )
                )
            )
        return view

    @classmethod
    async def from_custom_id(
        cls, _: discord.Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> PersonaMenu:
        """The menu that was used."""
        return cls(cast("discord.ui.Select[discord.ui.View]", item))

    async def callback(self, interaction: discord.Interaction) -> None:
        """Add the chosen clones, and remove the others."""
        bot: CommandClient = interaction.client  # type: ignore[assignment]
        reason = bot.refusal(interaction.guild)
        if reason or not await _can_manage(bot, interaction):
            await _reply(interaction, reason or MANAGERS_ONLY)
            return
        among = [option.value for option in self.item.options]
        done = bot.commands.set_personas(_channel_id(interaction), self.item.values, among)
        await _respond(interaction, done)


def buttons(post: Post) -> discord.ui.View:
    """The buttons under a turn."""
    view = discord.ui.View(timeout=None)
    view.add_item(TurnButton("retry", post.id))
    view.add_item(TurnButton("delete", post.id))
    return view


async def _can_manage(bot: CommandClient, interaction: discord.Interaction) -> bool:
    """True for users who may change the channel's settings."""
    return interaction.permissions.manage_channels or await bot.is_owner(interaction.user)


async def _respond(
    interaction: discord.Interaction,
    command: Awaitable[str],
    make_view: Callable[[], Awaitable[discord.ui.View]] | None = None,
) -> None:
    """Run a command and show its line, with a view under it, to the user alone.

    Discord waits three seconds for a response: `defer` comes first.
    """
    await interaction.response.defer(ephemeral=True, thinking=True)
    view = discord.utils.MISSING
    try:
        line = await command
        view = await make_view() if make_view else view
    except MynaError as error:
        line = _sentence(error)
    except Exception:
        log.exception("a command failed")
        line = "That did not work: the bot's log says why."
    await _reply(interaction, line, view)


async def _reply(
    interaction: discord.Interaction, line: str, view: discord.ui.View = discord.utils.MISSING
) -> None:
    nobody = discord.AllowedMentions.none()
    if interaction.response.is_done():
        await interaction.followup.send(line, ephemeral=True, allowed_mentions=nobody, view=view)
    else:
        await interaction.response.send_message(line, ephemeral=True, allowed_mentions=nobody)


def _sentence(error: MynaError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _channel_id(interaction: discord.Interaction) -> str:
    return str(interaction.channel_id)


def _account(user: discord.abc.User) -> str:
    return f"discord:{user.id}"


def _choices(names: list[str]) -> list[app_commands.Choice[str]]:
    return [app_commands.Choice(name=name, value=name) for name in names[:MAX_CHOICES]]
