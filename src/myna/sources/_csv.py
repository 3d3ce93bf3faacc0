"""Tables in text, with any delimiter and any damage: their records, one by one."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from myna.sources import Tally


class Header(NamedTuple):
    """What stands between the cells of a table, and the cells of its first row."""

    delimiter: str
    names: list[str]


def header(text: str, is_header: Callable[[list[str]], object]) -> Header | None:
    """The first row of a table that begins with this text, if it is as wanted."""
    for line in re.split(r"\r\n?|\n", text, maxsplit=10)[:10]:
        found = [
            Header(delimiter, cells)
            for delimiter in ",;\t|"
            for cells in csv.reader([line], delimiter=delimiter)
            if is_header(cells)
        ]
        if found:
            return max(found, key=lambda header: len(header.names))
        # A table for Excel may say its delimiter in a line of its own.
        if line.strip() and not line.strip('"').startswith("sep="):
            return None
    return None


def rows(
    lines: Iterable[str], header: Header, columns: Mapping[str, str], size: int, tally: Tally
) -> Iterator[dict[str, str]]:
    """The rows of a table; those that are damaged are counted in the tally.

    Args:
        lines: the table's, with their ends.
        header: as `header` finds it; where it is repeated, parts were strung together.
        columns: names in the header, by the keys that the rows are to have.
        size: the table's, in bytes.
        tally: of the file.
    """
    places = [(key, header.names.index(name)) for key, name in columns.items()]
    width = len(header.names)
    begun = False
    for number, cells in _records(_Lines(lines), header.delimiter, size, tally):
        if cells == header.names:
            if begun:
                tally.skip("repeated first row", f"line {number}")
            begun = True
        elif begun and any(cells):
            if len(cells) < width or any(cells[width:]):
                tally.skip("damaged row", f"line {number}: {len(cells)} cells, not {width}")
            else:
                yield {key: cells[place] for key, place in places}


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
        self.taken = [first]
        self.returned.extendleft(reversed(rest))
        self.number -= len(rest)
        return first


def _records(
    lines: _Lines, delimiter: str, size: int, tally: Tally
) -> Iterator[tuple[int, list[str]]]:
    """Each record's first line's number, and its cells.

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
