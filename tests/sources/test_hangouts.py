"""Google Hangouts as Takeout exported it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myna.errors import SourceError
from myna.sources import load_source


def test_messages_of_all_conversations(read, fixture_file) -> None:
    table, tally = read("hangouts", fixture_file("hangouts/Hangouts.json"))
    assert table.select("channel", "author", "kind", "text").rows() == [
        ("Tea House", "Ada", "text", "tea?\nhttps://tea.example"),
        ("Tea House", "Bo", "text", "yes"),
        ("Tea House", "Bo", "text", ""),
        ("Tea House", "Ada", "call", "end hangout, 61 s"),
        ("Tea House", "Ada", "system", "join: Peep"),
        ("Tea House", "Ada", "system", "renamed: Tea House"),
        ("Tea House", "Peep", "text", "/me waves"),
        ("Bo", "Bo", "text", "only us"),
    ]
    assert table["channel_id"][7] == "Ugx2"
    assert table.select("id", "author_id").row(0) == ("7-1", "101")
    assert table["sent_at"][0] == datetime(2024, 5, 1, 9, tzinfo=UTC)
    files = [tuple(f.values()) for files in table["attachments"] for f in files]
    assert files == [("image", "a b.jpg"), ("gif", "")]
    assert tally.me == "101"
    assert not tally.notes


def test_the_older_form(read, fixture_file) -> None:
    table, tally = read("hangouts", fixture_file("hangouts/old.json"))
    assert table.select("channel", "author").rows() == [("Bo, Peep", "Ada"), ("Bo, Peep", "Bo")]
    assert not tally.notes


def test_a_damaged_event_costs_no_other(read, fixture_file, memory_file) -> None:
    data = fixture_file("hangouts/Hangouts.json").path.read_bytes()
    data = data.replace(b'"text": "yes"', b'"text": "yes')
    table, tally = read("hangouts", memory_file(data, "Hangouts.json"))
    assert table.height == 7
    assert tally.skipped == {"damaged message": 1}


def test_an_export_without_messages_is_whole(read, memory_file) -> None:
    data = b'{"conversations": [{"conversation": {}, "events": []}]}'
    table, tally = read("hangouts", memory_file(data, "Hangouts.json"))
    assert table.is_empty()
    assert tally.notes == ["the export holds no messages"]


def test_another_file_is_an_error(read, memory_file) -> None:
    file = memory_file(b'{"conversations": 1}', "a.json")
    assert load_source("hangouts").recognise(file) is None
    with pytest.raises(SourceError, match=r"a\.json is no export of Hangouts"):
        read("hangouts", file)
