"""Microsoft Teams, as Microsoft Graph lists its messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from myna.errors import SourceError
from myna.sources import load_source

CHAT = "teams/chat.json"


def test_messages_of_a_chat(read, fixture_file) -> None:
    table, tally = read("teams", fixture_file(CHAT))
    assert table.select("author", "kind", "text").rows() == [
        ("Bo", "text", "final"),
        ("Kettle", "text", "The kettle is hot <90°C>."),
        ("unknown", "call", "callEndedEventMessageDetail"),
        ("unknown", "system", "membersAddedEventMessageDetail"),
        ("Bo", "deleted", ""),
        ("Bo", "forward", ""),
        ("Ada", "text", "see"),
        ("Bo", "text", "@Ada yes 🍵\ntwo"),
        ("Ada", "text", "tea?"),
    ]
    assert table.filter(table["is_bot"])["author"].to_list() == ["Kettle"]
    assert table.filter(table["edited"])["text"].to_list() == ["final"]
    files = [tuple(f.values()) for files in table["attachments"] for f in files]
    assert files == [("file", "leaves.pdf"), ("voice", "b.mp4"), ("image", "")]
    assert table["sent_at"][8] == datetime(2024, 5, 1, 9, 0, 1, 120000, tzinfo=UTC)
    assert table.select("channel", "channel_id").row(0) == ("chat", "19:tea@thread.v2")
    assert not tally.notes


def test_an_answer_and_its_mention(read, fixture_file) -> None:
    table, _ = read("teams", fixture_file(CHAT))
    answer = table.row(7, named=True)
    assert answer["reply_to"] == table["id"][8]
    assert answer["mentions"] == [{"author_id": "u-ada", "start": 0, "end": 4}]


def test_a_channel_has_threads(read, fixture_file) -> None:
    table, _ = read("teams", fixture_file("teams/channel.json"))
    assert table.select("space", "author", "text").rows() == [
        *(("t-1", "Ada", "Cake\nWho brings cake?"), ("t-1", "Bo", "me"), ("t-1", "Ada", "good")),
    ]
    root = table["id"][0]
    assert table["thread"].to_list() == [None, root, root]
    assert table["reply_to"].to_list() == [None, root, root]


def test_a_damaged_message_costs_no_other(read, fixture_file, memory_file) -> None:
    data = fixture_file(CHAT).path.read_bytes().replace(b'"<p>tea?</p>"', b'["tea?"')
    table, tally = read("teams", memory_file(data, "chat.json"))
    assert table.height == 8
    assert tally.skipped or tally.unread_bytes


def test_a_chat_with_its_topic(read, memory_file) -> None:
    message = {"id": "1", "messageType": "message", "createdDateTime": "2024-05-01T09:00:00Z"}
    message |= {"body": {"contentType": "text", "content": "a"}, "from": None}
    data = json.dumps({"id": "19:x", "topic": "Tea House", "messages": [message]}).encode()
    assert load_source("teams").recognise(memory_file(data, "a.json")) is not None
    table, _ = read("teams", memory_file(data, "a.json"))
    assert table.select("channel", "channel_id").row(0) == ("Tea House", "19:x")


@pytest.mark.parametrize("data", [b'{"value": 1}', b"[1]", b"tea"])
def test_another_file_is_an_error(data: bytes, read, memory_file) -> None:
    file = memory_file(data, "a.json")
    assert load_source("teams").recognise(file) is None
    with pytest.raises(SourceError, match=r"a\.json is no export of Teams"):
        read("teams", file)


def test_reactions_are_counted(read, fixture_file) -> None:
    table, _ = read("teams", fixture_file(CHAT))
    assert table["reactions"][8].to_list() == [
        {"name": "like", "count": 2, "by": ["u-bo", "u-ada"]}
    ]
