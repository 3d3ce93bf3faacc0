"""Google Chat as Takeout exports it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from myna.errors import SourceError
from myna.sources import load_source

SPACE = "google_chat/Google Chat/Groups/Space AAAAtea/messages.json"
DIRECT = "google_chat/Google Chat/Groups/DM k6tea/messages.json"


def test_messages_of_a_space(read, fixture_file) -> None:
    table, tally = read("google_chat", fixture_file(SPACE))
    assert table.select("author", "kind", "text").rows() == [
        ("Ada", "text", "who wants tea? 🍵\nthere is oolong"),
        ("bo", "text", "me, @Ada"),
        ("bo", "text", "with milk"),
        ("Ada", "deleted", ""),
        ("bo", "text", ""),
        ("bo", "text", ""),
        ("Ada", "call", ""),
        ("Kettle", "text", "The kettle is hot."),
        ("Ada", "text", "with milk, really?"),
        ("unknown", "text", "from an account that is gone"),
    ]
    assert table.filter(table["edited"])["text"].to_list() == ["with milk"]
    assert table.filter(table["is_bot"])["author"].to_list() == ["Kettle"]
    assert not tally.notes


def test_an_answer_is_to_the_topic_or_to_what_it_quotes(read, fixture_file) -> None:
    table, _ = read("google_chat", fixture_file(SPACE))
    answers = table.filter(table["reply_to"].is_not_null())
    assert answers.select("text", "reply_to").rows() == [
        ("me, @Ada", "AAAAtea/t1/t1"),
        ("with milk, really?", "AAAAtea/t3/t3"),
    ]


def test_places_accounts_and_times(read, fixture_file) -> None:
    table, _ = read("google_chat", fixture_file(SPACE))
    columns = ("source", "channel", "channel_id", "author_id", "handle")
    assert table.select(columns).row(0) == (
        *("google_chat", "Tea House", "Space AAAAtea", "ada@tea.example", "ada@tea.example"),
    )
    assert table["sent_at"][0] == datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert not table["zone_assumed"].any()


def test_a_chat_without_a_list_of_members_is_named_after_its_folder(read, fixture_file) -> None:
    table, _ = read("google_chat", fixture_file(DIRECT))
    assert table.select("channel", "channel_id").row(0) == ("DM k6tea", "DM k6tea")
    assert table["sent_at"].to_list() == [
        datetime(2016, 11, 3, 11, 59, 50, tzinfo=UTC),
        datetime(2016, 11, 3, 13, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    ("info", "channel"),
    [(b'{"members": [{"name": "a"}, {"email": "b@c"}]}', "a, b@c"), (b'{"name": 1}', "kettle")],
)
def test_the_name_of_a_chat(info: bytes, channel: str, read, fixture_file, memory_file, tmp_path):
    folder = tmp_path / "kettle"
    folder.mkdir()
    (folder / "group_info.json").write_bytes(info)
    data = fixture_file(DIRECT).path.read_bytes()
    table, _ = read("google_chat", memory_file(data, str(folder / "messages.json")))
    assert table.select("channel", "channel_id").row(0) == (channel, "k6tea")


def test_attachments(read, fixture_file) -> None:
    table, _ = read("google_chat", fixture_file(SPACE))
    assert [tuple(f.values()) for files in table["attachments"] for f in files] == [
        ("image", "steam.png"),
        ("video", "File-1?account_id=3.mp4"),
        ("gif", "pour.gif"),
        ("voice", "hum.m4a"),
    ]


@pytest.mark.parametrize(
    "name", ["Groups/Space AAAAtea/group_info.json", "Users/User 31/user_info.json"]
)
def test_lists_of_members_are_known(name: str, fixture_file) -> None:
    found = load_source("google_chat").recognise(fixture_file(f"google_chat/Google Chat/{name}"))
    assert (found.source, found.holds_messages) == ("google_chat", False)


def test_a_damaged_message_costs_no_other(read, memory_file) -> None:
    parts = [{"text": "a"}, {"text": ["b"]}, {"text": "c"}]
    data = {"messages": [{"creator": {"name": "ada"}, **part} for part in parts]}
    table, tally = read("google_chat", memory_file(json.dumps(data).encode()))
    assert table["text"].to_list() == ["a", "c"]
    assert tally.skipped == {"damaged message": 1}


def test_no_messages_are_told_of(read, memory_file) -> None:
    _, tally = read("google_chat", memory_file(b'{"messages": []}'))
    assert tally.notes == ["the export holds no messages"]


@pytest.mark.parametrize("data", [b'{"tea": []}', b"tea", b"[]"])
def test_another_file_is_an_error(data: bytes, read, memory_file) -> None:
    assert load_source("google_chat").recognise(memory_file(data, "messages.json")) is None
    with pytest.raises(SourceError, match=r"messages\.json is not an export of Google Chat"):
        read("google_chat", memory_file(data, "messages.json"))
