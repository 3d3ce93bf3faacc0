"""Time: how long somebody types, and when nobody speaks."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

SHORTEST, LONGEST = 0.5, 12.0
"""Seconds of the shortest and of the longest time that somebody types a message."""


def typing_seconds(text: str, speed: float) -> float:
    """How long a person types this, at `speed` characters a second; 0 where that is 0."""
    return min(max(len(text) / speed, SHORTEST), LONGEST) if speed else 0.0


def is_quiet(now: datetime, hours: str) -> bool:
    """Whether `now` lies in hours such as "23:00-07:00" or "23:00-07:00 Europe/Berlin".

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
