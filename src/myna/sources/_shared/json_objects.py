"""The objects in the pieces of large JSON documents that `json_stream` cuts."""

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
    """Bytes of the document that could not be decoded, and the problem."""

    start: int
    end: int
    problem: str

    @property
    def location(self) -> str:
        """The bytes and the problem, for the user."""
        return f"bytes {self.start} to {self.end}: {self.problem}"


def read_objects(
    file: ChatFile,
    decoder: msgspec.json.Decoder[list[T]],
    shape: ListPattern,
    tally: Tally,
    no_list: str,
    missing: str = "what follows its last message is lost",
) -> Iterator[T]:
    """Yield the objects of a document's list; count everything else in the tally.

    Args:
        file: the document.
        decoder: of a list of such objects.
        shape: the patterns by which the document is cut.
        tally: of the file.
        no_list: error message for a document without such a list.
        missing: note for a document that breaks off.

    Raises:
        SourceError: the document is complete and has no such list.
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
    """Decode a piece of items; count damaged ones in the tally."""
    items, damages = decode(piece, decoder, shape)
    for damage in damages:
        tally.skip("damaged message", damage.location)
    return items


def report_cut_off(end: Piece, tally: Tally, no_list: str, missing: str) -> None:
    """Count the unread end of a document that breaks off, and note it.

    Raises:
        SourceError: `no_list`, if the document is complete and has no such list.
    """
    if end.start == 0 and is_complete(end.data):
        raise SourceError(no_list)
    tally.skip_bytes(end.start, end.end)
    tally.is_short = True  # even where it breaks off between two messages
    tally.notes.append(f"the export breaks off: {missing}")


def is_complete(data: bytes) -> bool:
    """True unless the data is the beginning of a document that breaks off."""
    data = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not data.startswith(b"{") or len(data) > MAX_HEAD_BYTES:
        return True
    try:
        decode_repaired(data, _ANY)
    except (ValueError, RecursionError):
        return False
    return True


def decode(
    piece: Piece, decoder: msgspec.json.Decoder[list[T]], shape: ListPattern
) -> tuple[list[T], list[Damage]]:
    """Decode a piece of items: the objects, and the damaged stretches.

    Only a piece that does not decode as a whole is taken apart: at its boundaries, then
    by `scan`, so that the neighbours of a damaged item are kept.
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
        for first, last in _split(piece.data, begin, end):
            try:
                items = decode_repaired(b"[%b]" % piece.data[first:last], decoder)
                objects.extend(items)
            except (ValueError, RecursionError) as error:
                damages.append(Damage(piece.start + first, piece.start + last, _problem(error)))
        begin = next_begin
    return objects, damages


def _split(data: bytes, begin: int, end: int) -> list[tuple[int, int]]:
    """The spans of the complete items between two offsets, and of the rest behind them."""
    result = scan(data[begin:end])
    spans = [(begin + first, begin + last) for first, last in result.items]
    behind = data[begin + result.end : end]
    if rest := behind.strip(SEPARATORS):
        first = begin + result.end + behind.index(rest)
        spans.append((first, first + len(rest)))
    return spans


def decode_repaired(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    r"""Decode JSON, repairing common violations of the format.

    These are raw control characters, halves of surrogate pairs, bytes that are no UTF-8,
    and unknown escapes: Telegram's `\x0B` is a control character, others stand for themselves.
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


def _problem(error: Exception) -> str:
    """An error's text without offsets, which do not count from the document's beginning."""
    return re.sub(r" \(byte \d+\)| - at `\$(?:\[\d+\])?`", "", str(error)).replace("`$[0].", "`")


@contextmanager
def without_gc() -> Iterator[None]:
    """Suspend garbage collection: decoding makes many objects and no cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
