"""Matrix rooms, as the client-server API lists them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myna.errors import SourceError
from myna.sources import load_source

BACKWARDS = "matrix_messages/backwards.json"


def test_messages_of_a_room(read, fixture_file) -> None:
    table, tally = read("matrix_messages", fixture_file(BACKWARDS))
    assert table.select("author", "kind", "text").rows() == [
        ("kettle", "text", "The kettle is hot."),
        ("Bo", "call", "m.call.invite"),
        ("Ada", "text", ""),
        ("Ada", "text", ""),
        ("Bo", "text", ""),
        ("Ada", "deleted", ""),
        ("Bo", "text", "at three"),
        ("Bo", "text", "in a thread"),
        ("Bo", "text", "yes, @Ada"),
        ("Ada", "text", "tea?"),
        ("Bo", "system", "m.room.member join"),
        ("Ada", "system", "m.room.name"),
    ]
    assert table.select("channel", "channel_id").row(0) == ("Tea House", "!tea:x.org")
    assert table["position"].is_sorted(descending=True)
    assert table["sent_at"][9] == datetime(2024, 5, 1, 9, 0, 4, tzinfo=UTC)
    assert table.filter(table["edited"])["text"].to_list() == ["at three"]
    assert table["thread"][7] == "$e5"
    assert table["reply_to"][8] == "$e4"
    assert table["reactions"][8].to_list() == [{"name": "🍵", "count": 1, "by": ["@ada:x.org"]}]
    assert tally.skipped == {"message that could not be decrypted": 1}


def test_oldest_first(read, fixture_file) -> None:
    table, _ = read("matrix_messages", fixture_file("matrix_messages/forwards.json"))
    assert table.select("channel", "author", "position").rows() == [
        *(("forwards", "ada", 0), ("forwards", "bo", 1)),
    ]


def test_an_export_of_element_is_not_a_list_of_the_api(fixture_file, memory_file) -> None:
    recognise = load_source("matrix_messages").recognise
    assert recognise(fixture_file("element/export.json")) is None
    assert recognise(memory_file(b'{"chunk": []}', "a.json")) is None


@pytest.mark.parametrize("data", [b'{"tea": []}', b"tea"])
def test_another_file_is_an_error(data: bytes, read, memory_file) -> None:
    with pytest.raises(SourceError, match=r"a\.json is no list of Matrix events"):
        read("matrix_messages", memory_file(data, "a.json"))
