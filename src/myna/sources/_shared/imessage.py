"""Apple's messages, in its database and in the texts of imessage-exporter.

Numbers and words are those of imessage-database (tables/messages, message_types/variants).
"""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from typing import Any

from myna.sources import Tally

TAPBACKS = {
    "Loved": "❤️",
    "Liked": "👍",
    "Disliked": "👎",
    "Laughed at": "😂",
    "Emphasized": "‼️",
    "Questioned": "❓",
    "Laughed": "😂",
}
"""Emoji of tapbacks by their words; the first six by their numbers, from 2000."""

_OWN_EMOJI = 6
MAX_TAPBACKS = 1_000_000
"""Tapbacks that are read, as they are kept in memory."""


def read_tapbacks(
    database: sqlite3.Connection, people: dict[Any, str | None], part: re.Pattern[str], tally: Tally
) -> dict[str, list[tuple[str, str]]]:
    """The tapbacks that were not taken back, with who gave them, by the message's guid.

    Args:
        database: with the table `message`.
        people: names by the key of their handle.
        part: what stands before a guid, for a part of a message.
        tally: of the file.
    """
    given: defaultdict[str, dict[tuple[str, str], None]] = defaultdict(dict)
    if select_list(database, "message", "", "associated_message_type") == "NULL":
        return {}  # an old system
    names = ("associated_message_guid", "associated_message_type", "associated_message_emoji")
    columns = select_list(database, "message", "", *names, "handle_id", "is_from_me")
    emoji_of = dict(enumerate(TAPBACKS.values()))
    try:
        for target, kind, emoji, handle, is_from_me in database.execute(
            f"SELECT {columns} FROM message WHERE associated_message_type BETWEEN 2000 AND 3006 "  # noqa: S608
            f"ORDER BY ROWID LIMIT {MAX_TAPBACKS}"
        ):
            number = as_integer(kind) % 1000
            name = as_string(emoji) if number == _OWN_EMOJI else emoji_of.get(number)
            if name is None or not (guid := as_string(target)):
                continue
            who = "me" if as_integer(is_from_me) else people.get(handle) or "Unknown"
            each = given[part.sub("", guid)]
            if as_integer(kind) < 3000:
                each[name, who] = None
            else:
                each.pop((name, who), None)
    except (sqlite3.Error, ValueError, OverflowError, MemoryError) as error:
        tally.notes.append(f"not all tapbacks could be read: {' '.join(str(error).split())}")
    return {guid: list(each) for guid, each in given.items()}


def select_list(database: sqlite3.Connection, table: str, alias: str, *columns: str) -> str:
    """The columns to select: NULL for those that the table does not have, on older systems."""
    present = {"ROWID", *(row[1] for row in database.execute(f"PRAGMA table_info({table})"))}
    return ", ".join(alias + name if name in present else "NULL" for name in columns)


def as_string(value: Any) -> str | None:
    """A cell as text; None if it is empty or of another type."""
    return (value or None) if isinstance(value, str) else None


def as_integer(value: Any) -> int:
    """A cell as an integer; 0 if it is of another type."""
    return value if isinstance(value, int) else 0
