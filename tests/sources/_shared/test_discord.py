"""Channels, from the names that DiscordChatExporter gives its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna.sources import ChatFile
from myna.sources._shared.discord import channel_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Tea House - Rooms - kettle [1001].csv", ("Tea House", "kettle", "1001")),
        ("Tea House - kettle [1001].json", ("Tea House", "kettle", "1001")),
        ("Tea House - Rooms - kettle [1001] [part 12].txt", ("Tea House", "kettle", "1001")),
        (
            "Tea House - Rooms - kettle [1001] (2024-01-01 to 2024-02-01) [part 2].html",
            ("Tea House", "kettle", "1001"),
        ),
        ("Tea House - Rooms - kettle [1001] (1).csv", ("Tea House", "kettle", "1001")),
        ("Direct Messages - Group - ada, bo [1002].csv", ("", "ada, bo", "1002")),
        ("kettle [1001].csv", ("", "kettle", "1001")),
        ("Tea [green] House - kettle [1001].csv", ("Tea [green] House", "kettle", "1001")),
        ("Tea House - kettle.csv", ("", "Tea House - kettle", None)),
        ("our tea [part 2].csv", ("", "our tea", None)),
        ("tea [house].csv", ("", "tea [house]", None)),
        ("", ("", "", None)),
    ],
)
def test_names(name: str, expected: tuple[str, str, str | None]) -> None:
    assert channel_of(ChatFile(Path(name))) == expected
