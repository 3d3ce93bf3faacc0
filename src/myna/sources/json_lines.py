"""Any chat with one JSON object per line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import msgspec
import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table, rows
from myna.sources._shared.json_objects import decode_repaired
from myna.sources._shared.text import head_text, read_lines

TITLE = "JSON lines"
READS = ("text", "replies", "threads", "edits", "system", "bots")

_OBJECT = msgspec.json.Decoder(dict[str, Any])

MOST_CERTAIN = 0.6


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by a line that is an object with an author and a text."""
    for line in head_text(file).split("\n")[:20]:
        try:
            decoded = decode_repaired(line.encode(), _OBJECT)
            names = rows.match_columns(decoded, file.columns)
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
    objects = _objects(file, tally)
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
    yield from rows.tables_from_rows(_rows(chain(sample, objects), names, tally), file, tally)


def _objects(file: ChatFile, tally: Tally) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects with their line numbers."""
    for number, line in read_lines(file, tally, _is_object):
        if line.strip():
            try:
                yield number, decode_repaired(line.encode(), _OBJECT)
            except (ValueError, RecursionError) as error:
                tally.skip("damaged line", f"line {number}: {error}")


def _is_object(line: str) -> bool:
    """True for a whole object, which a last line without an end may be."""
    try:
        decode_repaired(line.encode(), _OBJECT)
    except (ValueError, RecursionError):
        return not line.strip()
    return True


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
