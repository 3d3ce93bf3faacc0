"""CSV and TSV: delimiters, quotes, and damaged rows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myna.errors import SourceError


def test_semicolons_trailing_cells_lines_in_cells_and_repeated_headers(read, fixture_file) -> None:
    table, tally = read("csv_table", fixture_file("csv_table/semicolons.csv"))
    assert table["text"].to_list() == [
        "who wants tea?",
        'me!\nand "Peep"; too',
        "night",
        "morning",
    ]
    assert table["author"].to_list() == ["ada#0042", "bo#0001", "ada#0042", "ada#0042"]
    assert table["author_id"].to_list() == ["31", "32", "31", "31"]
    assert table["sent_at"][2] == datetime(2019, 6, 27, 0, 5, tzinfo=UTC)
    assert table["zone_assumed"].all()
    assert table["channel"].unique().to_list() == ["semicolons"]
    assert table["source"].unique().to_list() == ["generic"]
    assert table["position"].to_list() == [0, 1, 2, 3]
    assert table["id"].n_unique() == 4
    assert tally.skipped == {"repeated first row": 1}


def test_bars_excels_delimiter_line_and_a_clock_of_its_own(read, fixture_file) -> None:
    table, tally = read("csv_table", fixture_file("csv_table/bars.csv"))
    assert table["text"].to_list() == ["tea", "yes", "still here"]
    assert table["sent_at"].to_list() == [
        datetime(2024, 4, 3, 20, 15, tzinfo=UTC),
        datetime(2024, 4, 3, 20, 16, tzinfo=UTC),
        datetime(2024, 4, 4, 9, 5, tzinfo=UTC),
    ]
    assert tally.skipped == {"damaged row": 1}
    assert tally.examples == {"damaged row": "line 3: 5 cells, not 4"}
    assert tally.notes == []


def test_tabs_where_a_quote_is_only_a_quote(read, fixture_file) -> None:
    table, tally = read("csv_table", fixture_file("csv_table/tabs.tsv"))
    assert table["text"].to_list() == ['"Leaves" they said', '"no closing', "fine"]
    assert table["is_bot"].to_list() == [False, True, False]
    assert table["id"].to_list() == ["m1", "m2", "m3"]
    assert table["reply_to"].to_list() == [None, "m1", None]
    assert table["channel"].to_list() == ["kettle", "kettle", "cups"]
    assert table["sent_at"].to_list() == [
        datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        datetime(2023, 11, 14, 22, 13, 21, 500000, tzinfo=UTC),
        None,
    ]
    assert not table["zone_assumed"].any()
    assert tally.notes == ["1 times could not be read, the first: 'soon'"]


def test_a_quote_never_closed_costs_its_own_line(read, memory_file) -> None:
    rows = [f"ada,line {n}" for n in range(20_000)]
    rows[5] = 'ada,"open'
    rows[9] = 'bo,"closed" badly'
    data = "\n".join(["author,text", *rows, ""]).encode()
    table, tally = read("csv_table", memory_file(data))
    assert table.height == 19_998
    assert tally.skipped == {"damaged row": 2}
    assert tally.examples["damaged row"].startswith("line 7: ")


@pytest.mark.parametrize("bad", ["ada", "ada,tea,cake", 'ada,"tea"x', '"'])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_row_costs_no_other(bad: str, place: int, read, memory_file) -> None:
    rows = ["bo,one", "bo,two"]
    rows.insert(place, bad)
    data = "\r\n".join(["author,text", *rows, ""]).encode()
    table, tally = read("csv_table", memory_file(data))
    assert table["text"].to_list() == ["one", "two"]
    assert tally.skipped == {"damaged row": 1}
    assert tally.examples["damaged row"].startswith(f"line {place + 2}: ")


def test_a_table_without_rows_says_so(read, memory_file) -> None:
    table, tally = read("csv_table", memory_file(b"author,text,time\n"))
    assert table.is_empty()
    assert tally.notes == ["the export holds no messages"]


def test_dates_that_could_be_either_are_noted(read, memory_file) -> None:
    _, tally = read("csv_table", memory_file(b"author,text,date\nada,tea,3/4/2020\n"))
    assert tally.notes == ["dates such as 3/4/2020 were read as the third of April"]


def test_columns_without_names_are_an_error(read, memory_file) -> None:
    with pytest.raises(SourceError, match="chat has no column for the author or the text"):
        read("csv_table", memory_file(b"ada,2020,tea\n"))
