"""KakaoTalk's exported chats."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myna.sources import load_source
from myna.sources._shared.text import UNENDED

HEAD = "Bo 님과 카카오톡 대화\n저장한 날짜 : 2024-05-03 10:00:00\n\n"
DAY = "--------------- 2024년 5월 1일 수요일 ---------------\n"


def _read(text: str, read, memory_file, name: str = "chat.txt"):
    return read("kakaotalk", memory_file(text.encode(), name))


def test_messages_of_windows(read, fixture_file) -> None:
    table, tally = read("kakaotalk", fixture_file("kakaotalk/windows.txt"))
    assert table.select("author", "kind", "text").rows() == [
        ("", "system", "보님이 에이다님을 초대하였습니다."),
        ("에이다", "text", "차 마실래?"),
        ("보", "text", "좋아\n두 시에"),
        ("보", "text", ""),
        ("방장봇", "text", "규칙을 읽어 주세요"),
        ("에이다", "text", ""),
        ("에이다", "deleted", ""),
        ("보", "call", "보이스톡 해요"),
        ("보", "text", ""),
        ("에이다", "text", ""),
        ("보", "text", ""),
        ("보", "text", "[에이다] [오후 1:00] 는 인용이야"),
    ]
    assert table["channel"][0] == "다과회"
    assert table.filter(table["is_bot"])["author"].to_list() == ["방장봇"]
    assert table["sent_at"][2] == datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    assert table["sent_at"][5] == datetime(2024, 5, 2, 0, 5, tzinfo=UTC)
    assert table["zone_assumed"].all()
    assert not tally.skipped


def test_messages_of_android(read, fixture_file) -> None:
    table, tally = read("kakaotalk", fixture_file("kakaotalk/android.txt"))
    assert table.select("author", "kind", "text").rows() == [
        ("에이다", "text", "차 마실래? : )"),
        ("회원님", "text", "좋아\n두 시에"),
        ("회원님", "text", ""),
        ("", "system", "에이다님이 나갔습니다."),
    ]
    assert len(table["attachments"][2]) == 3
    assert tally.me == "회원님"


def test_messages_of_ios_in_two_languages(read, fixture_file) -> None:
    table, _ = read("kakaotalk", fixture_file("kakaotalk/ios.txt"))
    assert table["text"].to_list() == [
        "차 마실래?",
        "보님이 피프님을 초대했습니다.",
        "좋아",
        "잘 자",
    ]
    assert table["kind"].to_list() == ["text", "system", "text", "text"]
    folder = "kakaotalk/KakaoTalk Chats with Bo/Talk_2024.5.3 10_00-1.txt"
    english, tally = read("kakaotalk", fixture_file(folder))
    assert english["text"].to_list() == ["tea?", "yes\nat two", "", "", "Voice Call 3:20"]
    assert english["kind"].to_list() == ["text", "text", "text", "deleted", "call"]
    assert english["channel"][0] == "Bo"
    assert english["sent_at"][1] == datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    assert tally.me == "Ada"


def test_the_table_of_macos(read, fixture_file) -> None:
    name = "kakaotalk/KakaoTalk_Chat_Tea House_2024-05-03-10-00-00.csv"
    table, _ = read("kakaotalk", fixture_file(name))
    assert table.select("channel", "author", "text").row(1) == (
        *("Tea House", "Bo", "yes, and\ncake"),
    )
    assert table["kind"].to_list() == ["text", "text", "text", "system"]
    assert table["sent_at"][0] == datetime(2024, 5, 1, 9, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "hour"),
    [
        ("2024년 5월 1일 오후 1:01, Ada : tea?", 13),
        ("2024. 5. 1. 오전 12:01, Ada : tea?", 0),
        ("2024-05-01 오후 1:01, Ada : tea?", 13),
        ("2024. 5. 1. 13:01, Ada : tea?", 13),
        ("May 1, 2024, 1:01 PM, Ada : tea?", 13),
        ("May 1, 2024 at 1:01\u202fPM, Ada : tea?", 13),
        ("May 1, 2024 13:01, Ada : tea?", 13),
        (f"{DAY}[Ada] [오후 1:01] tea?", 13),
        (f"{DAY}[Ada] [1:01 PM] tea?", 13),
        (f"{DAY}[Ada] [13:01] tea?", 13),
        ("--------------- Wednesday, May 1, 2024 ---------------\n[Ada] [1:01 PM] tea?", 13),
        ("2024년 5월 1일 수요일\n오후 1:01, Ada : tea?", 13),
    ],
)
def test_each_layout_and_its_time(line: str, hour: int, read, memory_file) -> None:
    text = f"{HEAD}{line}\n"
    assert load_source("kakaotalk").recognise(memory_file(text.encode())) is not None
    table, _ = _read(text, read, memory_file)
    assert table.select("author", "text").rows() == [("Ada", "tea?")]
    assert table["sent_at"][0] == datetime(2024, 5, 1, hour, 1, tzinfo=UTC)


def test_a_last_line_without_an_end_is_read_and_noted(read, memory_file) -> None:
    table, tally = _read(
        f"{HEAD}{DAY}[Ada] [오후 1:01] tea?\n[Bo] [오후 1:02] yes", read, memory_file
    )
    assert table["text"].to_list() == ["tea?", "yes"]
    assert tally.notes == [UNENDED]


@pytest.mark.parametrize(
    "end", ["[B", "[Bo] [오후", "----", "2024년 5월 2일 오", "오후 1:02", "12"]
)
def test_what_is_torn_is_left_out_and_told(end: str, read, memory_file) -> None:
    table, tally = _read(f"{HEAD}{DAY}[Ada] [오후 1:01] tea?\n{end}", read, memory_file)
    assert table["text"].to_list() == ["tea?"]
    assert tally.unread_bytes


def test_an_english_notice_of_windows_needs_a_known_name(read, memory_file) -> None:
    lines = "[Ada] [1:01 PM] well\nhe left.\n[Bo] [1:02 PM] oh\nAda left.\n"
    table, _ = _read(f"{HEAD}{DAY}{lines}", read, memory_file)
    assert table.select("kind", "text").rows() == [
        *(("text", "well\nhe left."), ("text", "oh"), ("system", "Ada left.")),
    ]


def test_other_texts_are_not_kakaotalk(memory_file) -> None:
    recognise = load_source("kakaotalk").recognise
    assert recognise(memory_file(b"Date,User,Text\n1,2,3\n")) is None
    assert recognise(memory_file(b"[12:01] <ada> tea?\n")) is None
    assert recognise(memory_file(b"5/1/24, 12:01 PM - Ada: tea?\n")) is None


def test_whoever_left_has_the_name_of_a_placeholder(read, memory_file) -> None:
    table, _ = _read(f"{HEAD}{DAY}[(알 수 없음)] [1:01 PM] bye\n", read, memory_file)
    assert table["author"].to_list() == ["알 수 없음"]


def test_a_text_that_shows_a_chat_is_none(memory_file) -> None:
    page = (
        f"# A parser of chats\n\nIt reads lines such as\n\n{DAY}[Ada] [1:01 PM] tea?\n\nor not.\n"
    )
    page += "".join(f"\n{word} is another line.\n" for word in ("This", "That", "Here", "There"))
    assert load_source("kakaotalk").recognise(memory_file(page.encode(), "README.md")) is None
