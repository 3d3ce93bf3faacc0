"""Journals and essays, in the forms that people give them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myna.errors import SourceError
from myna.sources import ChatFile, recognise
from myna.sources._shared.text import UNENDED

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)


def entries(table: pl.DataFrame) -> list[tuple[datetime | None, str | None, str]]:
    assert set(table["kind"]) == {"entry"}
    rows: list[tuple[datetime | None, str | None, str]]
    rows = table.select("sent_at", "thread", "text").rows()
    return rows


class TestOneEntryAFile:
    def test_named_after_its_day_with_pictures(self, read, fixture_file) -> None:
        table, tally = read("journal", fixture_file("journal/diary/2024-05-01.md"))
        text = "Rain all day, and the kettle sang;\nbo came late and left early\n\nNo cake."
        assert entries(table) == [(at(2024, 5, 1), None, text)]
        pictures = [tuple(picture.values()) for picture in table["attachments"][0]]
        assert pictures == [("image", "pot.jpg"), ("image", "cup.png")]
        assert table.select("author", "author_id", "channel").row(0) == ("Me", "me", "diary")
        assert tally.me == "me"

    def test_a_heading_is_its_prompt(self, read, fixture_file) -> None:
        table, _ = read("journal", fixture_file("journal/diary/20240502 Cake.txt"))
        text = "Today there was cake; ada made it — käse, of all things."
        assert entries(table) == [(at(2024, 5, 2), "Cake", text)]

    def test_front_matter(self, read, fixture_file) -> None:
        table, tally = read("journal", fixture_file("journal/essays/tea.md"))
        assert entries(table) == [
            (at(2024, 5, 3, 19, 30), "Why tea", "Because it is warm\nand takes its time.")
        ]
        assert table.select("author", "author_id").row(0) == ("Ada", "Ada")
        assert tally.me is None

    @pytest.mark.parametrize("line", ["Prompt: Why tea?", "**Prompt:** Why tea?", "# Why tea?"])
    def test_prompts(self, line: str, read, memory_file) -> None:
        table, _ = read("journal", memory_file(f"\n{line}\n\nIt is warm.\n".encode(), "a.txt"))
        assert entries(table) == [(None, "Why tea?", "It is warm.")]

    def test_prose_without_a_day_is_an_entry_only_on_demand(self, read, memory_file) -> None:
        file = memory_file(b"# Read me\n\nHow to make tea.\n\n---\n\nBoil water.\n", "README.md")
        assert recognise(file) is None
        table, _ = read("journal", file)
        assert entries(table) == [(None, "Read me", "How to make tea.\n\n---\n\nBoil water.")]

    @pytest.mark.parametrize("front", ["---\n", "---\nI say: tea is fine.\nAnd so does bo\n"])
    def test_a_line_is_no_front_matter(self, front: str, read, memory_file) -> None:
        table, _ = read("journal", memory_file(f"{front}Tea\nfor two.\n".encode(), "a.md"))
        assert table["text"].to_list() == [f"{front}Tea\nfor two."]

    def test_front_matter_that_does_not_end_is_said(self, read, memory_file) -> None:
        table, tally = read("journal", memory_file(b"---\ntitle: Tea\ndate: 2024-05-01\n", "a.md"))
        assert table.height == 0
        assert tally.skipped == {"front matter that does not end": 1}


class TestManyEntriesAFile:
    def test_under_headings(self, read, fixture_file) -> None:
        table, tally = read("journal", fixture_file("journal/many/diary.md"))
        assert entries(table) == [
            (at(2024, 5, 1), "Rain", "Rain all day\nand no tea."),
            (at(2024, 5, 2, 21, 30), "Cake", "Cake!"),
            (at(2024, 5, 4), None, "On 2024-05-01 it rained, but\n2024-05-02 was dry."),
        ]
        assert tally.skipped == {"entry without words": 2}
        assert tally.examples == {"entry without words": "line 1: My diary"}

    def test_under_lines(self, read, fixture_file) -> None:
        table, _ = read("journal", fixture_file("journal/many/lines.txt"))
        assert entries(table) == [
            (at(2024, 5, 1), None, "Rain."),
            (at(2024, 5, 2), None, "Cake\nand tea."),
            (at(2025, 5, 1), None, "Rain again."),
            (at(2025, 5, 2), None, "A year on."),
        ]

    def test_under_mynas_own_signs(self, read, fixture_file) -> None:
        table, _ = read("journal", fixture_file("journal/essays/signs.txt"))
        assert entries(table) == [
            (None, "What do you fear?", "A cold cup."),
            (at(2024, 5, 4), None, "Nothing much."),
            (None, "And hope?", "Cake."),
        ]

    @pytest.mark.parametrize(
        "line",
        [
            *("2024-05-01", "2024/5/1", "[2024-05-01]", "# 2024.05.01", "## 2024-05-01 Wed"),
            *("Wednesday, 1 May 2024", "Wed 1st May 2024", "May 1, 2024", "MAY 1st 2024:"),
            *("### 1 of May 2024", "2024-05-01 (Wednesday)", "__2024-05-01__", "#### 13.5.2024"),
        ],
    )
    def test_lines_that_are_days(self, line: str, read, memory_file) -> None:
        table, _ = read("journal", memory_file(f"{line}\nTea.\n".encode(), "a.txt"))
        day = at(2024, 5, 13) if "13" in line else at(2024, 5, 1)
        assert entries(table) == [(day, None, "Tea.")]

    @pytest.mark.parametrize(
        "line",
        [
            *("On 1 May 2024", "1 May 2024 was dry", "2024-05-01 - dry", "2024-05-012", "1.5"),
            *("## [1.0.0] - 2024-05-01", "[2024-05-01 10:00:01] ada: tea?", "maybe 1, 2024"),
        ],
    )
    def test_lines_that_are_words(self, line: str, read, memory_file) -> None:
        table, _ = read("journal", memory_file(f"First,\n{line}\nTea.\n".encode(), "a.txt"))
        assert entries(table) == [(None, None, f"First,\n{line}\nTea.")]


class TestJsonLines:
    def test_fields_and_damage(self, read, fixture_file) -> None:
        table, tally = read("journal", fixture_file("journal/diary.jsonl"))
        assert entries(table) == [
            (at(2024, 5, 1), None, "Rain.\nNo tea."),
            (at(2024, 5, 2), "Joy", "Cake."),
            (None, None, "No day."),
            (at(2024, 5, 6, 21, 30), "Why tea?", "It is warm."),
        ]
        assert tally.skipped == {"entry without words": 1, "no text": 1, "damaged line": 1}
        assert tally.examples["no text"] == "line 6: none of text, entry, content, body"

    def test_one_author_and_days_without_times_are_a_journal(self, read, fixture_file) -> None:
        file = fixture_file("journal/named.jsonl")
        found = recognise(file)
        assert found is not None
        assert found.source == "journal"
        table, tally = read("journal", file)
        assert table["author"].to_list() == ["Ada L", "Ada L"]
        assert table["sent_at"][0] == at(1660, 1, 11)
        assert tally.me is None

    @pytest.mark.parametrize(
        "lines",
        [
            b'{"date": "2024-05-01", "author": "ada", "text": "tea?"}\n'
            b'{"date": "2024-05-01", "author": "bo", "text": "yes"}\n',
            b'{"date": "2024-05-01T12:00:00Z", "author": "ada", "text": "tea?"}\n',
            b'{"date": "2024-05-01", "author": "ada", "text": "tea?", "channel": "kettle"}\n',
            b'{"date": "2024-05-01", "sender": "ada", "text": "tea?"}\n',
        ],
    )
    def test_chats_are_not(self, lines: bytes, memory_file) -> None:
        found = recognise(memory_file(lines, "chat.jsonl"))
        assert found is not None
        assert found.source == "json_lines"

    def test_no_text_at_all_is_an_error(self, read, memory_file) -> None:
        with pytest.raises(SourceError, match="no line has a text"):
            read("journal", memory_file(b'{"a": 1}\n'))


@pytest.mark.parametrize(
    ("last", "is_sentence"),
    [
        *(("Tea.", True), ("“Tea?”", True), ("(Tea!)", True), ("*Tea…*", True), ("お茶。", True)),
        *(("Tea", False), ("Tea,", False), ("(Tea.", False), ("…", False), ("- [x](a.", False)),
    ],
)
def test_a_last_line_without_an_end_is_noted_unless_it_ends_a_sentence(
    last: str, is_sentence: bool, read, memory_file
) -> None:
    table, tally = read("journal", memory_file(f"First\n{last}".encode(), "a.md"))
    assert table["text"].to_list() == [f"First\n{last}"]
    assert (tally.unread_bytes, tally.skipped) == (0, {})
    assert tally.notes == ([] if is_sentence else [UNENDED])


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf\n"])
def test_nothing_is_an_error(data: bytes, read, memory_file) -> None:
    with pytest.raises(SourceError, match="it has no text"):
        read("journal", memory_file(data, "a.md"))


@given(
    days=st.lists(st.dates(date(1501, 1, 1), date(2442, 12, 31)), min_size=1, max_size=4),
    words=st.text(st.characters(categories=["L", "P", "Zs"], exclude_characters="#*_[!-")),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(days, words: str, read, memory_file) -> None:
    text = f"I say: {words}\n\n{words} and so on."
    data = "".join(f"## {day}\n\n{text}\n\n" for day in days)
    table, _ = read("journal", memory_file(data.encode(), "a.md"))
    assert table["text"].to_list() == [text] * len(days)
    assert [time.date() for time in table["sent_at"]] == days


@pytest.mark.skipif(not (DATA / "pepys.jsonl").exists(), reason="needs the diary of Pepys")
def test_a_real_diary(read) -> None:
    file = ChatFile(DATA / "pepys.jsonl")
    found = recognise(file)
    assert found is not None
    assert found.source == "journal"
    table, tally = read("journal", file)
    assert table.height == 1085
    assert not tally.skipped
    assert set(table["author"]) == {"Samuel Pepys"}
    assert table["sent_at"].null_count() == 2
    assert table["sent_at"].min() == at(1660, 1, 11)
