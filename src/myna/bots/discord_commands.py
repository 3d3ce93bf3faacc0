"""What people type and press on Discord: `/clone …`, and the buttons under a clone's words."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

import discord
from discord import app_commands

from myna.bots.commands import EVERYONE, MOST_TURNS, Commands
from myna.bots.discord_front import MAX_MESSAGE_CHARS
from myna.bots.front import shown
from myna.bots.outbox import Post
from myna.config.fields import MAX_TEMPERATURE
from myna.errors import MynaError

MOST_CHOICES = 25
"""Choices of a completion ("Application Command Option Choice", developer reference)."""
MANAGERS_ONLY = "Only those who manage this channel may change that."
LONGEST = 1500
"""Characters of a message given to `/clone talk`."""
log = logging.getLogger(__name__)


class Bot(Protocol):
    """What the commands need of the client."""

    commands: Commands

    def refuses(self, guild: discord.Guild | None) -> str:
        """Why it does nothing in a server; "" where it may."""

    async def is_owner(self, user: discord.abc.User) -> bool:
        """Whether somebody may switch it off."""


class Tree(app_commands.CommandTree[discord.Client]):
    """All commands; they are refused in servers that are not on the list."""

    def __init__(self, client: discord.Client, bot: Bot) -> None:
        super().__init__(client)
        self._bot = bot
        self.add_command(Clone(bot))

    async def interaction_check(self, interaction: discord.Interaction) -> bool:
        """Whether a command may be used here; if not, say why."""
        why = self._bot.refuses(interaction.guild)
        if why and interaction.type is discord.InteractionType.application_command:
            await _show(interaction, why)
        return not why


class Clone(app_commands.Group):
    """`/clone`, and all below it."""

    def __init__(self, bot: Bot) -> None:
        super().__init__(
            name="clone", description="Clones of people in this server", guild_only=True
        )
        self._bot = bot

    async def _could(self, _: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return _choices(self._bot.commands.could_speak(typed))

    async def _all(self, _: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        everyone = [EVERYONE] if EVERYONE.startswith(typed.casefold()) else []
        return _choices([*everyone, *self._bot.commands.could_speak(typed)])

    @app_commands.command()
    @app_commands.describe(who="whose clone", message="what you say")
    @app_commands.autocomplete(who=_could)
    async def talk(
        self,
        interaction: discord.Interaction,
        who: str,
        message: app_commands.Range[str, 1, LONGEST],
    ) -> None:
        """Say something to a clone, who answers here."""
        commands = self._bot.commands
        asker = interaction.user.display_name
        try:
            person = commands.find(who)
            why = commands.refusal(_account(interaction.user))
        except MynaError as error:
            why = _sentence(error)
        if why:
            await _show(interaction, why)
            return
        # Everyone sees what was asked; what it says stays theirs, whatever it looks like.
        quoted = "\n".join(f"> {line}" for line in message.splitlines())
        await interaction.response.send_message(
            f"{discord.utils.escape_markdown(asker)} to {shown(person)}:\n{quoted}"[
                :MAX_MESSAGE_CHARS
            ],
            allowed_mentions=discord.AllowedMentions.none(),
        )
        key = str((await interaction.original_response()).id)
        account = _account(interaction.user)
        await commands.talk(_place(interaction), key, account, asker, person, message)

    @app_commands.command()
    @app_commands.describe(who="whose clone, or everyone")
    @app_commands.autocomplete(who=_all)
    async def summon(self, interaction: discord.Interaction, who: str) -> None:
        """Have a clone come into this channel."""
        await _answer(interaction, self._bot.commands.summon(_place(interaction), who))

    @app_commands.command()
    @app_commands.describe(who="whose clone, or everyone")
    @app_commands.autocomplete(who=_all)
    async def dismiss(self, interaction: discord.Interaction, who: str) -> None:
        """Have a clone go."""
        await _answer(interaction, self._bot.commands.dismiss(_place(interaction), who))

    @app_commands.command()
    @app_commands.describe(n="how many turns")
    async def watch(
        self, interaction: discord.Interaction, n: app_commands.Range[int, 1, MOST_TURNS] = 6
    ) -> None:
        """Let the clones here talk among themselves."""
        await _answer(interaction, self._bot.commands.watch(_place(interaction), n))

    @app_commands.command()
    async def retry(self, interaction: discord.Interaction) -> None:
        """Have the newest answer said anew."""
        await _answer(interaction, self._bot.commands.retry(_place(interaction)))

    @app_commands.command(name="forget-context")
    async def forget_context(self, interaction: discord.Interaction) -> None:
        """Have the clones forget what was said here up to now."""
        await _answer(interaction, self._bot.commands.forget_context(_place(interaction)))

    @app_commands.command()
    @app_commands.describe(
        chattiness="how often they join in unasked, from 0 to 1",
        temperature="sampling temperature: the higher, the more daring",
    )
    async def settings(
        self,
        interaction: discord.Interaction,
        chattiness: app_commands.Range[float, 0, 1] | None = None,
        temperature: app_commands.Range[float, 0, MAX_TEMPERATURE] | None = None,
    ) -> None:
        """Show how the clones behave here, and who is; those who manage it may change it."""
        commands, place = self._bot.commands, _place(interaction)
        if not await _manages(self._bot, interaction):
            if chattiness is not None or temperature is not None:
                await _show(interaction, MANAGERS_ONLY)
            else:
                await _answer(interaction, commands.settings(place))
            return

        async def menu() -> discord.ui.View:
            return Seats.menu(commands.could_speak(), await commands.here(place))

        await _answer(interaction, commands.settings(place, chattiness, temperature), menu)

    @app_commands.command()
    async def who(self, interaction: discord.Interaction) -> None:
        """Who is here, and who could be."""
        await _answer(interaction, self._bot.commands.who(_place(interaction)))

    @app_commands.command(name="opt-out")
    @app_commands.describe(who="the name of your clone, if it is not known to be yours")
    @app_commands.autocomplete(who=_could)
    async def opt_out(self, interaction: discord.Interaction, who: str | None = None) -> None:
        """Take yourself out: your clone falls silent, and what you write is not read."""
        user = interaction.user
        done = self._bot.commands.opt_out(_account(user), user.display_name, who)
        await _answer(interaction, done)

    @app_commands.command()
    async def stats(self, interaction: discord.Interaction) -> None:
        """What was said here, and today."""
        await _answer(interaction, self._bot.commands.stats(_place(interaction)))

    @app_commands.command()
    async def off(self, interaction: discord.Interaction) -> None:
        """The owner's switch: all clones fall silent at once, everywhere."""
        await self._switch(interaction, on=False)

    @app_commands.command()
    async def on(self, interaction: discord.Interaction) -> None:
        """The owner's switch: they may speak again."""
        await self._switch(interaction, on=True)

    async def _switch(self, interaction: discord.Interaction, *, on: bool) -> None:
        if not await self._bot.is_owner(interaction.user):
            await _show(interaction, "Only the bot's owner may do that.")
            return
        await _show(interaction, self._bot.commands.switch(on=on))


class Action(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=r"myna:(?P<what>retry|delete):(?P<post>[0-9]+)",
):
    """A button under a clone's words; it works after a restart as well."""

    def __init__(self, what: str, post: int) -> None:
        super().__init__(
            discord.ui.Button(
                label=what,
                style=discord.ButtonStyle.secondary,
                custom_id=f"myna:{what}:{post}",
            )
        )
        self._what = what
        self._post = post

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction,
        item: discord.ui.Item[Any],
        match: re.Match[str],
        /,
    ) -> Action:
        """The button that was pressed."""
        return cls(match["what"], int(match["post"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        """Say it anew, or take it back."""
        bot: Bot = interaction.client  # type: ignore[assignment]
        if why := bot.refuses(interaction.guild):
            await _show(interaction, why)
            return
        does = bot.commands.retry if self._what == "retry" else bot.commands.delete
        await _answer(interaction, does(_place(interaction), self._post))


class Seats(discord.ui.DynamicItem[discord.ui.Select[discord.ui.View]], template="myna:seats"):
    """The menu of who is here, under the settings."""

    @classmethod
    def menu(cls, personas: list[str], here: list[str]) -> discord.ui.View:
        """The menu; of very many personas those who are here, and the first others."""
        offered = sorted(personas, key=lambda person: person not in here)[:MOST_CHOICES]
        view = discord.ui.View(timeout=None)
        if offered:
            options = [
                discord.SelectOption(label=shown(person), value=person, default=person in here)
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
    ) -> Seats:
        """The menu in which somebody chose."""
        return cls(cast("discord.ui.Select[discord.ui.View]", item))

    async def callback(self, interaction: discord.Interaction) -> None:
        """Have those come who are chosen, and the others go."""
        bot: Bot = interaction.client  # type: ignore[assignment]
        why = bot.refuses(interaction.guild)
        if why or not await _manages(bot, interaction):
            await _show(interaction, why or MANAGERS_ONLY)
            return
        among = [option.value for option in self.item.options]
        done = bot.commands.choose(_place(interaction), self.item.values, among)
        await _answer(interaction, done)


def buttons(post: Post) -> discord.ui.View:
    """The buttons under a turn."""
    view = discord.ui.View(timeout=None)
    view.add_item(Action("retry", post.id))
    view.add_item(Action("delete", post.id))
    return view


async def _manages(bot: Bot, interaction: discord.Interaction) -> bool:
    """Whether somebody may set how the clones behave in this channel."""
    return interaction.permissions.manage_channels or await bot.is_owner(interaction.user)


async def _answer(
    interaction: discord.Interaction,
    doing: Awaitable[str],
    under: Callable[[], Awaitable[discord.ui.View]] | None = None,
) -> None:
    """Show a line to who asked, and to nobody else; Discord waits three seconds for a sign.

    `under` makes what stands under the line.
    """
    await interaction.response.defer(ephemeral=True, thinking=True)
    view = discord.utils.MISSING
    try:
        line = await doing
        view = await under() if under else view
    except MynaError as error:
        line = _sentence(error)
    except Exception:
        log.exception("a command failed")
        line = "That did not work: the bot's log says why."
    await _show(interaction, line, view)


async def _show(
    interaction: discord.Interaction, line: str, view: discord.ui.View = discord.utils.MISSING
) -> None:
    nobody = discord.AllowedMentions.none()
    if interaction.response.is_done():
        await interaction.followup.send(line, ephemeral=True, allowed_mentions=nobody, view=view)
    else:
        await interaction.response.send_message(line, ephemeral=True, allowed_mentions=nobody)


def _sentence(error: MynaError) -> str:
    said = str(error)
    return f"{said[:1].upper()}{said[1:]}."


def _place(interaction: discord.Interaction) -> str:
    return str(interaction.channel_id)


def _account(user: discord.abc.User) -> str:
    return f"discord:{user.id}"


def _choices(names: list[str]) -> list[app_commands.Choice[str]]:
    return [app_commands.Choice(name=name, value=name) for name in names[:MOST_CHOICES]]
