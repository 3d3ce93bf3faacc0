"""Any table with one message per row: CSV, TSV, or separated by semicolons or bars."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared.rows import (
    CsvHeader,
    find_csv_header,
    no_time_note,
    read_csv_rows,
    tables_from_rows,
)
from myna.sources._shared.rows import match_columns as table_columns
from myna.sources._shared.text import head_text, open_text

TITLE = "CSV or TSV"
READS = ("text", "replies", "threads", "edits", "system", "bots")

MOST_CERTAIN = 0.5


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by a first row that names an author and a text."""
    if head_text(file).lstrip("\ufeff \t\r\n").startswith(("{", "[")):
        return None  # JSON, whose names and commas may look like a row
    header = _header(file)
    names = table_columns(header.names, file.columns) if header else None
    if names is None:
        return None
    because = f"its first row has '{names['author']}' and '{names['text']}'"
    return Recognition("csv_table", 0.5, because)


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, one per row; a quoted cell may span several lines.

    Raises:
        SourceError: the first row does not name the columns, or the file cannot be read.
    """
    header = _header(file)
    if header is None:
        raise SourceError(
            f"{file.location} has no column for the author or the text: name the columns in the "
            "first line, such as author,time,text, or with --columns"
        )
    with file.open() as stream, open_text(stream, file) as text:
        columns = table_columns(header.names, file.columns) or {}
        if line := no_time_note(header.names, columns):
            tally.notes.append(line)
        rows = read_csv_rows(text, header, columns, file.size, tally)
        for frame in tables_from_rows(rows, file, tally):
            tally.bytes_done = stream.tell()
            yield frame
        tally.bytes_done = file.size


def _header(file: ChatFile) -> CsvHeader | None:
    """The first row, if it names an author and a text."""
    return find_csv_header(head_text(file), lambda names: table_columns(names, file.columns))
