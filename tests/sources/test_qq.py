"""QQ's own text exports."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myna.sources import load_source
from myna.sources._shared.text import UNENDED


def _read(text: str, read, memory_file, name: str = "chat.txt"):
    return read("qq", memory_file(text.encode(), name))


def test_messages_of_a_group(read, fixture_file) -> None:
    table, tally = read("qq", fixture_file("qq/茶馆.txt"))
    assert table.select("author", "author_id", "kind", "text").rows() == [
        ("Ada", "10001234", "text", "喝茶吗"),
        (
            *("Bo", "bo@example.org", "text"),
            "好\n2024-05-01 09:00:00 Ada(10001234)\n这是引用\n\n两点",
        ),
        ("Ada", "10001234", "text", "看 这个"),
        ("Bo", "bo@example.org", "text", ""),
        ("", "", "system", "Peep加入本群。"),
        ("Bo", "bo@example.org", "deleted", ""),
        ("Peep", "Peep", "text", "大家好"),
    ]
    assert [f["kind"] for files in table["attachments"] for f in files] == ["image", "sticker"]
    assert table["channel"][0] == "茶馆"
    assert table["sent_at"][0] == datetime(2024, 5, 1, 9, tzinfo=UTC)
    assert table["zone_assumed"].all()
    assert not tally.skipped


def test_an_export_of_all_chats(read, fixture_file) -> None:
    table, _ = read("qq", fixture_file("qq/all.txt"))
    assert table["channel"].to_list() == ["Bo", "Bo", "Peep"]
    assert table["kind"].to_list() == ["text", "call", "text"]
    assert table["text"].to_list() == ["", "[语音通话] 通话时长 03:20", "早"]


def test_a_last_line_without_an_end_is_read_and_noted(read, memory_file) -> None:
    text = "2024-05-01 09:00:00 Ada(10001234)\n喝茶吗\n\n2024-05-01 09:00:20 Bo(10005678)\n好"
    table, tally = _read(text, read, memory_file)
    assert table["text"].to_list() == ["喝茶吗", "好"]
    assert tally.notes == [UNENDED]


@pytest.mark.parametrize("end", ["2024-05-0", "2024-05-01 09:0", "2024-05-01 09:00:20 Bo(1000567"])
def test_what_is_torn_is_left_out_and_told(end: str, read, memory_file) -> None:
    text = f"2024-05-01 09:00:00 Ada(10001234)\n喝茶吗\n\n{end}"
    table, tally = _read(text, read, memory_file)
    assert table["text"].to_list() == ["喝茶吗"]
    assert tally.unread_bytes or tally.skipped


def test_other_texts_are_not_qq(memory_file) -> None:
    recognise = load_source("qq").recognise
    assert recognise(memory_file(b"2024-05-01 09:00:00 started\nserver\n")) is None
    assert recognise(memory_file(b"[2024-05-01 09:00:00] ada: tea?\n")) is None


def test_a_text_that_shows_a_chat_is_none(memory_file) -> None:
    page = "# A parser\n\n消息对象:Ada\n\n2024-05-01 09:00:00 Ada(10001234)\ntea?\n"
    assert load_source("qq").recognise(memory_file(page.encode(), "README.md")) is None
