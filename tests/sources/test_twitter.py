"""Direct messages in the archive of an account of X."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myna.errors import SourceError
from myna.sources import load_source

DIRECT = "twitter/data/direct-messages.js"
GROUP = "twitter/data/direct-messages-group.js"


def test_messages_of_all_conversations(read, fixture_file) -> None:
    table, tally = read("twitter", fixture_file(DIRECT))
    assert table.select("channel", "author", "author_id", "text").rows() == [
        ("102", "102", "102", "look"),
        ("102", "Ada", "101", "@ada_tea is me"),
        ("102", "102", "102", "yes https://tea.example"),
        ("102", "Ada", "101", "tea?"),
        ("900", "900", "900", "Welcome to the tea shop!"),
    ]
    files = [tuple(f.values()) for files in table["attachments"] for f in files]
    assert files == [("image", "a.jpg"), ("gif", "c.mp4")]
    assert table["is_bot"].to_list() == [False, False, False, False, True]
    assert table["edited"].to_list() == [False, True, False, False, False]
    assert table["mentions"][1].to_list() == [{"author_id": "101", "start": 0, "end": 8}]
    assert table["position"][:4].is_sorted(descending=True)  # the newest comes first
    assert table["sent_at"][3] == datetime(2024, 5, 1, 9, 0, 1, tzinfo=UTC)
    assert tally.me == "101"
    assert not tally.notes


def test_a_group_has_its_last_name(read, fixture_file) -> None:
    table, _ = read("twitter", fixture_file(GROUP))
    assert table.select("channel", "channel_id", "kind", "text").rows() == [
        ("Tea House", "777", "system", "participants leave 103"),
        ("Tea House", "777", "system", "conversation name update Tea House"),
        ("Tea House", "777", "text", "hello all"),
        ("Tea House", "777", "system", "join conversation 101, 102, 103"),
    ]
    assert table["position"].is_sorted(descending=True)


@pytest.mark.parametrize("name", ["account.js", "direct-message-headers.js"])
def test_files_without_texts_are_known(name: str, fixture_file) -> None:
    found = load_source("twitter").recognise(fixture_file(f"twitter/data/{name}"))
    assert (found.source, found.holds_messages) == ("twitter", False)


def test_an_archive_without_messages_is_whole(read, memory_file) -> None:
    data = b"window.YTD.direct_messages.part0 = [ ]"
    _, tally = read("twitter", memory_file(data, "direct-messages.js"))
    assert "the export holds no messages" in tally.notes
    assert not tally.unread_bytes


def test_a_damaged_message_costs_no_other(read, fixture_file, memory_file) -> None:
    data = fixture_file(DIRECT).path.read_bytes().replace(b'"tea?"', b'"tea?')
    table, tally = read("twitter", memory_file(data, "direct-messages.js"))
    assert table.height == 4
    assert tally.skipped == {"damaged message": 1}
    assert "has no account.js" in tally.notes[-1]


def test_another_file_is_an_error(read, memory_file) -> None:
    file = memory_file(b'window.YTD.tweets.part0 = [ {"tweet": {}} ]', "a.js")
    assert load_source("twitter").recognise(file) is None
    with pytest.raises(SourceError, match=r"a\.js is no archive of X"):
        read("twitter", memory_file(b"{}", "a.js"))


def test_reactions_are_counted(read, fixture_file) -> None:
    table, _ = read("twitter", fixture_file(DIRECT))
    assert table["reactions"][2].to_list() == [{"name": "like", "count": 1, "by": ["101"]}]
