"""QQChatExporter's JSON."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myna.errors import SourceError
from myna.sources import load_source

GROUP = "qq_chat_exporter/group.json"


def test_messages(read, fixture_file) -> None:
    table, tally = read("qq_chat_exporter", fixture_file(GROUP))
    assert table.select("author", "kind", "text").rows() == [
        ("Ada", "text", "喝茶吗 :玫瑰:"),
        ("Bo", "text", "@Ada 好"),
        ("Bo", "text", "看"),
        ("Bo", "text", ""),
        ("Ada", "text", ""),
        ("Ada", "deleted", ""),
        ("Bo", "forward", "[聊天记录]"),
        ("系统消息", "system", "Peep加入了群聊"),
        ("Bo", "text", "@全体成员 开会"),
    ]
    files = [tuple(f.values()) for files in table["attachments"] for f in files]
    assert files == [
        *(("image", "a.jpg"), ("sticker", "哈哈"), ("voice", "b.silk"), ("file", "茶.pdf")),
    ]
    assert table["sent_at"][0] == datetime(2024, 5, 1, 9, tzinfo=UTC)
    assert not table["zone_assumed"].any()
    assert tally.me == "10001234"


def test_answers_and_mentions_are_by_id(read, fixture_file) -> None:
    table, _ = read("qq_chat_exporter", fixture_file(GROUP))
    answer = table.row(1, named=True)
    assert (answer["id"], answer["reply_to"]) == ("702", "701")
    assert answer["mentions"] == [{"author_id": "10001234", "start": 0, "end": 4}]
    assert table["mentions"][8].to_list() == []


def test_parts_have_their_chat_in_the_manifest(read, fixture_file) -> None:
    folder = "qq_chat_exporter/group_chunked_jsonl"
    table, tally = read("qq_chat_exporter", fixture_file(f"{folder}/chunks/chunk_0001.jsonl"))
    assert table.select("channel", "channel_id").row(0) == ("Bo", "10005678")
    assert table.height == 2
    assert tally.me == "10001234"
    found = load_source("qq_chat_exporter").recognise(fixture_file(f"{folder}/manifest.json"))
    assert not found.holds_messages


def test_version_4(read, fixture_file) -> None:
    table, _ = read("qq_chat_exporter", fixture_file("qq_chat_exporter/v4.json"))
    assert table.select("author_id", "text", "reply_to").rows() == [
        *(("10001234", "喝茶吗", None), ("10005678", "好", "1")),
    ]
    assert table["sent_at"][1] == datetime(2024, 5, 1, 9, 0, 20, tzinfo=UTC)
    assert table["attachments"][1].to_list() == [{"kind": "image", "name": "a.jpg"}]


def test_a_whole_last_line_needs_no_end(read, fixture_file, memory_file) -> None:
    path = fixture_file("qq_chat_exporter/group_chunked_jsonl/chunks/chunk_0001.jsonl").path
    table, tally = read("qq_chat_exporter", memory_file(path.read_bytes()[:-1], "a.jsonl"))
    assert table.height == 2
    assert not tally.unread_bytes
    table, tally = read("qq_chat_exporter", memory_file(path.read_bytes()[:-9], "a.jsonl"))
    assert table.height == 1
    assert tally.unread_bytes


@pytest.mark.parametrize("data", [b'{"chatInfo": {}}', b"{}"])
def test_another_file_is_an_error(data: bytes, read, memory_file) -> None:
    with pytest.raises(SourceError, match=r"a\.json is no export of QQChatExporter"):
        read("qq_chat_exporter", memory_file(data, "a.json"))
