"""JSON documents that hold the messages of many chats, each chat with a list of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from myna.sources import ChatFile, Tally
from myna.sources._shared.json_objects import (
    decode_items,
    decode_repaired,
    is_complete,
    report_cut_off,
)
from myna.sources._shared.json_stream import SEPARATORS, ListPattern, Piece, pieces

_OBJECT = msgspec.json.Decoder(dict[str, Any])
_ITEMS = msgspec.json.Decoder(list[dict[str, Any]])

# Strings are skipped whole; a quote that is never closed is skipped by itself.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*"|[{}\[\]]', re.DOTALL)

Chat = dict[str, Any]
"""The fields of a chat that stand before its list of messages."""


def read_chats(
    file: ChatFile, shape: ListPattern, tally: Tally, no_list: str, around: tuple[bytes, bytes]
) -> Iterator[tuple[Chat, dict[str, Any]]]:
    """The messages of all chats, each with the chat that it belongs to.

    Args:
        file: the document.
        shape: the patterns by which it is cut.
        tally: of the file.
        no_list: error message for a document without such a list.
        around: bytes that make a document of those behind the last list.

    Raises:
        SourceError: `no_list`, if the document is complete and has no such list.
    """
    chat: Chat = {}
    with file.open() as stream:
        for piece in pieces(stream, shape):
            if piece.kind == "head":
                chat = open_object(piece.data)
                if not chat:
                    tally.notes.append("a chat does not say which it is: named after the file")
            elif piece.kind == "items":
                for message in decode_items(piece, _ITEMS, shape, tally):
                    yield chat, message
            elif piece.kind == "lost":
                report_cut_off(piece, tally, no_list, "what follows its last message is lost")
            else:
                _check_end(piece, around, tally)
            tally.bytes_done = min(piece.end, file.size)
    tally.bytes_done = file.size


def _check_end(end: Piece, around: tuple[bytes, bytes], tally: Tally) -> None:
    """Note if the document breaks off behind its last list."""
    rest = end.data.strip(SEPARATORS + b";")
    if not is_complete(around[0] + rest + around[1]):
        tally.notes.append(
            "the export breaks off behind a last message: there may have been more chats"
        )
        if rest.strip(b"}]"):
            tally.skip_bytes(end.start, end.end)


def open_object(head: bytes) -> Chat:
    """The fields of the object that a list at the end of these bytes belongs to, or {}."""
    opened: list[int] = []
    for token in _TOKEN.finditer(head):
        byte = token[0]
        if byte in (b"{", b"["):
            opened.append(token.start())
        elif byte in (b"}", b"]") and opened:
            opened.pop()
    # The last bracket is the list's own.
    begins = [at for at in opened[:-1] if head[at : at + 1] == b"{"]
    if not begins:
        return {}
    try:
        return decode_repaired(head[begins[-1] :] + b"]}", _OBJECT)
    except (ValueError, RecursionError):
        return {}


def get_text(fields: Any, *keys: str) -> str:
    """A text or a number at the end of a path of keys, as text; "" if there is none."""
    value = get(fields, *keys)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)


def get_objects(fields: Any, *keys: str) -> list[dict[str, Any]]:
    """The objects in a list at the end of a path of keys."""
    value = get(fields, *keys)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def get(fields: Any, *keys: str) -> Any:
    """The value at the end of a path of keys; None if there is none."""
    for key in keys:
        if not isinstance(fields, dict):
            return None
        fields = fields.get(key)
    return fields
