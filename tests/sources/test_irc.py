"""IRC logs: whose words, on which day, in which channel."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myna.errors import SourceError
from myna.sources import ChatFile, recognise

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "irc-disentanglement"


def said(table: pl.DataFrame) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = table.filter(kind="text").select("author", "text").rows()
    return rows


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)


def times(table: pl.DataFrame) -> list[datetime]:
    return table.filter(kind="text")["sent_at"].to_list()


def test_irssi(read, fixture_file) -> None:
    table, tally = read("irc", fixture_file("irc/irssi/#kettle.log"))
    assert said(table) == [
        ("Ada", "who wants tea? <3"),
        ("bo", "me: 2 cups"),
        ("bo", "*waves at Ada*"),
        ("bo", "good night"),
        ("bo", ""),
    ]
    assert table.filter(kind="text")["author_id"].unique().sort().to_list() == ["ada", "bo"]
    assert times(table)[2:4] == [at(2024, 5, 1, 23, 52), at(2024, 5, 2, 0, 1)]
    assert set(table["channel"]) == {"#kettle"}
    assert table["zone_assumed"].all()
    assert tally.examples == {
        "no line of a log": "line 9: 23:55 [bo(~bo@tea.example)] only for you"
    }


def test_what_nobody_says_is_a_notice_by_one_author(read, fixture_file) -> None:
    table, _ = read("irc", fixture_file("irc/irssi/#kettle.log"))
    notices = table.filter(kind="system")
    assert notices["text"].to_list() == [
        "ada [~ada@tea.example] has joined #kettle",
        "Irssi: #kettle: Total of 2 nicks [1 ops, 0 halfops, 0 voices, 1 normal]",
        "-bo(~bo@tea.example)- the kettle boils",
        "mode/#kettle [+v bo] by Ada",
    ]
    assert set(notices.select("author", "author_id").rows()) == {("IRC", " IRC")}


def test_znc_has_its_day_in_the_name_and_its_channel_in_the_folders(read, fixture_file) -> None:
    table, tally = read("irc", fixture_file("irc/znc/#kettle/2024-05-01.log"))
    assert said(table) == [
        ("ada", "tea?"),
        ("bo", "*waves*"),
        ("bo", "yes, please"),
        ("ada", "[23:59:05] <bo> yes"),
        ("ada", "what time is it?"),
        ("ada", ""),
    ]
    assert times(table)[2:] == [
        at(2024, 5, 1, 23, 59, 5),
        at(2024, 5, 2, 0, 0, 6),
        None,
        at(2024, 5, 2, 0, 0, 8),
    ]
    assert set(table["channel"]) == {"#kettle"}
    assert tally.skipped == {"no line of a log": 1}
    assert tally.notes == ["1 times could not be read, the first: '2024-05-02 99:99:99'"]


def test_ubuntus_logs_and_a_clock_of_12_hours(read, fixture_file) -> None:
    table, _ = read("irc", fixture_file("irc/ubuntu/2005-02-08.txt"))
    assert list(zip(times(table), said(table), strict=True)) == [
        (at(2005, 2, 8, 11, 58), ("ada", "tea?")),
        (at(2005, 2, 8, 12, 59), ("bo", "*slaps ada around a bit with a large teapot*")),
        (at(2005, 2, 8, 13, 3), ("bob", "now")),
        (at(2005, 2, 8, 13, 4), ("ada", "from elsewhere")),
        (at(2005, 2, 8, 23, 59), ("ada", "late")),
        (at(2005, 2, 9, 0, 0), ("bob", "midnight")),
    ]


def test_weechat(read, fixture_file) -> None:
    table, _ = read("irc", fixture_file("irc/irc.libera.#kettle.weechatlog"))
    assert said(table) == [("Ada", "tea?\tor milk"), ("bo", "*waves*"), ("bo", "🍵")]
    assert table.height == 7
    assert table.select("space", "channel").unique().rows() == [("libera", "#kettle")]


def test_hexchat_names_the_year_only_once(read, fixture_file) -> None:
    table, _ = read("irc", fixture_file("irc/hexchat/libera-#kettle.log"))
    assert said(table) == [("Ada", "tea?"), ("bo", "*waves*")]
    assert times(table) == [at(2024, 12, 31, 23, 58, 2), at(2025, 1, 1, 0, 1, 4)]
    assert table.filter(kind="system")["text"].to_list() == [
        "Now talking on #kettle",
        "bo (~bo@tea.example) has joined",
        "bo has quit (Bye)",
    ]


def test_mirc_names_the_channel_inside(read, fixture_file) -> None:
    table, _ = read("irc", fixture_file("irc/mirc/status.log"))
    assert said(table) == [("Ada", "käse?"), ("bo", "*waves*")]
    assert times(table)[0] == at(2005, 7, 10, 10, 1)
    assert set(table["channel"]) == {"#kettle"}


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("#kettle.log", "#kettle"),
        ("#kettle.de.log", "#kettle.de"),
        ("#kettle_20240501.log", "#kettle"),
        ("ada_libera_#kettle_20240501.log", "#kettle"),
        ("kettle-2024-05-01.txt", "kettle"),
        ("logs/2024-05-01_19.ascii.txt", "logs"),
        ("##tea/2024-05-01.log", "##tea"),
    ],
)
def test_names_of_channels(name: str, channel: str, read, memory_file) -> None:
    table, _ = read("irc", memory_file(b"[12:00] <ada> tea\n", name))
    assert table["channel"].to_list() == [channel]


def test_without_a_day_there_is_only_order(read, memory_file) -> None:
    table, tally = read("irc", memory_file(b"[23:59] <ada> tea\n[00:01] <bo> yes\n", "#kettle.log"))
    assert table["sent_at"].to_list() == [None, None]
    assert tally.notes == ["no day is known: the messages have no times, only their order"]


def test_a_clock_that_is_put_back_is_no_new_day(read, memory_file) -> None:
    data = b"[02:59] <ada> summer\n[02:00] <ada> ends\n[13:00] <ada> tea\n[11:00] <ada> tea\n"
    table, _ = read("irc", memory_file(data, "#kettle-2024-10-27.log"))
    assert table["sent_at"].to_list() == [
        at(2024, 10, 27, 2, 59),
        at(2024, 10, 27, 2, 0),
        at(2024, 10, 27, 13, 0),
        at(2024, 10, 28, 11, 0),
    ]


def test_a_day_in_another_language_is_said(read, memory_file) -> None:
    data = b"--- Day changed to touko 02 2024\n12:00 <ada> tea\n"
    _, tally = read("irc", memory_file(data))
    assert tally.skipped == {"a day that cannot be read": 1}


@pytest.mark.parametrize(
    "text",
    [
        "12:01\tada\ttea?\n12:02\tbo\tyes\n",  # LINE
        "[1/5/24, 12:01:02] ada: tea?\n",  # WhatsApp
        "=== A heading ===\n\nand words\n",
        "<p> tea </p>\n",
        "author,text\n",
    ],
)
def test_other_lines_are_none_of_its(text: str, read, memory_file) -> None:
    found = recognise(memory_file(text.encode(), "chat.txt"))
    assert found is None or found.source != "irc"
    with pytest.raises(SourceError, match="is no IRC log"):
        read("irc", memory_file(b"<ada> tea\n"))


@given(
    nick=st.text("abAB[]\\`_^{|}-09", min_size=1),
    text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(nick: str, text: str, read, memory_file) -> None:
    nick = nick[:30]
    lines = [
        f"12:00 < {nick}> {text}",
        f"[12:00:01] <@{nick}> {text}",
        f"2024-05-01 12:00:02\t@{nick}\t{text}",
        f"May 01 12:00:03 <{nick}>\t{text}",
    ]
    for line in lines:
        assert said(read("irc", memory_file(f"{line}\n".encode()))[0]) == [(nick, text)]


@pytest.mark.skipif(not DATA.exists(), reason="needs the corpus of Ubuntu's logs")
def test_every_line_of_real_logs_is_read(read) -> None:
    for path in sorted(DATA.rglob("*.ascii.txt"))[::10]:
        table, tally = read("irc", ChatFile(path))
        assert table.height == path.read_bytes().count(b"\n")
        assert not tally.skipped
        assert not tally.unread_bytes
