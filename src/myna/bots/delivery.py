"""Posting a clone's message: with the pauses of a person, however often it takes, once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, time
from zoneinfo import ZoneInfo

from myna.bots.front import Front, UndeliverableError
from myna.bots.outbox import Outbox, Post

PAUSES = (1, 2, 5, 15, 30, 60, 60)
"""Seconds between attempts to post what the platform did not take."""
MIN_TYPING_SECONDS, MAX_TYPING_SECONDS = 0.5, 12.0
"""Seconds of the shortest and of the longest time that somebody types a message."""
log = logging.getLogger(__name__)


class Delivery:
    """Delivers the messages of an outbox.

    Args:
        outbox: where they wait.
        front: the platform.
        speed: characters a second that clones type; 0 for no pauses.
        may: whether somebody may speak just now.
    """

    def __init__(
        self, outbox: Outbox, front: Front, speed: float, may: Callable[[str], bool]
    ) -> None:
        self._outbox = outbox
        self._front = front
        self._speed = speed
        self._may = may

    async def deliver(self, post: Post) -> None:
        """Post a message. One that is `sending` was begun by a process that was killed."""
        if post.state == "sending":
            if await self._is_there(post):
                return
        else:
            if self._may(post.person):
                await self._typed(post)
            now = self._outbox.post(post.id)
            if now is None or now.state != "waiting":
                return  # dropped meanwhile
            self._outbox.sending(post)
        why = ""
        for pause in (0, *PAUSES):
            await asyncio.sleep(pause)
            if pause and await self._is_there(post):
                return
            if not self._may(post.person):
                why = "may not speak"
                break
            try:
                posted = await self._front.post(post)
            except UndeliverableError as error:
                why = str(error)
                break
            except Exception as error:
                why = str(error) or type(error).__name__
                log.warning("%s: a message was not taken: %s", post.place, why)
            else:
                await self._sent(post, posted)
                return
        self._dropped(post, why)

    async def _typed(self, post: Post) -> None:
        seconds = typing_seconds(post.text, self._speed)
        if seconds:
            try:
                await self._front.typing(post.place, post.person, seconds)
            except Exception as error:
                log.debug("%s: typing could not be shown: %s", post.place, error)

    async def _is_there(self, post: Post) -> bool:
        """True if a message that may have been posted was, or never will be."""
        while True:
            try:
                posted = await self._front.find(post)
            except UndeliverableError as error:
                self._dropped(post, str(error))
                return True
            except Exception as error:
                log.warning("%s: cannot see what is there: %s", post.place, error)
                await asyncio.sleep(PAUSES[2])
                continue
            if posted is not None:
                await self._sent(post, posted)
            return posted is not None

    async def _sent(self, post: Post, posted: str) -> None:
        """It is there; if it was dropped meanwhile, it goes again."""
        if not self._outbox.sent(post, posted):
            try:
                await self._front.remove([replace(post, posted=posted)])
            except Exception as error:
                log.error("%s: a message cannot be taken back: %s", post.place, error)

    def _dropped(self, post: Post, why: str) -> None:
        log.error("%s: a message of %s was not posted: %s", post.place, post.person, why)
        self._outbox.drop(post, why)


def typing_seconds(text: str, speed: float) -> float:
    """Seconds that a person types this, at `speed` characters a second; 0 where that is 0."""
    return min(max(len(text) / speed, MIN_TYPING_SECONDS), MAX_TYPING_SECONDS) if speed else 0.0


def is_quiet(now: datetime, hours: str) -> bool:
    """True if `now` lies in hours such as "23:00-07:00" or "23:00-07:00 Europe/Berlin".

    Never in "". Without a zone they are those of the clock that `now` is from.
    """
    if not hours:
        return False
    span, _, zone = hours.partition(" ")
    if zone:
        now = now.astimezone(ZoneInfo(zone))
    first, last = (time.fromisoformat(edge) for edge in span.split("-"))
    clock = now.time()
    if first <= last:
        return first <= clock < last
    return clock >= first or clock < last
