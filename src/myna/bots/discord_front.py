"""Posting on Discord: by webhooks, with each clone's name and its human's avatar.

Where the bot may not manage webhooks it says all in its own name, the clone's in front.
What a platform does is from Discord's developer reference ("Webhook", "Create Message",
"Opcodes and Status Codes").
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import discord

from myna.bots.consent import Consents
from myna.bots.front import UndeliverableError, shown
from myna.bots.outbox import Outbox, Post

MAX_MESSAGE_CHARS = 2000
"""Characters of a message that Discord takes ("Create Message", developer reference)."""
MAX_PIECE_CHARS = 1900
"""Characters of a message of ours: a name in bold and longer emoji must fit as well."""
_EMOJI = re.compile(r"(?<![\w<:]):(\w{2,32}):(?![\w:>])")
_INVISIBLE = "\u200b"
WEBHOOK = "myna clones"
SEEN = 100
"""Messages looked through for one that may have been posted before a kill."""
TYPING = 9.0
"""Seconds after which Discord is told again that somebody types; it shows it for ten."""
Channel: TypeAlias = (
    discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.Thread
)
NOBODY = discord.AllowedMentions.none()
log = logging.getLogger(__name__)


class DiscordFront:
    """Discord, for `host.Host`. A place is the id of a channel or a thread.

    `buttons` makes the buttons that stand under the end of a turn, for a post.
    """

    platform = "discord"

    def __init__(
        self,
        client: discord.Client,
        outbox: Outbox,
        consents: Consents,
        buttons: Callable[[Post], discord.ui.View],
    ) -> None:
        self._client = client
        self._outbox = outbox
        self._consents = consents
        self._buttons = buttons
        self._webhooks: dict[int, discord.Webhook] = {}
        self._avatars: dict[str, str] = {}

    def pieces(self, person: str, text: str) -> list[str]:
        """A message in pieces that Discord takes."""
        return pieces(text)

    async def post(self, post: Post) -> str:
        """Post a message; its id."""
        channel = self._channel(post.place)
        try:
            webhook = await self._webhook(channel)
            if webhook is not None:
                try:
                    return await self._by_webhook(webhook, channel, post)
                except discord.NotFound:  # somebody deleted it: make it anew, once
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
        """Look anew for webhooks: they are not where they were."""
        self._webhooks.clear()

    async def _by_webhook(self, webhook: discord.Webhook, channel: Channel, post: Post) -> str:
        sent = await webhook.send(
            with_emoji(post.text, channel.guild.emojis),
            username=shown(post.person),
            avatar_url=await self._avatar(post.person),
            allowed_mentions=NOBODY,
            thread=channel if isinstance(channel, discord.Thread) else discord.utils.MISSING,
            view=self._buttons(post) if post.last else discord.utils.MISSING,
            wait=True,
        )
        return str(sent.id)

    async def _by_own_name(self, channel: Channel, post: Post) -> str:
        sent = await channel.send(
            self._own(channel, post),
            allowed_mentions=NOBODY,
            nonce=f"myna-{post.id}",  # Discord itself takes one of a nonce only once
            view=self._buttons(post) if post.last else discord.utils.MISSING,
        )
        return str(sent.id)

    @staticmethod
    def _own(channel: Channel, post: Post) -> str:
        name = discord.utils.escape_markdown(shown(post.person))
        return f"**{name}:** {with_emoji(post.text, channel.guild.emojis)}"

    async def find(self, post: Post) -> str | None:
        """The id of a message that may have been posted before a kill."""
        channel = self._channel(post.place)
        if not channel.permissions_for(channel.guild.me).read_message_history:
            raise UndeliverableError("it may be there, and the channel's history cannot be read")
        own = self._own(channel, post)
        theirs = with_emoji(post.text, channel.guild.emojis)
        found = []
        try:
            async for message in channel.history(limit=SEEN):
                by_us = message.author == self._client.user and message.content == own
                by_webhook = (
                    message.webhook_id is not None
                    and message.author.name == shown(post.person)
                    and message.content == theirs
                )
                if by_us or by_webhook:
                    found.append(str(message.id))
        except (discord.Forbidden, discord.NotFound) as error:
            raise UndeliverableError(f"the channel is out of reach ({error.text})") from None
        fresh = set(found) - self._outbox.claimed(post.place, found)
        return max(fresh, key=int, default=None)

    async def typing(self, place: str, person: str, seconds: float) -> None:
        """Show that the bot types: webhooks cannot."""
        while seconds > 0:
            try:
                await self._channel(place).typing()
            except (UndeliverableError, discord.HTTPException):
                return  # posting it says what is wrong
            await asyncio.sleep(min(seconds, TYPING))
            seconds -= TYPING

    async def remove(self, posts: Sequence[Post]) -> None:
        """Delete messages of clones."""
        for post in posts:
            try:
                channel = self._channel(post.place)
                webhook = await self._webhook(channel)
                message = int(post.posted or 0)
                try:
                    if webhook is None:
                        raise UndeliverableError
                    thread = channel if isinstance(channel, discord.Thread) else None
                    await webhook.delete_message(message, thread=thread or discord.utils.MISSING)
                except (UndeliverableError, discord.NotFound):  # in its own name, or another hook
                    await channel.get_partial_message(message).delete()
            except discord.NotFound:
                continue  # it is gone already
            except discord.Forbidden:
                raise UndeliverableError("it may not delete that message") from None

    def _channel(self, place: str) -> Channel:
        channel = self._client.get_channel(int(place))
        if not isinstance(channel, Channel):
            raise UndeliverableError("the channel is gone, or it may not see it")
        return channel

    async def _webhook(self, channel: Channel) -> discord.Webhook | None:
        """The bot's webhook of a channel, made if there is none; None where it may not."""
        parent = channel.parent if isinstance(channel, discord.Thread) else channel
        if parent is None:
            return None
        if parent.id in self._webhooks:
            return self._webhooks[parent.id]
        if not parent.permissions_for(parent.guild.me).manage_webhooks:
            return None
        try:
            there = await parent.webhooks()
            own = [hook for hook in there if hook.user == self._client.user and hook.token]
            hook = own[0] if own else await parent.create_webhook(name=WEBHOOK)
        except discord.HTTPException as error:
            if error.status >= 500:
                raise
            log.warning("no webhook for #%s, it speaks in its own name: %s", parent.name, error)
            return None
        self._webhooks[parent.id] = hook
        return hook

    async def _avatar(self, person: str) -> str | None:
        """The address of a human's avatar, where people.toml has their account."""
        account = self._consents.account(person, self.platform)
        if person not in self._avatars and account is not None and account.isdigit():
            try:
                user = await self._client.fetch_user(int(account))
            except discord.HTTPException:
                return None
            self._avatars[person] = user.display_avatar.url
        return self._avatars.get(person)


def heard(message: discord.Message) -> str:
    """What somebody wrote, as its readers saw it: names for mentions, `:emoji:`, `[image]`."""
    text = re.sub(r"<a?:(\w+):[0-9]+>", r":\1:", message.clean_content.replace(_INVISIBLE, ""))
    things = [_kind(attachment) for attachment in message.attachments]
    things += ["sticker"] * len(message.stickers)
    return " ".join(filter(None, [text.strip(), *(f"[{kind}]" for kind in things)]))


def _kind(attachment: discord.Attachment) -> str:
    """The kind of an attachment, as the message table has it."""
    if attachment.is_voice_message():
        return "voice"
    general, _, exact = (attachment.content_type or "").partition("/")
    if exact.startswith("gif"):
        return "gif"
    return {"image": "image", "video": "video", "audio": "voice"}.get(general, "file")


def pieces(text: str, longest: int = MAX_PIECE_CHARS) -> list[str]:
    """A text in pieces of at most `longest` characters, cut at lines or words where it can be."""
    found = []
    rest = said(text)
    while len(rest) > longest:
        cut = max(rest.rfind("\n", 0, longest), rest.rfind(" ", 0, longest))
        cut = cut if cut > longest // 2 else longest
        found.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [piece for piece in (*found, rest) if piece]


def said(text: str) -> str:
    """What a clone says, without a way to ping anyone: no @, no mention, no channel or role."""
    return re.sub(r"<(?:@[!&]?|#)[0-9]+>", "", text.replace("@", "")).strip()


def with_emoji(text: str, emoji: Sequence[discord.Emoji]) -> str:
    """The text with `:name:` as the server's own emoji, where it has one of that name."""
    own: Mapping[str, str] = {each.name.casefold(): str(each) for each in emoji if each.available}
    shown = _EMOJI.sub(lambda match: own.get(match[1].casefold(), match[0]), text)
    return shown if len(shown) <= MAX_MESSAGE_CHARS else text
