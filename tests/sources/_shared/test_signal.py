"""Helpers that the readers of Signal's tools share."""

from __future__ import annotations

import re

import pytest

from myna.sources import Tally
from myna.sources._shared import signal
from myna.sources._shared.message_table import Attachment

HEAD = re.compile(r"<(\w+)>")


@pytest.mark.parametrize(
    ("name", "content_type", "file"),
    [
        ("pot.jpg", "video/mp4", Attachment("image", "pot.jpg")),
        ("", "image/png", Attachment("image", "")),
        ("", "image/gif", Attachment("gif", "")),
        ("", "audio/aac", Attachment("voice", "")),
        ("", "video/mp4", Attachment("video", "")),
        ("", "", Attachment("file", "")),
    ],
)
def test_a_file_without_a_name_is_known_by_its_type(name, content_type, file) -> None:
    assert signal.attachment(name, content_type) == file


def test_a_text_is_cut_at_the_lines_that_begin_messages(memory_file) -> None:
    tally = Tally()
    file = memory_file(b"tea\n\n<ada> one\ntwo\n\n<bo> three\n")
    found = list(signal.split_messages(signal.match_heads(file, tally, HEAD, "<a>"), tally))
    assert [(item.number, item.head[1], item.below, item.is_last) for item in found] == [
        (3, "ada", ["two", ""], False),
        (6, "bo", [], True),
    ]
    assert tally.skipped == {"line of no message": 1}


def test_a_last_line_that_breaks_off_in_a_beginning_is_left_out(memory_file) -> None:
    tally = Tally()
    file = memory_file(b"<ada> one\n<bo> two\nthr")
    [_, last] = signal.split_messages(signal.match_heads(file, tally, HEAD, "<a>"), tally)
    assert (last.below, tally.unread_bytes) == (["thr"], 0)
    file = memory_file(b"<ada> one\n<bo> two\n<th")
    found = list(signal.split_messages(signal.match_heads(file, tally, HEAD, "<a>"), tally))
    assert [item.head[1] for item in found] == ["ada", "bo"]
    assert (tally.skipped, tally.unread_bytes) == ({}, 3)


def test_a_message_of_endless_lines_is_left_out(memory_file, monkeypatch) -> None:
    monkeypatch.setattr(signal, "MAX_LINE_CHARS", 10)
    tally = Tally()
    file = memory_file(b"<ada> one\n" + b"two\n" * 3 + b"<bo> three\n")
    found = list(signal.split_messages(signal.match_heads(file, tally, HEAD, "<a>"), tally))
    assert [item.head[1] for item in found] == ["bo"]
    assert tally.skipped == {"message too long": 1}


def test_of_the_messages_of_one_time_the_first_is_remembered(monkeypatch) -> None:
    monkeypatch.setattr(signal, "MAX_REMEMBERED", 2)
    recent = signal.RecentIds()
    for sent, message_id in [("1", "a"), ("1", "b"), ("2", "c"), ("3", "d"), ("4", "e")]:
        recent.add(sent, message_id)
    assert [recent.get(sent) for sent in "1234"] == [None, None, "d", "e"]
