"""The interface of a platform: all that a bot needs for another one."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Protocol

from myna.bots.outbox import Post
from myna.people import CLONE_MARK, MAX_NAME_CHARS, sanitize_name


class UndeliverableError(Exception):
    """A message that can never be posted: its channel is gone, or closed to the bot."""


class Front(Protocol):
    """A connection to a platform."""

    platform: str
    """The source of its accounts in people.toml, such as "discord"."""

    def split(self, person: str, text: str) -> list[str]:
        """Split a message into pieces that the platform accepts."""

    async def post(self, post: Post) -> str:
        """Post a message; return its id on the platform.

        Raises:
            UndeliverableError: it can never be posted. After any other error it may be posted.
        """

    async def find(self, post: Post) -> str | None:
        """Find a message that may have been posted before a kill: its id, or None.

        Raises:
            UndeliverableError: this cannot be known; do not post it again.
        """

    async def typing(self, channel_id: str, person: str, seconds: float) -> None:
        """Show that a clone types, and return after `seconds`."""

    async def remove(self, posts: Sequence[Post]) -> None:
        """Delete posted messages, if the platform can."""


MAX_WEBHOOK_NAME_CHARS = 80
"""Longest name of a webhook on Discord ("Create Webhook", developer reference)."""
_HUMAN = " (human)"
_FORBIDDEN = re.compile(r"(?i)(cl)yde|(disc)ord")
"""Words that Discord forbids in a webhook's name (the same page)."""


def clone_display_name(person: str) -> str:
    """The display name of a clone, with its mark."""
    name = _FORBIDDEN.sub(lambda word: f"{word[1] or word[2]}…", sanitize_name(person))
    return name[: MAX_WEBHOOK_NAME_CHARS - len(CLONE_MARK)].strip() + CLONE_MARK


def name_in_room(name: str, taken: Collection[str], personas: Collection[str]) -> str:
    """A name for a human in a room, different from all other humans' and personas'.

    Args:
        name: their display name; any text.
        taken: the names of the other humans in the room.
        personas: all personas; a human of the same name is marked as a human.
    """
    plain = sanitize_name(name)
    clones = {person.casefold() for person in personas}
    ending = _HUMAN if plain.casefold() in clones else ""
    others = {other.casefold() for other in taken} | clones
    number = 1
    while True:
        chosen = plain[: MAX_NAME_CHARS - len(ending)].strip() + ending
        if chosen.casefold() not in others:
            return chosen
        number += 1
        ending = (_HUMAN if _HUMAN in ending else "") + f" {number}"
