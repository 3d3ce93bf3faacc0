"""Matrix rooms as the client-server API lists them: `GET /rooms/ROOM/messages`, saved as JSON.

After the Matrix specification: ``{"chunk": [event], "start", "end"?, "state"?: [event]}``, newest
first or oldest first. The events are those that the reader `element` reads, whose docstring
says what is read of them; names may stand in ``state``. Events that the server could not
decrypt, which is all of an encrypted room, are counted and not read.

The room's name is in its m.room.name event, if the list goes back to it, or else the file's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec
import polars as pl

from myna.sources import ChatFile, Recognition, Tally, element
from myna.sources._shared import message_table
from myna.sources._shared.chat_lists import get_objects, get_text
from myna.sources._shared.json_objects import decode_repaired, read_objects
from myna.sources._shared.json_stream import ListPattern, documents_around
from myna.sources._shared.message_table import ParsedMessage

TITLE = "Matrix API (/messages)"
READS = (
    *("text", "replies", "threads", "mentions", "edits", "deleted", "attachments", "stickers"),
    *("voice", "calls", "system", "bots", "reactions"),
)

_SHAPE = ListPattern(
    key=b"chunk",
    # Keys of events are in no order that every server keeps: `scan` finds where they end.
    boundary=re.compile(rb"(?!)"),
    ending=re.compile(rb'\]\s*(?:,\s*"(?:start|end|state)"\s*:[^\]]{0,5000})?\}\s*\Z'),
)
_EVENTS = msgspec.json.Decoder(list[dict[str, Any]])
_DOCUMENT = msgspec.json.Decoder(dict[str, Any])
_KEYS = (b'"chunk"', b'"origin_server_ts"', b'"event_id"', b'"sender"')

_Event = dict[str, Any]


class _Survey(NamedTuple):
    """The room, True for newest first, and the ids of events that stand behind their edits."""

    room: element.MatrixRoom
    is_descending: bool
    edited: set[str]


MOST_CERTAIN = 0.95


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the list and the keys of its events."""
    head = file.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"{") and all(key in head for key in _KEYS):
        return Recognition("matrix_messages", 0.95, "its list is of events of Matrix")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order; a first pass collects edits and names.

    Raises:
        SourceError: the file holds no list of events, or cannot be read.
    """
    survey = _survey(file)
    events = (e for e in _events(file, tally) if element.edited_event_id(e) not in survey.edited)
    messages = element.room_messages(events, survey.room, tally)
    if survey.is_descending:
        messages = _countdown(messages)
    yield from message_table.to_tables(
        messages, "matrix", tally, zone_assumed=False, months_first=False
    )


def _survey(file: ChatFile) -> _Survey:
    """Read names, edits and deletions, and the order of the events."""
    room = element.MatrixRoom({"room_name": PurePath(file.name).stem})
    first = last = 0
    names: dict[str, str] = {}
    targets: set[str] = set()
    edited: set[str] = set()
    for event in [*_state(file), *_events(file, Tally())]:
        room.add_event(event)
        if target := element.edited_event_id(event):
            targets.add(target)
        elif (id_ := get_text(event, "event_id")) in targets:
            edited.add(id_)
        if event.get("type") == "m.room.name":
            names[get_text(event, "origin_server_ts")] = get_text(event, "content", "name")
        if isinstance(time := event.get("origin_server_ts"), int) and "state_key" not in event:
            first, last = first or time, time
    if names and (name := names[max(names)]):
        room.name = name
    return _Survey(room, first > last, edited)


def _events(file: ChatFile, tally: Tally) -> Iterator[_Event]:
    no_list = (
        f"{file.location} is no list of Matrix events: it has no 'chunk'; "
        "save what /messages answers, whole"
    )
    yield from read_objects(file, _EVENTS, _SHAPE, tally, no_list)
    tally.bytes_done = file.size


def _state(file: ChatFile) -> list[_Event]:
    """The events of the room's state, before or behind the list."""
    found: list[_Event] = []
    with file.open() as stream:
        for data in documents_around(stream, _SHAPE):
            try:
                found += get_objects(decode_repaired(data, _DOCUMENT), "state")
            except (ValueError, RecursionError):
                continue
    return found


def _countdown(messages: Iterator[ParsedMessage]) -> Iterator[ParsedMessage]:
    """The messages with positions for newest first."""
    for number, message in enumerate(messages):
        yield message._replace(position=-number)
