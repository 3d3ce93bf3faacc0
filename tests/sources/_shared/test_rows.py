"""The rows of CSV, and tables of named columns, whatever wrote them: as CSV and as JSON lines."""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.errors import SettingsError, SourceError
from myna.sources import ChatFile, Tally, parse_columns, recognise
from myna.sources._shared import message_table
from myna.sources._shared.message_table import ParsedMessage
from myna.sources._shared.rows import find_csv_header, match_columns, read_csv_rows

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"))


class TestColumns:
    @pytest.mark.parametrize("text", ["text", "Content", "MESSAGE", "body"])
    @pytest.mark.parametrize("author", ["author", "Sender", "from", "Name", "user"])
    @pytest.mark.parametrize("time", ["ts", "Time", "date", "Time Stamp", "created_at"])
    def test_are_known_by_many_names(self, text: str, author: str, time: str) -> None:
        assert match_columns([time, author, text]) == {"text": text, "author": author, "time": time}

    def test_the_surest_name_is_taken(self) -> None:
        names = ["User", "Message ID", "message", "text", "Author", "Author ID", "id", "isBot"]
        assert match_columns(names) == {
            "text": "text",
            "author": "Author",
            "author_id": "Author ID",
            "id": "id",
            "is_bot": "isBot",
        }

    def test_a_time_of_day_of_its_own_is_the_clock(self) -> None:
        found = match_columns(["date", "time", "from", "text"])
        assert found is not None
        assert (found["time"], found["clock"]) == ("date", "time")

    @pytest.mark.parametrize("names", [[], ["text"], ["author"], ["", "一"], ["size", "name"]])
    def test_without_an_author_and_a_text_there_is_no_chat(self, names: list[str]) -> None:
        assert match_columns(names) is None


class TestGivenColumns:
    DATA = b"who,said,body,when\nada,tea,x,1\n"

    def test_go_before_what_the_names_suggest(self, read, tmp_path) -> None:
        path = tmp_path / "t.csv"
        path.write_bytes(self.DATA)
        assert recognise(ChatFile(path)) is None
        file = ChatFile(path, columns=parse_columns("author=who, text=said,time=when"))
        found = recognise(file)
        assert found is not None
        table, _ = read(found.source, file)
        assert table.select("author", "text").rows() == [("ada", "tea")]
        assert table["sent_at"].to_list() == [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)]

    def test_of_objects(self, read, tmp_path) -> None:
        path = tmp_path / "t.jsonl"
        path.write_text('{"who": "ada", "said": "tea"}\n')
        table, _ = read("json_lines", ChatFile(path, columns={"author": "who", "text": "said"}))
        assert table.select("author", "text").rows() == [("ada", "tea")]

    @pytest.mark.parametrize("text", ["author", "authr=who", "", "author=who,x"])
    def test_a_slip_is_one_clear_line(self, text: str) -> None:
        with pytest.raises(SettingsError, match="write it as author=NAME,text=NAME"):
            parse_columns(text)


class TestIds:
    DATA = b"author,text,time\nada,tea,1\nada,tea,1\nbo,tea,1\nada,tea,2\n"

    def test_are_the_same_each_time_and_differ_within(self, read, memory_file) -> None:
        first, _ = read("csv_table", memory_file(self.DATA))
        again, _ = read("csv_table", memory_file(self.DATA + b"bo,more,3\n"))
        assert first["id"].n_unique() == 4
        assert again["id"].to_list()[:4] == first["id"].to_list()
        assert first["id"][1] == first["id"][0] + "-1"

    def test_do_not_depend_on_batches(self, read, memory_file, monkeypatch) -> None:
        expected, _ = read("csv_table", memory_file(self.DATA))
        monkeypatch.setattr(message_table, "TABLE_ROWS", 1)
        monkeypatch.setattr(message_table, "DATE_SAMPLE_MESSAGES", 2)
        assert read("csv_table", memory_file(self.DATA))[0].equals(expected)

    def test_memory_of_earlier_messages_is_bounded(self, monkeypatch) -> None:
        monkeypatch.setattr(message_table, "MAX_REMEMBERED", 10)
        ids = message_table.MessageIds()
        again = ParsedMessage("ada", "again", None, "tea")
        assert [ids.new(again) for _ in range(3)][2].endswith("-2")
        for n in range(15):
            ids.new(again._replace(text=str(n)))
            assert ids.new(again).endswith(f"-{n + 3}")
        assert len(ids.recent) + len(ids.older) <= 20


texts = st.text(st.characters(exclude_categories=["Cs"]))
rows = st.lists(
    st.fixed_dictionaries(
        {
            "author": texts,
            "text": texts,
            "time": st.integers(0, 1_700_000_000).map(
                lambda s: datetime.fromtimestamp(s, UTC).isoformat()
            ),
            "is_bot": st.booleans(),
            "reply_to": st.none() | st.integers(0, 99).map(str),
        }
    ),
    min_size=1,
    max_size=6,
)


class TestRoundTrips:
    def check(self, written: list[dict[str, Any]], table: Any, tally: Tally) -> None:
        assert tally.skipped == {}
        assert table["text"].to_list() == [row["text"] for row in written]
        assert table["author"].to_list() == [row["author"] for row in written]
        times = [datetime.fromisoformat(row["time"]) for row in written]
        assert table["sent_at"].to_list() == times
        assert table["is_bot"].to_list() == [row["is_bot"] for row in written]
        assert table["reply_to"].to_list() == [row["reply_to"] for row in written]
        assert table["id"].n_unique() == len(written)

    @given(written=rows, delimiter=st.sampled_from(",;\t|"), all_quoted=st.booleans())
    @settings(max_examples=150)
    def test_csv(self, written, delimiter, all_quoted, read, memory_file) -> None:
        out = io.StringIO(newline="")
        quoting = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
        writer = csv.DictWriter(out, list(written[0]), delimiter=delimiter, quoting=quoting)
        writer.writeheader()
        writer.writerows(written)
        self.check(written, *read("csv_table", memory_file(out.getvalue().encode())))

    @given(written=rows, ascii_only=st.booleans())
    @settings(max_examples=100)
    def test_json_lines(self, written, ascii_only, read, memory_file) -> None:
        lines = [json.dumps(row, ensure_ascii=ascii_only) for row in written]
        self.check(written, *read("json_lines", memory_file("\n".join(lines).encode())))

    @given(data=st.binary(max_size=200), name=st.sampled_from(["csv_table", "json_lines"]))
    @settings(max_examples=150)
    def test_no_bytes_crash(self, data, name, read, memory_file) -> None:
        recognise(memory_file(data))
        head = b"author,text\n" if name == "csv_table" else b'{"author": "a", "text": "b"}\n'
        with suppress(SourceError):  # an unclear encoding
            read(name, memory_file(head + data))


def read_csv(text: str, *names: str) -> tuple[list[dict[str, str]], Tally]:
    """The rows of a table whose first row has these names."""
    tally = Tally()
    header = find_csv_header(text, lambda cells: set(names) <= set(cells))
    assert header is not None
    lines = io.StringIO(text, newline="")
    found = list(read_csv_rows(lines, header, {name: name for name in names}, len(text), tally))
    return found, tally


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5), st.sampled_from(",;|"))
def test_what_was_written_is_read(cells: list[tuple[str, str]], delimiter: str) -> None:
    table = io.StringIO(newline="")
    writer = csv.writer(table, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b"), *cells])
    found, tally = read_csv(table.getvalue(), "a", "b")
    names = cells.count(("a", "b"))
    kept = [pair for pair in cells if any(pair) and pair != ("a", "b")]
    assert [(row["a"], row["b"]) for row in found] == kept
    assert tally.skipped == ({"repeated first row": names} if names else {})


def test_cells_have_the_names_that_are_asked_for() -> None:
    tally = Tally()
    header = find_csv_header("x,when,y\n", lambda cells: len(cells) == 3)
    assert header == (",", ["x", "when", "y"])
    lines = io.StringIO("x,when,y\n1,2,3\n")
    assert list(read_csv_rows(lines, header, {"time": "when"}, 0, tally)) == [{"time": "2"}]


def test_a_table_that_begins_otherwise_has_no_header() -> None:
    assert find_csv_header("a,b\n", lambda cells: cells == ["c"]) is None
    assert find_csv_header("", lambda _: False) is None


def test_a_line_cut_off_behind_an_open_quote_costs_no_other() -> None:
    found, tally = read_csv('a\tb\n"1\t2\n3\t4\n5', "a", "b")
    assert found == [{"a": '"1', "b": "2"}, {"a": "3", "b": "4"}]
    assert tally.notes == ["the file breaks off in line 4: that row is not read"]
    assert tally.unread_bytes == 1


def test_a_line_or_row_over_the_limit_is_counted_and_the_rest_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("myna.sources._shared.rows.MAX_ROW_CHARS", 60)
    long_row = '"' + "x\n" * 40 + '",2\n'
    found, tally = read_csv(f"a,b\n1,2\n{'x' * 200},2\n3,4\n{long_row}5,6\n", "a", "b")
    assert (found[0], found[1]) == ({"a": "1", "b": "2"}, {"a": "3", "b": "4"})
    assert found[-1] == {"a": "5", "b": "6"}
    assert tally.skipped["line too long"] == 1
    assert tally.skipped["row too long"] >= 1
