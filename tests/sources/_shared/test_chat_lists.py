"""Documents with the messages of many chats."""

from __future__ import annotations

import re

import pytest

from myna.errors import SourceError
from myna.sources import Tally
from myna.sources._shared.chat_lists import open_object, read_chats
from myna.sources._shared.json_stream import ListPattern

SHAPE = ListPattern(
    key=b"messages",
    boundary=re.compile(rb',\s*(?=\{"text":)'),
    ending=re.compile(rb"\]\}\]\}\Z"),
    has_many_lists=True,
)
AROUND = (b'{"a":[{', b"")


def _read(data: bytes, memory_file) -> tuple[list, Tally]:
    tally = Tally()
    found = read_chats(memory_file(data), SHAPE, tally, "no list", AROUND)
    return [(chat.get("name"), message["text"]) for chat, message in found], tally


def test_each_message_has_its_chat(memory_file) -> None:
    data = (
        b'{"chats":[{"name":"a","messages":[{"text":"1"},{"text":"2"}]},{"name":"b","messages":[]}'
        b',{"name":"c","messages":[{"text":"3"}]}]}'
    )
    found, tally = _read(data, memory_file)
    assert found == [("a", "1"), ("a", "2"), ("c", "3")]
    assert not tally.notes
    assert tally.bytes_done == len(data)
    _, tally = _read(data[:-1], memory_file)
    assert "there may have been more chats" in tally.notes[0]


@pytest.mark.parametrize(
    ("head", "fields"),
    [
        (b'{"a":[{"b":"}{[","messages":[', {"b": "}{[", "messages": []}),
        (b'}]},{"b":{"c":1},"messages":[', {"b": {"c": 1}, "messages": []}),
        (b'{"b":"\\"{","messages":[', {"b": '"{', "messages": []}),
        (b'"messages":[', {}),
        (b'{"b":x,"messages":[', {}),
        (b"{" * 3000 + b"[", {}),
    ],
)
def test_the_object_around_a_list(head: bytes, fields: dict) -> None:
    assert open_object(head) == fields


def test_a_document_without_a_list_is_an_error(memory_file) -> None:
    with pytest.raises(SourceError, match="no list"):
        _read(b'{"chats": []}', memory_file)
