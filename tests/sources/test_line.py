"""LINE's saved chats."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myna.sources import load_source
from myna.sources._shared.text import UNENDED

ENGLISH = "line/[LINE] Chat history with Ada.txt"
DESKTOP = "line/[LINE]Mary Ann.txt"
HEAD = "[LINE] Chat history with Ada\nSaved on: 5/3/2024, 10:00\n\nWed, 5/1/2024\n"


def _read(text: str, read, memory_file, name: str = "chat.txt"):
    return read("line", memory_file(text.encode(), name))


def test_a_text_of_several_lines_keeps_what_looks_like_a_message(read, fixture_file) -> None:
    table, tally = read("line", fixture_file(ENGLISH))
    assert table["text"].to_list()[:3] == [
        "tea?",
        "two lines:\nof which one is\n12:00PM\tPeep\tnot a message\nwith 5 cups",
        '"a quote that stays"',
    ]
    assert set(table["author"]) == {"Ada", "Bo"}
    assert not tally.skipped
    assert tally.me == "Bo"


def test_placeholders_calls_and_notices_are_not_words(read, fixture_file) -> None:
    table, _ = read("line", fixture_file(ENGLISH))
    kinds = dict(zip(table["kind"], table["text"], strict=True))
    assert kinds["call"] == "☎ Call time 3:20"
    assert kinds["system"] == "[Location] 1 Kettle Street"
    assert table.filter(table["kind"] == "deleted").select("author", "text").row(0) == ("Ada", "")
    files = [tuple(f.values()) for files in table["attachments"] for f in files]
    assert files == [
        *(("image", ""), ("file", "leaves.pdf"), ("sticker", ""), ("voice", ""), ("video", "")),
    ]


def test_times_and_the_chat_in_several_languages(read, fixture_file) -> None:
    japanese, _ = read("line", fixture_file("line/[LINE] お茶の会のトーク履歴.txt"))
    assert japanese["channel"][0] == "お茶の会"
    assert japanese["sent_at"][2] == datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    assert japanese["zone_assumed"].all()
    thai, _ = read("line", fixture_file("line/thai.txt"))
    assert thai.select("channel", "sent_at", "kind").row(0) == (
        *("ชา", datetime(2024, 5, 1, 8, 54, tzinfo=UTC), "system"),
    )
    chinese, _ = read("line", fixture_file("line/chinese.txt"))
    assert chinese["sent_at"][1] == datetime(2024, 5, 1, 12, 10, tzinfo=UTC)
    assert chinese.select("author", "kind").row(3) == ("阿樹", "deleted")


@pytest.mark.parametrize(
    ("line", "day"),
    [
        ("Wed, 5/1/2024", (2024, 5, 1)),
        ("Wed, 01/05/2024", (2024, 5, 1)),
        ("mié, 1/5/2024", (2024, 5, 1)),
        ("Mi., 1.5.2024", (2024, 5, 1)),
        ("2024/05/01 (พ)", (2024, 5, 1)),
        ("2024年5月1日 星期三", (2024, 5, 1)),
        ("2024년 5월 1일 수요일", (2024, 5, 1)),
        ("2024. 5. 1. 수요일", (2024, 5, 1)),
        ("2024/5/1周三", (2024, 5, 1)),
        ("ср, 1.5.2024", (2024, 5, 1)),
    ],
)
def test_the_weekday_tells_the_order_of_the_date(line: str, day: tuple, read, memory_file) -> None:
    text = f"[LINE] 茶\nsaved\n\n{line}\n12:01\tAda\ttea?\n"
    table, _ = _read(text, read, memory_file)
    assert table["sent_at"].to_list() == [datetime(*day, 12, 1, tzinfo=UTC)]
    assert table["channel"][0] == "茶"


@pytest.mark.parametrize(
    ("clock", "hour"),
    [
        ("12:01", 12),
        ("12:01AM", 0),
        ("오후 1:01", 13),
        ("午前0:01", 0),
        ("上午12:01", 0),
        ("下午12:01", 12),
    ],
)
def test_the_time_of_day(clock: str, hour: int, read, memory_file) -> None:
    table, _ = _read(f"{HEAD}{clock}\tAda\ttea?\n", read, memory_file)
    assert table["sent_at"][0].hour == hour


def test_the_desktop_separates_by_blanks(read, fixture_file) -> None:
    table, tally = read("line", fixture_file(DESKTOP))
    assert table.select("author", "kind", "text").rows() == [
        ("Mary Ann", "text", "tea?"),
        ("Bo", "text", "yes please\nand cake"),
        ("Mary Ann", "text", ""),
        ("Bo", "call", "☎ Missed call"),
        ("Mary Ann", "text", "good morning"),
    ]
    assert "blanks separate names from texts" in tally.notes[0]


def test_a_last_line_without_an_end_is_read_and_noted(read, memory_file) -> None:
    table, tally = _read(f"{HEAD}12:01\tAda\ttea?\n12:02\tBo\tyes", read, memory_file)
    assert table["text"].to_list() == ["tea?", "yes"]
    assert tally.notes == [UNENDED]
    assert not tally.unread_bytes


@pytest.mark.parametrize(
    "end", ["12:0", "12:02\tB", "오", '12:02\tBo\t"two\nli', "12:02\tBo\t[Pho"]
)
def test_what_is_torn_is_left_out_and_told(end: str, read, memory_file) -> None:
    table, tally = _read(f"{HEAD}12:01\tAda\ttea?\n{end}", read, memory_file)
    assert table["text"].to_list() == ["tea?"]
    assert tally.unread_bytes or tally.skipped


def test_a_quote_that_is_never_closed_swallows_nothing(read, memory_file) -> None:
    lines = "".join(f"12:{minute:02}\tBo\tyes\n" for minute in range(60))
    table, _ = _read(f'{HEAD}12:00\tAda\t"hm\n{lines}', read, memory_file)
    assert table.height == 61
    assert table["text"][0] == '"hm'


def test_other_texts_are_not_line(memory_file) -> None:
    recognise = load_source("line").recognise
    assert recognise(memory_file(b"2024-05-01 12:01:02\tada\ttea?\n")) is None
    assert recognise(memory_file(b"12:01\tada\ttea?\n")) is None
    assert recognise(memory_file(b"2024.05.01\nDear diary\n")) is None
