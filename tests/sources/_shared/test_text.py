"""Encodings, with and without their marks."""

from __future__ import annotations

import json

import pytest

from myna.sources import Tally, recognise
from myna.sources._shared.text import read_lines

TEXT = "author,text\nada,käse – “tea” € 🧀\n"


@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode(name: str, read, memory_file) -> None:
    file = memory_file(TEXT.encode(name))
    assert recognise(file) is not None
    assert read("csv_table", file)[0]["text"].to_list() == ["käse – “tea” € 🧀"]
    line = json.dumps({"author": "ada", "text": "käse 🧀"}, ensure_ascii=False)
    file = memory_file((line + "\n").encode(name))
    assert recognise(file) is not None
    assert read("json_lines", file)[0]["text"].to_list() == ["käse 🧀"]


def test_windows_1252_wherever_it_begins(read, memory_file) -> None:
    text = TEXT.replace(" 🧀", "")
    late = "author,text\n" + "bo,tea\n" * 20_000
    for data in (text.encode("cp1252"), late.encode() + "ada,käse – “tea” €\n".encode("cp1252")):
        table, _ = read("csv_table", memory_file(data))
        assert table["text"][-1] == "käse – “tea” €"


def test_a_mark_in_the_midst_is_no_text(read, memory_file) -> None:
    part = "\ufeffauthor,text\nada,tea\n".encode()
    table, tally = read("csv_table", memory_file(part + part))
    assert table["author"].to_list() == ["ada", "ada"]
    assert tally.skipped == {"repeated first row": 1}


def test_a_last_line_that_nothing_ends_is_read_if_it_is_known_for_a_whole_one(memory_file) -> None:
    file = memory_file(b"tea\r\nwith milk.")
    tally = Tally()
    assert list(read_lines(file, tally)) == [(1, "tea")]
    assert (tally.unread_bytes, len(tally.notes)) == (10, 1)
    tally = Tally()
    whole = list(read_lines(file, tally, lambda line: line.endswith(".")))
    assert whole == [(1, "tea"), (2, "with milk.")]
    assert (tally.unread_bytes, tally.notes, tally.bytes_done) == (0, [], file.size)
