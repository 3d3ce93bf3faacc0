"""The objects in large JSON documents, which `json_stream` has cut into pieces."""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import msgspec

from myna.errors import SourceError
from myna.sources import ChatFile, Tally
from myna.sources._shared.json_stream import (
    MAX_HEAD_BYTES,
    SEPARATORS,
    ListPattern,
    Piece,
    pieces,
    scan,
)

T = TypeVar("T")

_ESCAPE = re.compile(
    rb'\\(?:x(?P<code>[0-9A-Fa-f]{2})|(?P<known>["\\/bfnrt]|u[0-9A-Fa-f]{4})|(?=.))', re.DOTALL
)
_ANY = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Damage(NamedTuple):
    """Bytes of the document that no item could be made of, and why."""

    start: int
    end: int
    problem: str

    @property
    def location(self) -> str:
        """For the user."""
        return f"bytes {self.start} to {self.end}: {self.problem}"


def read_objects(
    file: ChatFile,
    decoder: msgspec.json.Decoder[list[T]],
    shape: ListPattern,
    tally: Tally,
    no_list: str,
    missing: str = "what follows its last message is lost",
) -> Iterator[T]:
    """The objects of a document's list, one by one; the tally learns what became of the rest.

    Args:
        file: the document.
        decoder: of a list of them.
        shape: what the document is cut by.
        tally: of the file.
        no_list: for the user, where the document has no such list.
        missing: for the user, where the document breaks off.

    Raises:
        SourceError: the document is whole, and has no such list.
    """
    with file.open() as stream:
        for piece in pieces(stream, shape):
            if piece.kind == "items":
                yield from decode_items(piece, decoder, shape, tally)
            elif piece.kind == "lost":
                report_cut_off(piece, tally, no_list, missing)
            elif piece.kind == "tail" and not is_complete(b"{" + piece.data.lstrip(SEPARATORS)):
                tally.notes.append("the export breaks off behind its last message: none is missing")
            tally.bytes_done = piece.end


def decode_items(
    piece: Piece, decoder: msgspec.json.Decoder[list[T]], shape: ListPattern, tally: Tally
) -> list[T]:
    """The objects in a piece of items; the tally learns of what is damaged."""
    found, damages = decode_with_damages(piece, decoder, shape)
    for damage in damages:
        tally.skip("damaged message", damage.location)
    return found


def report_cut_off(end: Piece, tally: Tally, no_list: str, missing: str) -> None:
    """Tell of a document that breaks off.

    Raises:
        SourceError: with the text `no_list`, where it is a whole one without the list.
    """
    if end.start == 0 and is_complete(end.data):
        raise SourceError(no_list)
    tally.skip_bytes(end.start, end.end)
    tally.notes.append(f"the export breaks off: {missing}")


def is_complete(data: bytes) -> bool:
    """Whether this is a whole document, or anything else but the beginning of one."""
    data = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not data.startswith(b"{") or len(data) > MAX_HEAD_BYTES:
        return True
    try:
        decode_repaired(data, _ANY)
    except (ValueError, RecursionError):
        return False
    return True


def decode_with_damages(
    piece: Piece, decoder: msgspec.json.Decoder[list[T]], shape: ListPattern
) -> tuple[list[T], list[Damage]]:
    """The objects in a piece of items, and the stretches of it that are none.

    Only a piece that does not decode as a whole is taken apart: at its boundaries, then
    by `scan`, so that a damaged item costs none of its neighbours.
    """
    try:
        return decoder.decode(b"[%b]" % piece.data), []
    except (ValueError, RecursionError):
        pass
    objects: list[T] = []
    damages: list[Damage] = []
    begin = 0
    edges = [edge.span() for edge in shape.boundary.finditer(piece.data)]
    for end, next_begin in [*edges, (len(piece.data), 0)]:
        for first, last in _parts(piece.data, begin, end):
            try:
                part = decode_repaired(b"[%b]" % piece.data[first:last], decoder)
                objects.extend(part)
            except (ValueError, RecursionError) as error:
                damages.append(Damage(piece.start + first, piece.start + last, _why(error)))
        begin = next_begin
    return objects, damages


def _parts(data: bytes, begin: int, end: int) -> list[tuple[int, int]]:
    """The whole items between two places, and what is left behind the last of them."""
    found = scan(data[begin:end])
    parts = [(begin + first, begin + last) for first, last in found.items]
    behind = data[begin + found.end : end]
    if left := behind.strip(SEPARATORS):
        first = begin + found.end + behind.index(left)
        parts.append((first, first + len(left)))
    return parts


def decode_repaired(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    r"""Decode JSON, if need be without what it forbids but others write nevertheless.

    That is raw control characters, halves of surrogate pairs, bytes that are no UTF-8, and
    escapes that there are not: Telegram's `\x0B` is a control character, any other stands
    for itself.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except ValueError as error:
        try:
            escaped = _ESCAPE.sub(_valid_escape, data)
            value = json.loads(escaped.decode("utf-8", "replace"), strict=False)
        except ValueError:
            raise error from None
    text = json.dumps(value, ensure_ascii=False)
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return decoder.decode(joined.encode())


def _valid_escape(escape: re.Match[bytes]) -> bytes:
    if code := escape["code"]:
        return b"\\u00" + code
    return escape[0] if escape["known"] else b"\\" + escape[0]


def _why(error: Exception) -> str:
    """An error's text without places, which here are counted from somewhere inside."""
    return re.sub(r" \(byte \d+\)| - at `\$(?:\[\d+\])?`", "", str(error)).replace("`$[0].", "`")


@contextmanager
def without_gc() -> Iterator[None]:
    """Decoding makes many objects and no cycles: looking for those takes longer."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
