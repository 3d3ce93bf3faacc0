"""Slack exports: what stands around a message, and what stands in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, recognise

EXPORT = "slack/Tea House Slack export May 1 2024 - May 9 2024"


@pytest.fixture(scope="module")
def day(read, fixture_file) -> pl.DataFrame:
    table, tally = read("slack", fixture_file(f"{EXPORT}/kettle/2024-05-01.json"))
    assert tally.skipped == {"log of an edit or a deletion": 1}
    assert not tally.notes
    return table


def one(table: pl.DataFrame, id_: str) -> dict[str, Any]:
    row: dict[str, Any] = table.row(by_predicate=pl.col("id").str.ends_with(id_), named=True)
    return row


def message(text: str, **fields: Any) -> bytes:
    return json.dumps([{"type": "message", "user": "U1", "ts": "1.000001", "text": text, **fields}]
                      ).encode()  # fmt: skip


def test_ids_times_and_names_of_accounts(day) -> None:
    row = one(day, ".000200")
    assert (row["id"], row["sent_at"]) == (
        "1714550001.000200",
        datetime(2024, 5, 1, 7, 53, 21, 200, tzinfo=UTC),
    )
    assert (row["author_id"], row["author"], row["handle"]) == ("U1", "ada", "ada.l")
    assert not day["zone_assumed"].any()
    shown = dict(day.select("author_id", "author").iter_rows())
    assert shown == {
        "U1": "ada",
        "U2": "Bo",  # has no display name
        "U3": "peep",  # left, and has no names but the handle
        "U4": "Kettle Bot",
        "U8": "Guest G",  # of another workspace: only the message tells
        "B1/kettle": "kettle",
        "USLACKBOT": "Slackbot",
    }
    assert set(day.filter("is_bot")["author_id"]) == {"U4", "B1/kettle", "USLACKBOT"}


def test_a_chat_is_known_by_the_lists_beside_its_folder(read, fixture_file) -> None:
    found = {}
    for place in ("kettle/2024-05-01", "D1/2024-05-03", "mpdm-ada.l--bo--peep-1/2014-05-03"):
        table, _ = read("slack", fixture_file(f"{EXPORT}/{place}.json"))
        found |= dict(table.select("channel_id", "channel").iter_rows())
        assert set(table["space"]) == {"Tea House"}
    assert found == {"C1": "kettle", "D1": "ada, Bo", "G1": "ada, Bo, peep"}


def test_a_day_by_itself_is_named_after_its_folder(read, memory_file) -> None:
    table, _ = read("slack", memory_file(message("hi <@U1>"), "cake/2024-05-01.json"))
    row = table.row(0, named=True)
    assert (row["channel"], row["channel_id"], row["space"]) == ("cake", "/cake", "")
    assert (row["author"], row["text"]) == ("U1", "hi @U1")


def test_markup_and_mentions(day) -> None:
    row = one(day, ".000200")
    assert row["text"] == "@here who wants tea? @Bo & @guest <3 :tea:"
    assert [(m["author_id"], row["text"][m["start"] : m["end"]]) for m in row["mentions"]] == [
        ("U2", "@Bo"),
        ("U9", "@guest"),
    ]
    assert one(day, ".000300")["text"] == (
        "me, see the menu (https://tea.example/a?b=1&c=2)\n"
        "or tea.example, https://tea.example/x, bo@tea.example"
    )
    text = "and me: #cake #cake #channel @bakers @group 1 May"
    assert one(day, ".000400")["text"] == text


def test_an_entity_is_decoded_once(read, memory_file) -> None:
    table, _ = read("slack", memory_file(message("&amp;lt; &lt;@U2&gt; &quot;")))
    assert table["text"].to_list() == ['&lt; <@U2> &quot;']  # fmt: skip
    assert table["mentions"].list.len().to_list() == [0]


def test_replies_are_threads_and_their_first_message_is_none(day, read, fixture_file) -> None:
    begin, reply, broadcast = (one(day, f".000{n}00") for n in (2, 3, 4))
    assert (begin["thread"], begin["reply_to"]) == (None, None)
    for answer in (reply, broadcast):
        assert answer["thread"] == answer["reply_to"] == begin["id"]
    later, _ = read("slack", fixture_file(f"{EXPORT}/kettle/2024-05-02.json"))
    assert later["reply_to"].to_list() == [begin["id"], None]


def test_kinds(day) -> None:
    kinds = {id_.rpartition(".")[2]: kind for id_, kind in day.select("id", "kind").iter_rows()}
    assert {id_: kind for id_, kind in kinds.items() if kind != "text"} == {
        "000100": "system",
        "000700": "deleted",
        "001000": "forward",
        "001200": "call",
        "001300": "system",
    }
    assert one(day, ".000700")["text"] == ""
    assert one(day, ".001000")["text"] == ""
    assert one(day, ".001100")["text"] == "this!"
    assert one(day, ".001200")["author"] == "Bo"
    assert one(day, ".000500")["text"] == "*hugs @peep*"
    assert day.filter("edited")["id"].to_list() == ["1714550060.000300"]


def test_files(day) -> None:
    assert [tuple(file.values()) for file in one(day, ".000600")["attachments"]] == [
        ("image", "pot.jpg"),
        ("voice", "audio_message.m4a"),
        ("image", "recipe"),
        ("file", ""),
    ]


def test_uploads_and_comments_of_the_oldest_exports(read, fixture_file) -> None:
    table, _ = read("slack", fixture_file(f"{EXPORT}/mpdm-ada.l--bo--peep-1/2014-05-03.json"))
    assert table["text"].to_list() == ["my cup", "", "nice cup"]
    assert table["author"].to_list() == ["ada", "ada", "Bo"]
    assert table["attachments"].list.len().to_list() == [1, 1, 0]


def test_words_that_stand_only_in_blocks_or_attachments(day, read, fixture_file) -> None:
    table, _ = read("slack", fixture_file(f"{EXPORT}/D1/2024-05-03.json"))
    assert table["text"].to_list()[1:] == [
        "@Bo a < b & c\n"
        ":tea: https://tea.example menu (https://tea.example) #kettle @channel @group 1 May\n"
        "• milk\n• sugar\n> old\n> words\n```boil()```",
        "Tea & cake\nfor @ada\n2 cups\nnow\n*so*",
    ]
    assert one(day, ".000900")["text"] == "Orders:\nTwo teas\nfor @ada\nOne cake"


@pytest.mark.parametrize("indent", [None, 1, 2, 4, "\t"])
def test_a_damaged_message_costs_no_other(indent: int | str | None, read, memory_file) -> None:
    items = [
        {"type": "message", "ts": f"{n}.000000", "text": f"tea {n}", "reactions": [{"n": 1}, {}]}
        for n in range(5)
    ]
    data = json.dumps(items, indent=indent).replace('"tea 2"', '"tea" 2').encode()
    table, tally = read("slack", memory_file(data))
    assert table["text"].to_list() == ["tea 0", "tea 1", "tea 3", "tea 4"]
    assert tally.skipped == {"damaged message": 1}


def test_a_damaged_list_is_said_and_a_changed_one_is_read_again(read, tmp_path) -> None:
    (tmp_path / "kettle").mkdir()
    day, users = tmp_path / "kettle/2024-05-01.json", tmp_path / "users.json"
    day.write_bytes(message("hi"))
    users.write_text('[{"id": "U1", "name":')
    table, tally = read("slack", ChatFile(day))
    assert table["author"].to_list() == ["U1"]
    assert tally.notes[0] == "users.json is damaged and not used"
    users.write_text('[{"id": "U1", "name": "ada"}]')
    assert read("slack", ChatFile(day))[0]["author"].to_list() == ["ada"]


def test_wrong_types_are_nothing(read, memory_file) -> None:
    wrong = {"user": 3, "ts": None, "thread_ts": [], "files": {"a": 1}, "room": [], "blocks": 7}
    table, tally = read("slack", memory_file(message("tea", **wrong)))
    assert table.select("author", "text", "sent_at").row(0) == ("unknown", "tea", None)
    assert not tally.skipped
    _, tally = read("slack", memory_file(b'[{}, {"type": "user"}]'))
    assert tally.skipped == {"no message": 2}


def test_a_time_that_is_a_number_loses_no_digit(read, memory_file) -> None:
    data = message("tea", ts="T").replace(b'"T"', b"1714550060.000300")
    table, _ = read("slack", memory_file(data))
    assert table["id"].to_list() == ["1714550060.000300"]
    assert table["sent_at"][0].microsecond == 300


def test_lists_of_the_export_hold_no_messages(fixture_file) -> None:
    names = ("users", "channels", "groups", "dms", "mpims", "integration_logs", "canvases")
    for name in names:
        found = recognise(fixture_file(f"{EXPORT}/{name}.json"))
        assert isinstance(found, Recognition)
        assert (found.source, found.holds_messages) == ("slack", False)


def test_another_document_is_an_error(read, memory_file) -> None:
    with pytest.raises(SourceError, match="is not a day of a Slack export"):
        read("slack", memory_file(b'{"messages": []}'))


@given(text=st.text(st.characters(codec="utf-8")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(text: str, read, memory_file) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    blocks = [{"type": "rich_text", "elements": [
        {"type": "rich_text_section", "elements": [{"type": "text", "text": text + "\n"}]}
    ]}]  # fmt: skip
    for data in (message(escaped), message("", blocks=blocks)):
        assert read("slack", memory_file(data))[0]["text"].to_list() == [text]
