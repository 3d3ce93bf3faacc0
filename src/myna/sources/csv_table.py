"""Any chat of one row a message: CSV, TSV, and with semicolons or bars."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally, _rows
from myna.sources._text import head_text, open_text

TITLE = "CSV or TSV"
READS = ("text", "replies", "threads", "edits", "system", "bots")


def recognise(file: ChatFile) -> Recognition | None:
    """By a first row that names an author and a text."""
    header = _header(head_text(file))
    names = _rows.columns(header[1]) if header else None
    if names is None:
        return None
    because = f"its first row has '{names['author']}' and '{names['text']}'"
    return Recognition("csv_table", 0.5, because)


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, one a row; a cell in quotes may go over several lines.

    Raises:
        SourceError: the first row does not name the columns, or the file cannot be read.
    """
    header = _header(head_text(file))
    if header is None:
        raise SourceError(
            f"{file.place} has no column for the author or the text: "
            "name the columns in the first line, such as author,time,text"
        )
    with file.open() as stream, open_text(stream, file.head) as text:
        lines = _Lines(text)
        rows = _rows_under(header[1], _records(lines, header[0], file.size, tally), tally)
        for frame in _rows.tables(rows, file, tally):
            tally.bytes_done = stream.tell()
            yield frame
        tally.bytes_done = file.size


def _header(text: str) -> tuple[str, list[str]] | None:
    """The delimiter and the names of the columns, from the first line that has both."""
    for line in re.split(r"\r\n?|\n", text, maxsplit=10)[:10]:
        found = [
            (delimiter, cells)
            for delimiter in ",;\t|"
            for cells in csv.reader([line], delimiter=delimiter)
            if _rows.columns(cells)
        ]
        if found:
            return max(found, key=lambda names: len(names[1]))
        # A table for Excel may say its delimiter in a line of its own.
        if line.strip() and not line.strip('"').startswith("sep="):
            return None
    return None


class _Lines:
    """Lines that can be given back, when what was begun with the first was no record."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = iter(lines)
        self.taken: list[str] = []
        self.returned: deque[str] = deque()
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.returned.popleft() if self.returned else next(self.lines)
        self.taken.append(line)
        self.number += 1
        # Tables that were strung together have marks in their midst.
        return line.removeprefix("\ufeff")

    def give_back(self) -> str:
        """Give back what was taken but for the first line, which is returned."""
        first, *rest = self.taken
        self.returned.extendleft(reversed(rest))
        self.number -= len(rest)
        return first


def _records(
    lines: _Lines, delimiter: str, size: int, tally: Tally
) -> Iterator[tuple[int, list[str]]]:
    """Each record's first line's number, and its cells; `size` is the file's in bytes.

    A quote that is never closed swallows lines up to the csv module's limit for a cell:
    then its line alone is the damaged one, and those behind it are read again.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.taken.clear()
        number = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            line = lines.give_back().rstrip("\r\n")
            if delimiter != "\t":
                tally.skip("damaged row", f"line {number}: {error}")
                continue
            # In tab-separated values a quote is a character like any other.
            cells = line.split("\t")
        if lines.taken[-1].endswith(("\n", "\r")):
            yield number, cells
        else:  # it may be cut off anywhere
            tally.lose(max(0, size - sum(len(line.encode()) for line in lines.taken)), size)
            tally.notes.append(f"the file breaks off in line {number}: that row is not read")


def _rows_under(
    header: list[str], records: Iterable[tuple[int, list[str]]], tally: Tally
) -> Iterator[_rows.Row]:
    """The cells by what they hold."""
    names = _rows.columns(header) or {}
    places = [(column, header.index(name)) for column, name in names.items()]
    begun = False
    for number, cells in records:
        if cells == header:
            if begun:
                tally.skip("repeated first row", f"line {number}")
            begun = True
        elif begun and any(cells):
            if len(cells) < len(header) or any(cells[len(header) :]):
                problem = f"line {number}: {len(cells)} cells, not {len(header)}"
                tally.skip("damaged row", problem)
            else:
                yield {column: cells[place] for column, place in places}
