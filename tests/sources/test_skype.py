"""Skype's own export."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from myna.errors import SourceError
from myna.sources import load_source

MESSAGES = "skype/messages.json"


def _export(*messages: dict) -> bytes:
    chat = {"id": "8:bo", "displayName": "Bo", "MessageList": list(messages)}
    return json.dumps({"userId": "8:ada", "conversations": [chat]}).encode()


def _rich(content: str, type_: str = "RichText") -> dict:
    return {
        "id": "1",
        "displayName": "Bo",
        "originalarrivaltime": "2024-05-01T09:00:00Z",
        "messagetype": type_,
        "content": content,
        "from": "8:bo",
        "properties": None,
    }


def test_messages_of_all_conversations(read, fixture_file) -> None:
    table, tally = read("skype", fixture_file(MESSAGES))
    assert table.select("channel", "author", "kind", "text").rows() == [
        ("Bo", "Bo", "text", "café & :)"),
        ("Bo", "Skype", "system", "RichText/Media_Card"),
        ("Bo", "ada", "call", "call ended, 62 s"),
        ("Bo", "ada", "text", ""),
        ("Bo", "Bo", "text", ""),
        ("Bo", "Bo", "text", ""),
        ("Bo", "ada", "text", "oh"),
        ("Bo", "Bo", "text", "yes, @Ada"),
        ("Bo", "ada", "deleted", ""),
        ("Bo", "Bo", "system", "ThreadActivity/AddMember"),
        ("Bo", "ada", "text", "tea? <3"),
        ("Tea House", "Peep", "text", "hello all\ntwo"),
    ]
    assert table["is_bot"].to_list().index(True) == 1
    assert table["edited"].to_list().index(True) == 6
    assert table["sent_at"][10] == datetime(2024, 5, 1, 9, 0, 1, 123000, tzinfo=UTC)
    assert table["position"].is_sorted(descending=True)  # the newest comes first
    files = [tuple(f.values()) for files in table["attachments"] for f in files]
    assert files == [("image", "a.jpg"), ("voice", "b.m4a"), ("sticker", "")]
    assert tally.me == "ada"
    assert not tally.notes


def test_quoted_words_are_the_answered_message(read, fixture_file) -> None:
    table, _ = read("skype", fixture_file(MESSAGES))
    answer = table.row(7, named=True)
    assert answer["reply_to"] == table["id"][10] == "1714554001000"
    assert answer["mentions"] == [{"author_id": "ada", "start": 5, "end": 9}]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a &lt;b&gt; c", "a <b> c"),
        ('<a href="https://tea.example">https://tea.example</a>', "https://tea.example"),
        ('<b raw_pre="*" raw_post="*">tea</b> at\r\ntwo', "tea at\ntwo"),
        ("I <3 tea", "I <3 tea"),
        ("<quote>never closed", ""),
        ("</quote>tea</quote>", "tea"),
        ('<quote author="a"><quote>in</quote>out</quote>tea', "tea"),
        ("&lol9;&#0;", "&lol9;\ufffd"),
    ],
)
def test_markup(content: str, text: str, read, memory_file) -> None:
    table, _ = read("skype", memory_file(_export(_rich(content)), "messages.json"))
    assert table["text"][0].replace("\r", "") == text


def test_a_damaged_message_costs_no_other(read, fixture_file, memory_file) -> None:
    data = fixture_file(MESSAGES).path.read_bytes().replace(b'"tea? <3"', b'"tea? <3')
    table, tally = read("skype", memory_file(data, "messages.json"))
    assert table.height == 11
    assert tally.skipped == {"damaged message": 1}


def test_another_file_is_an_error(read, memory_file) -> None:
    file = memory_file(b'{"userId": "8:ada", "conversations": 1}', "a.json")
    with pytest.raises(SourceError, match=r"a\.json is no export of Skype"):
        read("skype", file)
    assert load_source("skype").recognise(memory_file(b'{"messages": []}', "a.json")) is None


def test_reactions_are_counted(read, fixture_file) -> None:
    table, _ = read("skype", fixture_file(MESSAGES))
    assert table["reactions"][10].to_list() == [{"name": "heart", "count": 1, "by": ["live:bo"]}]
