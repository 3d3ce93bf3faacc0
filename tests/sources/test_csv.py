"""The records of tables in text."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from myna.sources import Tally, _csv

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"))


def rows(text: str, *names: str) -> tuple[list[dict[str, str]], Tally]:
    """The rows of a table whose first row has these names."""
    tally = Tally()
    header = _csv.header(text, lambda cells: set(names) <= set(cells))
    assert header is not None
    lines = io.StringIO(text, newline="")
    found = list(_csv.rows(lines, header, {name: name for name in names}, len(text), tally))
    return found, tally


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5), st.sampled_from(",;|"))
def test_what_was_written_is_read(cells: list[tuple[str, str]], delimiter: str) -> None:
    table = io.StringIO(newline="")
    writer = csv.writer(table, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b"), *cells])
    found, tally = rows(table.getvalue(), "a", "b")
    names = cells.count(("a", "b"))
    kept = [pair for pair in cells if any(pair) and pair != ("a", "b")]
    assert [(row["a"], row["b"]) for row in found] == kept
    assert tally.skipped == ({"repeated first row": names} if names else {})


def test_cells_have_the_names_that_are_asked_for() -> None:
    tally = Tally()
    header = _csv.header("x,when,y\n", lambda cells: len(cells) == 3)
    assert header == (",", ["x", "when", "y"])
    lines = ["x,when,y\n", "1,2,3\n"]
    assert list(_csv.rows(lines, header, {"time": "when"}, 0, tally)) == [{"time": "2"}]


def test_a_table_that_begins_otherwise_has_no_header() -> None:
    assert _csv.header("a,b\n", lambda cells: cells == ["c"]) is None
    assert _csv.header("", lambda _: False) is None


def test_a_line_cut_off_behind_an_open_quote_costs_no_other() -> None:
    found, tally = rows('a\tb\n"1\t2\n3\t4\n5', "a", "b")
    assert found == [{"a": '"1', "b": "2"}, {"a": "3", "b": "4"}]
    assert tally.notes == ["the file breaks off in line 4: that row is not read"]
    assert tally.unread_bytes == 1
