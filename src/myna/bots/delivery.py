"""Delivery of clones' messages: after a typing pause, with retries, each posted once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, time
from zoneinfo import ZoneInfo

from myna.bots.front import Front, UndeliverableError
from myna.bots.outbox import Outbox, Post

RETRY_PAUSES = (1, 2, 5, 15, 30, 60, 60)
"""Seconds between attempts to post a message that the platform did not accept."""
MIN_TYPING_SECONDS, MAX_TYPING_SECONDS = 0.5, 12.0
"""Limits of the time that typing a message takes."""
log = logging.getLogger(__name__)


class Delivery:
    """Delivers the messages of an outbox.

    Args:
        outbox: the messages.
        front: the platform.
        typing_speed: characters per second; 0 for no pauses.
        may_speak: True if a persona may speak now.
    """

    def __init__(
        self, outbox: Outbox, front: Front, typing_speed: float, may_speak: Callable[[str], bool]
    ) -> None:
        self._outbox = outbox
        self._front = front
        self._typing_speed = typing_speed
        self._may_speak = may_speak

    async def deliver(self, post: Post) -> None:
        """Post a message; one in the state `sending` is of a process that was killed."""
        if post.state == "sending":
            if await self._was_posted(post):
                return
        else:
            if self._may_speak(post.person):
                await self._show_typing(post)
            current = self._outbox.get_post(post.id)
            if current is None or current.state != "waiting":
                return  # dropped meanwhile
            self._outbox.mark_sending(post)
        reason = ""
        for pause in (0, *RETRY_PAUSES):
            await asyncio.sleep(pause)
            if pause and await self._was_posted(post):
                return
            if not self._may_speak(post.person):
                reason = "may not speak"
                break
            try:
                platform_id = await self._front.post(post)
            except UndeliverableError as error:
                reason = str(error)
                break
            except Exception as error:
                reason = str(error) or type(error).__name__
                log.warning("%s: a message was not accepted: %s", post.channel_id, reason)
            else:
                await self._mark_sent(post, platform_id)
                return
        self._drop(post, reason)

    async def _show_typing(self, post: Post) -> None:
        seconds = typing_seconds(post.text, self._typing_speed)
        if seconds:
            try:
                await self._front.typing(post.channel_id, post.person, seconds)
            except Exception as error:
                log.debug("%s: typing could not be shown: %s", post.channel_id, error)

    async def _was_posted(self, post: Post) -> bool:
        """True if a message was posted, or can never be."""
        while True:
            try:
                platform_id = await self._front.find(post)
            except UndeliverableError as error:
                self._drop(post, str(error))
                return True
            except Exception as error:
                log.warning("%s: cannot read the channel: %s", post.channel_id, error)
                await asyncio.sleep(RETRY_PAUSES[2])
                continue
            if platform_id is not None:
                await self._mark_sent(post, platform_id)
            return platform_id is not None

    async def _mark_sent(self, post: Post, platform_id: str) -> None:
        """Note the id of a posted message; delete it if it was dropped meanwhile."""
        if not self._outbox.mark_sent(post, platform_id):
            try:
                await self._front.remove([replace(post, platform_id=platform_id)])
            except Exception as error:
                log.error("%s: a message cannot be deleted: %s", post.channel_id, error)

    def _drop(self, post: Post, reason: str) -> None:
        log.error("%s: a message of %s was not posted: %s", post.channel_id, post.person, reason)
        self._outbox.drop_post(post, reason)


def typing_seconds(text: str, typing_speed: float) -> float:
    """Seconds that typing a text takes, at `typing_speed` characters per second; 0 for 0."""
    return (
        min(max(len(text) / typing_speed, MIN_TYPING_SECONDS), MAX_TYPING_SECONDS)
        if typing_speed
        else 0.0
    )


def is_quiet(now: datetime, hours: str) -> bool:
    """True if `now` is in hours such as "23:00-07:00" or "23:00-07:00 Europe/Berlin".

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
