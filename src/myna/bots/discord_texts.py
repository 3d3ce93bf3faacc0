"""Texts on their way to and from Discord."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import discord

HARD_LIMIT = 2000
"""Characters of a message that Discord takes ("Create Message", developer reference)."""
LONGEST = 1900
"""Characters of a message of ours: a name in bold and longer emoji must fit as well."""
_EMOJI = re.compile(r"(?<![\w<:]):(\w{2,32}):(?![\w:>])")
_INVISIBLE = "\u200b"


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


def pieces(text: str, longest: int = LONGEST) -> list[str]:
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
    return shown if len(shown) <= HARD_LIMIT else text
