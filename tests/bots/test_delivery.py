"""Pauses before a message is posted: how long somebody types, and when nobody speaks."""

from __future__ import annotations

from datetime import datetime

import pytest

from myna import config
from myna.bots.delivery import is_quiet, typing_seconds


@pytest.mark.parametrize(
    ("length", "speed", "seconds"),
    [(100, 20, 5), (1, 20, 0.5), (9000, 20, 12), (100, 0, 0)],
)
def test_longer_messages_take_longer(length: int, speed: float, seconds: float) -> None:
    assert typing_seconds("x" * length, speed) == seconds


@pytest.mark.parametrize(
    ("clock", "hours", "quiet"),
    [
        ("22:59", "23:00-07:00", False),
        ("23:00", "23:00-07:00", True),
        ("06:59", "23:00-07:00", True),
        ("07:00", "23:00-07:00", False),
        ("12:30", "12:00-13:00", True),
        ("13:00", "12:00-13:00", False),
        ("03:00", "", False),
    ],
)
def test_quiet_hours_may_go_over_midnight(clock: str, hours: str, quiet: bool) -> None:
    assert is_quiet(datetime.fromisoformat(f"2024-05-01T{clock}"), hours) is quiet


@pytest.mark.parametrize("hours", ["25:00-07:00", "night", "23:00-07:00 Mars/Olympus", "23:00"])
def test_hours_that_are_none_are_refused(hours: str) -> None:
    with pytest.raises(
        ValueError, match=r"are no hours: write them as|no time zone 'Mars/Olympus'"
    ):
        config.Bot(quiet_hours=hours)


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        ("2024-01-10T22:30+00:00", True),  # 23:30 in Berlin
        ("2024-01-10T21:30+00:00", False),
        ("2024-07-10T21:30+00:00", True),  # in summer an hour ahead
        ("2024-07-10T05:30+00:00", False),
    ],
)
def test_quiet_hours_may_be_of_another_place_than_the_machine(moment: str, quiet: bool) -> None:
    hours = "23:00-07:00 Europe/Berlin"
    assert is_quiet(datetime.fromisoformat(moment), hours) is quiet
