"""What a platform gives the bot: the one thing to write for another platform."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Protocol

from myna.bots.outbox import Post
from myna.people import MAX_NAME_CHARS, sanitize_name


class UndeliverableError(Exception):
    """A message that can never be posted: the channel is gone, or nothing may be said there."""


class Front(Protocol):
    """A platform, connected. A place is a channel there, by its id."""

    platform: str
    """The source of its accounts in people.toml, such as "discord"."""

    def pieces(self, person: str, text: str) -> list[str]:
        """A message as the platform can take it, cut where it is too long."""

    async def post(self, post: Post) -> str:
        """Post a message; its id there.

        Raises:
            UndeliverableError: it never can be. Any other error: it may be there or not.
        """

    async def find(self, post: Post) -> str | None:
        """The id of a message that may have been posted before a kill; None if it was not.

        Raises:
            UndeliverableError: nobody can tell, and nobody should try again.
        """

    async def typing(self, place: str, person: str, seconds: float) -> None:
        """Show for some time that a clone types, and return after it."""

    async def remove(self, posts: Sequence[Post]) -> None:
        """Take posted messages away, where that can be done."""


MARK = " (clone)"
"""Stands behind every clone's name, always: nobody takes a clone for the human."""
MAX_WEBHOOK_NAME_CHARS = 80
"""Characters of a webhook's name on Discord ("Create Webhook", developer reference)."""
_HUMAN = " (human)"
_FORBIDDEN = re.compile(r"(?i)(cl)yde|(disc)ord")
"""Words that a webhook's name may not have (the same page)."""


def shown(person: str) -> str:
    """The display name of a clone: always marked as one."""
    name = _FORBIDDEN.sub(lambda word: f"{word[1] or word[2]}…", sanitize_name(person))
    return name[: MAX_WEBHOOK_NAME_CHARS - len(MARK)].strip() + MARK


def in_room(name: str, taken: Collection[str], personas: Collection[str]) -> str:
    """A name for a human in a room that is nobody else's, and no persona's.

    Args:
        name: what they are called, by themselves: anything.
        taken: the names of the other humans there.
        personas: all who can be there; a human of the same name is marked as one.
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
