"""Opening a room of `myna chat`: which one, and under which name the human is in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from myna.rooms.registry import LiveRoom, Rooms

ROOM_PREFIX = "chat"
"""Begin of the ids of rooms that `myna chat` makes."""
LAST = "last"


def own_name(
    given: str, humans: Sequence[str], owner: str, personas: Sequence[str]
) -> tuple[str, str]:
    """The human's name in a room, and a line to tell them if it keeps a clone silent or out.

    Args:
        given: with --as, or "".
        humans: in the room, if it is resumed.
        owner: the workspace's, or "".
        personas: in the room, or to be.
    """
    from myna.people import sanitize_name

    if given or humans:
        return sanitize_name(given or humans[-1]), ""
    if owner not in personas:
        return owner or "Me", ""
    if len(personas) == 1:
        return "Guest", "You talk to your own clone as Guest; --as NAME sets another name."
    return owner, (
        f"You are {owner}, so the clone of {owner} is not here; `myna chat --as NAME` brings it in."
    )


def open_room(rooms: Rooms, name: str, personas: list[str] | None) -> tuple[LiveRoom, bool]:
    """Open a room; return it and True if it is resumed.

    Raises:
        RoomError: `name` is "last" and there is no room yet.
    """
    from myna.errors import RoomError
    from myna.rooms.registry import OWNER

    room_ids = rooms.ids()
    if name == LAST:
        chat_rooms = [n for n in room_ids if n.startswith(f"{ROOM_PREFIX} ")]
        if not chat_rooms:
            raise RoomError("there is no room to resume yet: start one with `myna chat`")
        name = chat_rooms[-1]
    name = name or new_room_id(room_ids)
    # A resumed room, such as a bot's, keeps its audience.
    audience = None if name in room_ids else OWNER
    return rooms.open(name, personas=personas, audience=audience), name in room_ids


def new_room_id(known: Sequence[str]) -> str:
    """The id of a room that begins now; none of those that are known."""
    from datetime import datetime

    now = f"{ROOM_PREFIX} {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
    return next(n for n in (now, *(f"{now} ({i})" for i in range(2, 99))) if n not in known)
