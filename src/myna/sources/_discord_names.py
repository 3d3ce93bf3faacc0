"""Where DiscordChatExporter's messages were sent, as the names of its files say it."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import NamedTuple

# ExportRequest.GetDefaultOutputFileName and MessageExporter.GetPartitionFilePath:
# "Guild - Parent - channel [id] (after 2024-01-31) [part 2].csv". The parent may be absent.
_NAME = re.compile(r"(?s)(?P<path>.*) \[(?P<id>[0-9]+)\](?: \([^()]*\))*")
_PART = re.compile(r" \[part [0-9]+\](?: \([0-9]+\))?\Z")


class Place(NamedTuple):
    """Where messages were sent: a server ("" for none), a channel, and the channel's id."""

    space: str
    channel: str
    channel_id: str | None


def place(name: str) -> Place:
    """Where the messages of a file were sent, by its name: the same for all parts.

    A name that its user chose is the channel's, on no server and without an id. What
    stands between the server and the channel, such as a category, is left out; so is a
    part of a server's or a channel's name that has " - " in it, as nothing tells them apart.
    """
    stem = _PART.sub("", PurePath(name).stem)
    match = _NAME.fullmatch(stem)
    if match is None:
        return Place("", stem, None)
    guild, dash, rest = match["path"].partition(" - ")
    if not dash:
        return Place("", guild, match["id"])
    return Place(space(guild), rest.rpartition(" - ")[2], match["id"])


def space(guild: str) -> str:
    """The server's name, "" for the one that the exporter invents for chats on none."""
    return "" if guild == "Direct Messages" else guild
