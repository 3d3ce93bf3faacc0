"""A large JSON document with a long list in it, or several, read in flat memory.

Most chat exports are such a document: a head that names the chat, a list of messages,
a tail. `pieces` cuts it, without decoding it, into

    head    everything up to and with the list's opening bracket
    items   items of the list, joined by commas                (any number of pieces)
    tail    everything after the list's closing bracket
    lost    or, in place of a tail, the rest of a document that breaks off

with further heads and items if the document `has_many_lists`. `json_objects` decodes them.

The end of an item is found in two ways. A *boundary* is a byte pattern that occurs only
before an item: no text can imitate it, as JSON strings hold no unescaped quotes, and one
search at the end of a chunk is enough. Without a boundary (another order of keys, the last
item), `scan` walks through strings and brackets, some ten times slower.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from myna.sources._shared.files import ChatFile

CHUNK_BYTES = 2**19
"""Bytes read at a time: few, so that memory is reused. Results do not depend on it."""

BATCH_BYTES = 2**24
"""Bytes of a document that become one table, approximately."""

MAX_HEAD_BYTES = 64 * 2**20
"""A document whose list has not begun after so many bytes is lost."""

SEPARATORS = b", \t\r\n"
"""The bytes between items."""


MAX_ITEM_BYTES = 64 * 2**20
"""A document is lost from an item on that has more bytes: no message has, and it is not kept."""


class Piece(NamedTuple):
    """A stretch of the document: its kind, the offset of its first byte, its bytes.

    Of a stretch that is too long to be kept, `left_out` bytes follow those in `data`.
    """

    kind: Literal["head", "items", "tail", "lost"]
    start: int
    data: bytes
    left_out: int = 0

    @property
    def end(self) -> int:
        """The offset after its last byte."""
        return self.start + len(self.data) + self.left_out


class Scan(NamedTuple):
    """The complete items, the end of the last one, and the offset and reason of the stop."""

    items: list[tuple[int, int]]
    end: int
    stopped: int
    reason: Literal["closed", "short", "damaged"]


# A string up to, and not with, its closing quote; JSON allows no control characters in it.
# The quantifiers are possessive: no input makes them go back, so all is linear in time.
# Groups are not possessive: before Python 3.11.5 those go wrong. They cannot match in
# two ways, so nothing is tried twice.
_STRING = rb'"[^"\\\x00-\x1f]*+(?:\\[^\x00-\x1f][^"\\\x00-\x1f]*+)*'
_BEGUN_STRING = re.compile(_STRING + rb"\\?")
_BETWEEN_BRACKETS = re.compile(
    rb"(?:[\s,:]++|(?:[0-9A-Za-z.+-]++|" + _STRING + rb'")(?![^\s,:\]}]))*'
)
_CLOSING = {ord("{"): ord("}"), ord("["): ord("]")}
_OBJECT = re.compile(rb"\{\s*" + _STRING + rb'"\s*:')
_FIRST_KEY = re.compile(rb"[\s,]*\{\s*(" + _STRING + rb'")\s*:')


def scan(data: bytes) -> Scan:
    """Find the complete objects in `data`, which are separated by commas.

    It stops at the bracket that closes the list around them (``closed``), at the end of
    the data (``short``), or at bytes that are not JSON (``damaged``).
    """
    items: list[tuple[int, int]] = []
    due = bytearray()  # the closing brackets that are due, the next one last
    begin = end = position = 0
    while True:
        if plain := _BETWEEN_BRACKETS.match(data, position):
            position = plain.end()
        if position == len(data):
            return Scan(items, end, position, "short")
        byte = data[position]
        if byte in _CLOSING:
            begin = begin if due else position
            due.append(_CLOSING[byte])
        elif due and byte == due[-1]:
            due.pop()
            if not due:
                end = position + 1
                items.append((begin, end))
        elif not due and byte == ord("]"):
            return Scan(items, end, position, "closed")
        else:
            begun = _BEGUN_STRING.match(data, position)
            cut_off = begun is not None and begun.end() == len(data)
            return Scan(items, end, position, "short" if cut_off else "damaged")
        position += 1


class ListPattern(NamedTuple):
    """The patterns by which a kind of document is cut.

    Attributes:
        key: the list's name. A document without such a list is ``lost``.
        boundary: matches the comma before an item, with a lookahead for the item's beginning.
        ending: matches from the list's closing bracket to the document's end, and never in
            a document that breaks off.
        has_many_lists: True if the document may hold more than one such list.
    """

    key: bytes
    boundary: re.Pattern[bytes]
    ending: re.Pattern[bytes]
    has_many_lists: bool = False


def pieces(stream: BinaryIO, shape: ListPattern) -> Iterator[Piece]:
    """Cut a document into pieces, which hold all of it but separators."""
    begun = yield from _head(stream, shape, 0, stream.read(CHUNK_BYTES), "lost")
    if begun:
        yield from _lists(stream, shape, *begun)


def documents_around(stream: BinaryIO, shape: ListPattern) -> Iterator[bytes]:
    """The head and the tails of a document, each as JSON of its own without the list's items."""
    for piece in pieces(stream, shape):
        if piece.kind == "head":
            yield piece.data.removeprefix(b"\xef\xbb\xbf") + b"]}"
        elif piece.kind == "tail":
            yield b"{" + piece.data.lstrip(SEPARATORS)


def pieces_from(stream: BinaryIO, shape: ListPattern, start: int) -> Iterator[Piece]:
    """Cut the rest of a document, from the beginning of an item on."""
    stream.seek(start)
    yield from _lists(stream, shape, start, stream.read(CHUNK_BYTES))


def _lists(stream: BinaryIO, shape: ListPattern, start: int, buffer: bytes) -> Iterator[Piece]:
    """The pieces of one list after the other, with those between and behind them."""
    begun: tuple[int, bytes] | None = (start, buffer)
    while begun and (ended := (yield from _items(stream, shape, *begun))):
        begun = yield from _head(stream, shape, *ended, "tail")


def _head(
    stream: BinaryIO,
    shape: ListPattern,
    start: int,
    buffer: bytes,
    otherwise: Literal["lost", "tail"],
) -> Generator[Piece, None, tuple[int, bytes] | None]:
    """Yield the piece up to a list and return what follows; `otherwise` if no list begins."""
    is_last = otherwise == "tail" and not shape.has_many_lists
    more = buffer
    while is_last or (head := _opening(shape).search(buffer)) is None:
        more = _more(stream, buffer)
        buffer += more
        if not more or len(buffer) > MAX_HEAD_BYTES:
            yield Piece(otherwise, start, buffer, _count_rest(stream) if more else 0)
            return None
    yield Piece("head", start, buffer[: head.end()])
    return start + head.end(), buffer[head.end() :]


def split_at_items(
    stream: BinaryIO, shape: ListPattern, begin: int, end: int, step: int
) -> Iterator[range]:
    """Split a large list into stretches of whole items of some `step` bytes each.

    Only the edges are read. The last stretch is empty: `pieces_from` goes on at its start.
    """
    while begin + 2 * step < end:
        at = begin + step
        stream.seek(at)
        window = stream.read(CHUNK_BYTES)
        while (edge := shape.boundary.search(window)) is None:
            more = _more(stream, window)
            window += more
            if not more or len(window) > step:
                break
        if edge is None:
            break
        yield range(begin, at + edge.start())
        begin = at + edge.end()
    yield range(begin, begin)


def _opening(shape: ListPattern) -> re.Pattern[bytes]:
    """The beginning of the list, as a pattern that `re` caches."""
    return re.compile(rb'"' + re.escape(shape.key) + rb'"\s*:\s*\[')


def _items(
    stream: BinaryIO, shape: ListPattern, start: int, buffer: bytes
) -> Generator[Piece, None, tuple[int, bytes] | None]:
    """Yield the pieces of one list and return what follows it, or None at the end."""
    has_boundaries = False  # seen in this document
    more = b"more"  # until the stream ends
    while True:
        following = _opening(shape).search(buffer) if shape.has_many_lists else None
        last = _last(shape.boundary, buffer, following.start() if following else len(buffer))
        if last:
            has_boundaries = True
            yield Piece("items", start, buffer[: last.start()])
            start, buffer = start + last.end(), buffer[last.end() :]
            if following is None:
                more = _more(stream, buffer)
                buffer += more
            continue
        result = scan(buffer)
        if result.items:
            first = result.items[0][0]
            yield Piece("items", start + first, buffer[first : result.end])
            start, buffer = start + result.end, buffer[result.end :]
        rest = result.stopped - result.end
        if result.reason == "closed":
            return start + rest + 1, buffer[rest + 1 :]
        is_damaged = result.reason == "damaged"
        ahead = (
            _before_next_list(shape, buffer, rest) if is_damaged and shape.has_many_lists else None
        )
        if is_damaged and not has_boundaries and (resume := _next_item(buffer[:ahead], rest)):
            yield Piece("items", start, buffer[: resume.start()])
            start, buffer = start + resume.end(), buffer[resume.end() :]
        elif ahead is not None:
            yield Piece("items", start, buffer[:ahead])
            return start + ahead + 1, buffer[ahead + 1 :]
        elif more and len(buffer) <= MAX_ITEM_BYTES:
            more = _more(stream, buffer)
            buffer += more
        elif not more and (closing := shape.ending.search(buffer)):
            yield Piece("items", start, buffer[: closing.start()])
            yield Piece("tail", start + closing.start() + 1, buffer[closing.start() + 1 :])
            return None
        else:
            left = buffer.lstrip(SEPARATORS)
            rest = _count_rest(stream) if more else 0
            yield Piece("lost", start + len(buffer) - len(left), left, rest)
            return None


def _count_rest(stream: BinaryIO) -> int:
    """The bytes up to the stream's end, which are read and not kept."""
    count = 0
    while block := stream.read(CHUNK_BYTES):
        count += len(block)
    return count


def _more(stream: BinaryIO, buffer: bytes) -> bytes:
    """The next bytes: at least as many as are buffered, so that long items stay linear."""
    return stream.read(max(CHUNK_BYTES, len(buffer)))


def _last(pattern: re.Pattern[bytes], data: bytes, end: int) -> re.Match[bytes] | None:
    """The last match before `end`, searched for in a window that grows until it has one."""
    reach = 8 * 1024
    while True:
        begin = max(0, end - reach)
        last = None
        for last in pattern.finditer(data, begin, end):  # noqa: B007 (only the last is wanted)
            pass
        if last is not None or begin == 0:
            return last
        reach *= 4


def _next_item(data: bytes, position: int) -> re.Match[bytes] | None:
    """The next item behind damage at `position` that begins with the first item's first key."""
    if (first := _FIRST_KEY.match(data)) is None:
        return None
    same = re.compile(rb",\s*(?=\{\s*" + re.escape(first[1]) + rb"\s*:)")
    return same.search(data, position)


def _before_next_list(shape: ListPattern, data: bytes, position: int) -> int | None:
    """The end, behind damage at `position`, of a list that another list follows."""
    if (opening := _opening(shape).search(data, position)) is None:
        return None
    begin = position
    for match in _OBJECT.finditer(data, position, opening.start()):
        begin = match.start()  # in the end, of the object around the other list
    closing = data.rfind(b"]", position, begin)
    return None if closing < 0 else closing


ItemBatch = list[Piece] | tuple[Path, range]
"""Pieces of items, or the path and the byte range that they are to be read from."""


def batches(
    file: ChatFile, stream: BinaryIO, shape: ListPattern, around: list[Piece]
) -> Iterator[ItemBatch]:
    """The document's items, some `BATCH_BYTES` at a time; the other pieces go to `around`.

    Of a large file on disk, only the edges of batches are read here.
    """
    rest = pieces(stream, shape)
    if file.local_path and file.size > 2 * BATCH_BYTES and not shape.has_many_lists:
        around.append(head := next(rest))
        if head.kind == "head":
            for span in split_at_items(stream, shape, head.end, file.size, BATCH_BYTES):
                if span:
                    yield file.local_path, span
            rest = pieces_from(stream, shape, span.stop)
    batch: list[Piece] = []
    size = 0
    for piece in rest:
        if piece.kind != "items":
            around.append(piece)
            continue
        batch.append(piece)
        size += len(piece.data)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def load_batch(batch: ItemBatch, shape: ListPattern) -> Iterator[Piece]:
    """The pieces of a batch, of some `CHUNK_BYTES` each: larger ones are decoded slower."""
    if isinstance(batch, list):
        yield from batch
        return
    path, span = batch
    with path.open("rb") as stream:
        start = stream.seek(span.start)
        buffer = b""
        while (after := start + len(buffer)) < span.stop:
            buffer += stream.read(min(max(CHUNK_BYTES, len(buffer)), span.stop - after))
            if last := _last(shape.boundary, buffer, len(buffer)):
                yield Piece("items", start, buffer[: last.start()])
                start, buffer = start + last.end(), buffer[last.end() :]
    yield Piece("items", start, buffer)
