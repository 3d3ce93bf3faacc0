"""DiscordChatExporter CSV: three dialects, and what a message without marks says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myna.errors import SourceError
from myna.sources import recognise

SOURCE = "discord_chat_exporter_csv"
KETTLE = f"{SOURCE}/Tea House - Rooms - kettle [1001].csv"
OLD = f"{SOURCE}/Direct Messages - Group - ada, bo [1002] (after 2019-06-01) [part 2].csv"
FIRST = "AuthorID,Author,Date,Content,Attachments,Reactions\n"
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="<\r\ufeff"))
DAY = "2024-03-01T08:00:00.0000000+00:00"


@pytest.fixture(scope="module")
def kettle(read, fixture_file) -> list[dict[str, Any]]:
    """The messages of the newest dialect."""
    table, tally = read(SOURCE, fixture_file(KETTLE))
    assert (tally.skipped, tally.notes, tally.unread_bytes) == ({}, [], 0)
    rows: list[dict[str, Any]] = table.to_dicts()
    return rows


def row(author: str = "ada", date: str = DAY, content: str = "tea", files: str = "") -> str:
    """A row as the exporter writes it."""
    cells = [cell.replace('"', '""') for cell in ("31", author, date, content, files, "")]
    return ",".join(f'"{cell}"' for cell in cells) + "\n"


def said(read, memory_file, rows: str, name: str = "kettle.csv") -> list[dict[str, Any]]:
    file = memory_file((FIRST + rows).encode(), name)
    found: list[dict[str, Any]] = read(SOURCE, file)[0].to_dicts()
    return found


class TestNewDialect:
    def test_the_place_is_in_the_files_name(self, kettle) -> None:
        keys = ("source", "space", "channel", "channel_id", "thread")
        assert {tuple(m[key] for key in keys) for m in kettle} == {
            ("discord", "Tea House", "kettle", "1001", None)
        }

    def test_a_cell_may_have_several_lines_and_quotes(self, kettle) -> None:
        assert kettle[1]["text"] == 'who wants tea? :teapot:\nthe "green", one; or\n\nthe black'
        assert (kettle[1]["author_id"], kettle[1]["author"]) == ("31", "ada_b")

    def test_times_are_iso_with_seven_decimals(self, kettle) -> None:
        assert kettle[1]["sent_at"] == datetime(2024, 3, 1, 8, 0, 1, 215527, tzinfo=UTC)
        assert kettle[2]["sent_at"] == datetime(2024, 3, 1, 6, 0, 5, 100000, tzinfo=UTC)
        assert not any(m["zone_assumed"] for m in kettle)

    def test_notices_are_known_by_their_text(self, kettle) -> None:
        system = [m["text"] for m in kettle if m["kind"] == "system"]
        assert system == ["Joined the server.", "Pinned a message."]

    def test_markup_that_was_not_formatted_is_resolved(self, kettle) -> None:
        assert kettle[2]["text"] == "@ada_b me! see https://example.org/tea"
        assert kettle[4]["text"] == "@unknown and @unknown: :leaf: in #channel"
        assert kettle[4]["mentions"] == [
            {"author_id": "31", "start": 0, "end": 8},
            {"author_id": "40", "start": 13, "end": 21},
        ]

    def test_attachments_are_named_after_their_addresses(self, kettle) -> None:
        assert [(f["kind"], f["name"]) for f in kettle[5]["attachments"]] == [
            ("image", "leaf.PNG"),
            ("voice", "voice-message.ogg"),
            ("gif", "pour.gif"),
        ]

    def test_commas_in_the_folder_of_downloads_are_no_ends(self, kettle) -> None:
        assert [(f["kind"], f["name"]) for f in kettle[6]["attachments"]] == [
            ("video", "steam-AB12C.mp4"),
            ("file", "blends-CD34E.pdf"),
        ]

    def test_a_message_may_be_empty_and_its_name_have_figures(self, kettle) -> None:
        assert (kettle[7]["text"], kettle[7]["kind"]) == ("", "text")
        assert (kettle[7]["author"], kettle[7]["handle"]) == ("kettlebot", "kettlebot")


class TestOldDialect:
    def test_semicolons_to_the_end_and_a_first_row_in_the_midst(self, read, fixture_file) -> None:
        table, tally = read(SOURCE, fixture_file(OLD))
        assert table["text"].to_list() == [
            "who wants tea?",
            'me!\nand "Peep"; too',
            "Added peep to the group.",
            "Started a call.",
            "morning",
        ]
        assert table["author"].to_list() == ["ada", "bo", "ada", "ada", "peep"]
        assert table["author_id"].to_list() == ["31", "32", "31", "31", "33"]
        assert table["kind"].to_list() == ["text", "text", "system", "call", "text"]
        assert table["sent_at"][3] == datetime(2019, 6, 27, 0, 5, tzinfo=UTC)
        assert table["zone_assumed"].all()
        assert table["space"].unique().to_list() == [""]
        assert table["channel"].unique().to_list() == ["ada, bo"]
        assert tally.skipped == {"repeated first row": 1}

    def test_commas_behind_rows_and_the_newest_first(self, read, fixture_file) -> None:
        table, tally = read(SOURCE, fixture_file(f"{SOURCE}/newest.csv"))
        assert table["text"][0] == "ok"
        assert table["position"].to_list() == [0, -1, -2, -3]
        assert table["sent_at"][3] == datetime(2021, 2, 28, 9, 5, tzinfo=UTC)
        assert table["channel"].unique().to_list() == ["newest"]
        assert table["kind"].to_list() == ["text", "call", "text", "text"]
        assert (tally.skipped, tally.notes) == ({}, [])

    def test_the_oldest_have_no_accounts(self, read, memory_file) -> None:
        data = b'Author;Date;Content;Attachments;\n"ada#0042";"26-Jun-17 06:26 PM";"tea";"";\n'
        file = memory_file(data)
        assert recognise(file).source == SOURCE
        table, _ = read(SOURCE, file)
        assert table.select("author_id", "author", "text").rows() == [("ada#0042", "ada", "tea")]


class TestNotices:
    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("Changed the channel name: tea, at last", "system"),
            ("Started a thread.", "system"),
            ("Removed bo from the group.", "system"),
            ("Left the group.", "system"),
            ("Started a call that lasted 1,234 minutes.", "call"),
            ("Started a call that lasted an hour.", "text"),
            ("Pinned a message. Twice", "text"),
            ("pinned a message.", "text"),
            ("Changed the channel name: tea\nat last", "text"),
        ],
    )
    def test_kinds(self, text: str, kind: str, read, memory_file) -> None:
        assert said(read, memory_file, row(content=text))[0]["kind"] == kind

    def test_on_a_server_there_are_no_groups(self, read, memory_file) -> None:
        name = "Tea House - kettle [1001].csv"
        found = said(read, memory_file, row(content="Added milk to the group."), name)
        assert found[0]["kind"] == "text"


class TestDates:
    def test_american_ones_have_the_month_first_where_nothing_tells(
        self, read, memory_file
    ) -> None:
        data = FIRST + row(date="3/4/2024 8:00\u202fAM") + row(date="3/4/2024 8:01\u202fPM")
        table, tally = read(SOURCE, memory_file(data.encode()))
        assert table["sent_at"].to_list() == [
            datetime(2024, 3, 4, 8, 0, tzinfo=UTC),
            datetime(2024, 3, 4, 20, 1, tzinfo=UTC),
        ]
        assert tally.notes == ["dates such as 3/4/2020 were read as the fourth of March"]

    def test_others_do_not(self, read, memory_file) -> None:
        _, tally = read(SOURCE, memory_file((FIRST + row(date="03/04/2024 08:00")).encode()))
        assert tally.notes == ["dates such as 3/4/2020 were read as the third of April"]


class TestDamage:
    @pytest.mark.parametrize("bad", ['"31","ada","tea"', '"31","ada', '"31","a"da","x","","",""'])
    def test_a_damaged_row_costs_no_other(self, bad: str, read, memory_file) -> None:
        data = FIRST + row(content="one") + bad + "\n" + row(content="two")
        table, tally = read(SOURCE, memory_file(data.encode()))
        assert table["text"].to_list() == ["one", "two"]
        assert tally.skipped == {"damaged row": 1}
        assert tally.examples["damaged row"].startswith("line 3: ")

    def test_a_longer_export_has_the_same_ids(self, read, memory_file) -> None:
        rows = row(content="tea") + row(content="tea") + row("bo", content="<@31>")
        short = [m["id"] for m in said(read, memory_file, rows)]
        longer = [m["id"] for m in said(read, memory_file, row("ada", "2020-01-01") + rows)]
        assert len(set(short)) == 3
        assert longer[1:] == short

    def test_no_messages(self, read, memory_file) -> None:
        _, tally = read(SOURCE, memory_file(FIRST.encode()))
        assert tally.notes == ["the export holds no messages"]

    def test_another_table_is_an_error(self, read, memory_file) -> None:
        with pytest.raises(SourceError, match="chat is no DiscordChatExporter CSV"):
            read(SOURCE, memory_file(b"author,text\nada,tea\n"))


class TestRecognition:
    @pytest.mark.parametrize("delimiter", [",", ";"])
    def test_by_all_columns(self, delimiter: str, memory_file) -> None:
        found = recognise(memory_file(FIRST.replace(",", delimiter).encode()))
        assert (found.source, found.confidence) == (SOURCE, 0.98)

    def test_not_by_some_among_others(self, memory_file) -> None:
        for first in (b"Author,Date,Content\n", b"Author,Date,Content,Attachments,Mood\n"):
            assert recognise(memory_file(first)).source == "csv_table"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, max_size=4))
def test_any_text_is_read_as_it_was_written(texts: list[str], read, memory_file) -> None:
    data = FIRST + "".join(row(content=text) for text in texts)
    table, tally = read(SOURCE, memory_file(data.encode()))
    assert table["text"].to_list() == texts
    assert not tally.skipped
