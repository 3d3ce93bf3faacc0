"""What a platform gives the bot: the one thing to write for another platform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from myna.bots.outbox import Post


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
