"""Any chat with one JSON object per line."""

from __future__ import annotations

from collections.abc import Iterator
from io import TextIOWrapper
from itertools import chain, islice
from typing import Any

import msgspec
import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table, rows
from myna.sources._shared.json_objects import decode_repaired
from myna.sources._shared.text import head_text, open_text

TITLE = "JSON lines"
READS = ("text", "replies", "threads", "edits", "system", "bots")

_OBJECT = msgspec.json.Decoder(dict[str, Any])


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by a line that is an object with an author and a text."""
    for line in head_text(file).split("\n")[:20]:
        try:
            names = rows.match_columns(_OBJECT.decode(line), file.columns)
        except (ValueError, RecursionError):
            continue
        if names:
            because = f"its lines have '{names['author']}' and '{names['text']}'"
            return Recognition("json_lines", 0.6, because)
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, one per line.

    Raises:
        SourceError: no line has an author and a text, or the file cannot be read.
    """
    with file.open() as stream, open_text(stream, file) as lines:
        objects = _objects(lines, file, tally)
        sample = list(islice(objects, message_table.DATE_SAMPLE_MESSAGES))
        present = dict.fromkeys(name for _, values in sample for name in values)
        names = rows.match_columns(present, file.columns)
        if names is None:
            raise SourceError(
                f"{file.location} has no lines with an author and a text: give each line an object "
                'such as {"author": "Ann", "time": "2024-01-31T20:15:00Z", "text": "hello"}'
            )
        if line := rows.no_time_note(present, names):
            tally.notes.append(line)
        for frame in rows.tables_from_rows(
            _rows(chain(sample, objects), names, tally), file, tally
        ):
            tally.bytes_done = stream.tell()
            yield frame
        tally.bytes_done = file.size


def _objects(
    lines: TextIOWrapper, file: ChatFile, tally: Tally
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects with their line numbers."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, decode_repaired(line.encode(), _OBJECT)
        except (ValueError, RecursionError) as error:
            if line.endswith(("\n", "\r")):
                tally.skip("damaged line", f"line {number}: {error}")
            else:
                tally.skip_bytes(max(0, file.size - _encoded_size(line, lines.encoding)), file.size)
                tally.notes.append(f"the file breaks off in line {number}")


def _encoded_size(line: str, encoding: str) -> int:
    """Bytes of a line in the file."""
    return len(line.encode("utf-16-le" if encoding.startswith("utf-16") else "utf-8"))


def _rows(
    objects: Iterator[tuple[int, dict[str, Any]]], names: dict[str, str], tally: Tally
) -> Iterator[rows.Row]:
    """Table rows from the objects; `names` maps columns to keys."""
    for number, values in objects:
        if isinstance(values.get(names["text"], 0), str | None):
            yield {column: _as_text(values.get(name)) for column, name in names.items()}
        else:
            tally.skip("no text", f"line {number}: '{names['text']}' is absent or no text")


def _as_text(value: Any) -> str:
    """A value as the text of a table cell."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else ""
