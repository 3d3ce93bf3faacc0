"""The front end for Discord: webhooks with each clone's name and its human's avatar.

Without the permission for webhooks, the bot posts as itself, with the clone's name in front.
Facts are from Discord's developer reference ("Webhook", "Create Message", "Opcodes and Status
Codes").
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import discord

from myna.bots.front import UndeliverableError, clone_display_name
from myna.bots.outbox import Outbox, Post
from myna.people.consent_checker import ConsentChecker

MAX_MESSAGE_CHARS = 2000
"""Longest message on Discord ("Create Message", developer reference)."""
MAX_PIECE_CHARS = 1900
"""Longest piece of a clone's message: a name in bold and longer emoji must fit as well."""
_EMOJI = re.compile(r"(?<![\w<:]):(\w{2,32}):(?![\w:>])")
_INVISIBLE = "\u200b"
WEBHOOK_NAME = "myna clones"
MAX_SEARCHED_MESSAGES = 100
"""Number of messages searched for one that may have been posted before a kill."""
TYPING_REFRESH_SECONDS = 9.0
"""Interval of typing notices; Discord shows each for ten seconds."""
Channel: TypeAlias = (
    discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.Thread
)
NO_MENTIONS = discord.AllowedMentions.none()
log = logging.getLogger(__name__)


class DiscordFront:
    """Discord, for `host.Host`; threads are channels too.

    `buttons` creates the buttons under a post that ends a turn.
    """

    platform = "discord"

    def __init__(
        self,
        client: discord.Client,
        outbox: Outbox,
        consents: ConsentChecker,
        buttons: Callable[[Post], discord.ui.View],
    ) -> None:
        self._client = client
        self._outbox = outbox
        self._consents = consents
        self._buttons = buttons
        self._webhooks: dict[int, discord.Webhook] = {}
        self._avatars: dict[str, str] = {}

    def split(self, person: str, text: str) -> list[str]:
        """Split a message into pieces that Discord accepts."""
        return split_message(text)

    async def post(self, post: Post) -> str:
        """Post a message; return its id."""
        channel = self._channel(post.channel_id)
        try:
            webhook = await self._webhook(channel)
            if webhook is not None:
                try:
                    return await self._by_webhook(webhook, channel, post)
                except discord.NotFound:  # the webhook was deleted: create it again, once
                    self._webhooks.pop(webhook.channel_id or 0, None)
                    webhook = await self._webhook(channel)
                    if webhook is not None:
                        return await self._by_webhook(webhook, channel, post)
            return await self._by_own_name(channel, post)
        except discord.Forbidden as error:
            raise UndeliverableError(
                f"it may not write in #{channel.name} ({error.text})"
            ) from None
        except discord.NotFound:
            raise UndeliverableError("the channel is gone") from None
        except discord.HTTPException as error:
            if 400 <= error.status < 500 and error.status != 429:
                raise UndeliverableError(f"Discord refuses it ({error.text})") from None
            raise

    def forget_webhooks(self) -> None:
        """Look for webhooks again: they were moved or deleted."""
        self._webhooks.clear()

    async def _by_webhook(self, webhook: discord.Webhook, channel: Channel, post: Post) -> str:
        sent = await webhook.send(
            with_emoji(post.text, channel.guild.emojis),
            username=clone_display_name(post.person),
            avatar_url=await self._avatar(post.person),
            allowed_mentions=NO_MENTIONS,
            thread=channel if isinstance(channel, discord.Thread) else discord.utils.MISSING,
            view=self._buttons(post) if post.ends_turn else discord.utils.MISSING,
            wait=True,
        )
        return str(sent.id)

    async def _by_own_name(self, channel: Channel, post: Post) -> str:
        sent = await channel.send(
            self._own_text(channel, post),
            allowed_mentions=NO_MENTIONS,
            nonce=f"myna-{post.id}",  # Discord accepts each nonce only once
            view=self._buttons(post) if post.ends_turn else discord.utils.MISSING,
        )
        return str(sent.id)

    @staticmethod
    def _own_text(channel: Channel, post: Post) -> str:
        name = discord.utils.escape_markdown(clone_display_name(post.person))
        return f"**{name}:** {with_emoji(post.text, channel.guild.emojis)}"

    async def find(self, post: Post) -> str | None:
        """Find a message that may have been posted before a kill: its id, or None."""
        channel = self._channel(post.channel_id)
        if not channel.permissions_for(channel.guild.me).read_message_history:
            raise UndeliverableError("it may be there, and the channel's history cannot be read")
        own_text = self._own_text(channel, post)
        webhook_text = with_emoji(post.text, channel.guild.emojis)
        matches = []
        try:
            async for message in channel.history(limit=MAX_SEARCHED_MESSAGES):
                by_us = message.author == self._client.user and message.content == own_text
                by_webhook = (
                    message.webhook_id is not None
                    and message.author.name == clone_display_name(post.person)
                    and message.content == webhook_text
                )
                if by_us or by_webhook:
                    matches.append(str(message.id))
        except (discord.Forbidden, discord.NotFound) as error:
            raise UndeliverableError(f"the channel is out of reach ({error.text})") from None
        unknown = set(matches) - self._outbox.known_ids(post.channel_id, matches)
        return max(unknown, key=int, default=None)

    async def typing(self, channel_id: str, person: str, seconds: float) -> None:
        """Show that the bot itself types: webhooks cannot."""
        while seconds > 0:
            try:
                await self._channel(channel_id).typing()
            except (UndeliverableError, discord.HTTPException):
                return  # posting the message reports the error
            await asyncio.sleep(min(seconds, TYPING_REFRESH_SECONDS))
            seconds -= TYPING_REFRESH_SECONDS

    async def remove(self, posts: Sequence[Post]) -> None:
        """Delete posted messages."""
        for post in posts:
            try:
                channel = self._channel(post.channel_id)
                webhook = await self._webhook(channel)
                message = int(post.platform_id or 0)
                try:
                    if webhook is None:
                        raise UndeliverableError
                    thread = channel if isinstance(channel, discord.Thread) else None
                    await webhook.delete_message(message, thread=thread or discord.utils.MISSING)
                except (UndeliverableError, discord.NotFound):  # in its own name, or another hook
                    await channel.get_partial_message(message).delete()
            except discord.NotFound:
                continue  # it is already deleted
            except discord.Forbidden:
                raise UndeliverableError("it may not delete that message") from None

    def _channel(self, channel_id: str) -> Channel:
        channel = self._client.get_channel(int(channel_id))
        if not isinstance(channel, Channel):
            raise UndeliverableError("the channel is gone, or it may not see it")
        return channel

    async def _webhook(self, channel: Channel) -> discord.Webhook | None:
        """The bot's webhook of a channel, created if necessary; None without permission."""
        parent = channel.parent if isinstance(channel, discord.Thread) else channel
        if parent is None:
            return None
        if parent.id in self._webhooks:
            return self._webhooks[parent.id]
        if not parent.permissions_for(parent.guild.me).manage_webhooks:
            return None
        try:
            webhooks = await parent.webhooks()
            own = [hook for hook in webhooks if hook.user == self._client.user and hook.token]
            hook = own[0] if own else await parent.create_webhook(name=WEBHOOK_NAME)
        except discord.HTTPException as error:
            if error.status >= 500:
                raise
            log.warning("no webhook for #%s, it speaks in its own name: %s", parent.name, error)
            return None
        self._webhooks[parent.id] = hook
        return hook

    async def _avatar(self, person: str) -> str | None:
        """The URL of a human's avatar; None if people.toml lacks their account."""
        account = self._consents.account_of(person, self.platform)
        if person not in self._avatars and account is not None and account.isdigit():
            try:
                user = await self._client.fetch_user(int(account))
            except discord.HTTPException:
                return None
            self._avatars[person] = user.display_avatar.url
        return self._avatars.get(person)


def readable_text(message: discord.Message) -> str:
    """A message's text as its readers see it: names for mentions, `:emoji:`, `[image]`."""
    text = re.sub(r"<a?:(\w+):[0-9]+>", r":\1:", message.clean_content.replace(_INVISIBLE, ""))
    things = [_attachment_kind(attachment) for attachment in message.attachments]
    things += ["sticker"] * len(message.stickers)
    return " ".join(filter(None, [text.strip(), *(f"[{kind}]" for kind in things)]))


def _attachment_kind(attachment: discord.Attachment) -> str:
    """The kind of an attachment, as the message table has it."""
    if attachment.is_voice_message():
        return "voice"
    general, _, exact = (attachment.content_type or "").partition("/")
    if exact.startswith("gif"):
        return "gif"
    return {"image": "image", "video": "video", "audio": "voice"}.get(general, "file")


def split_message(text: str, max_chars: int = MAX_PIECE_CHARS) -> list[str]:
    """Split a text into pieces of at most `max_chars` characters, at lines or words."""
    pieces = []
    rest = without_mentions(text)
    while len(rest) > max_chars:
        cut = max(rest.rfind("\n", 0, max_chars), rest.rfind(" ", 0, max_chars))
        cut = cut if cut > max_chars // 2 else max_chars
        pieces.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [piece for piece in (*pieces, rest) if piece]


def without_mentions(text: str) -> str:
    """The text without @, mentions, channels and roles, so that it pings nobody."""
    return re.sub(r"<(?:@[!&]?|#)[0-9]+>", "", text.replace("@", "")).strip()


def with_emoji(text: str, emoji: Sequence[discord.Emoji]) -> str:
    """The text with each `:name:` replaced by the server's emoji of that name."""
    own: Mapping[str, str] = {each.name.casefold(): str(each) for each in emoji if each.available}
    replaced = _EMOJI.sub(lambda match: own.get(match[1].casefold(), match[0]), text)
    return replaced if len(replaced) <= MAX_MESSAGE_CHARS else text
