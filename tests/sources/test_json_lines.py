"""JSON lines: fields, and damaged lines."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime

import pytest

from myna.errors import SourceError
from myna.sources import ChatFile, json_lines


def test_fields_damage_and_its_lines(read, fixture_file) -> None:
    table, tally = read("json_lines", fixture_file("json_lines/lines.jsonl"))
    assert table["id"].to_list() == ["1", "2", "3", "8"]
    texts = ["who wants tea?", "me", "", "half a pair \ufffd, then on"]
    assert table["text"].to_list() == texts
    assert table["author"].to_list() == ["ada", "bo", "bo", "peep"]
    assert table["reply_to"].to_list() == [None, "1", None, None]
    assert table["is_bot"].to_list() == [False, True, False, False]
    assert table["channel"].to_list() == ["kettle", "kettle", "kettle", "lines"]
    assert table["sent_at"].to_list() == [
        datetime(2023, 11, 14, 22, 13, 20, 250000, tzinfo=UTC),
        datetime(2023, 11, 14, 22, 13, 21, tzinfo=UTC),
        datetime(2023, 11, 14, 22, 13, 22, tzinfo=UTC),
        None,
    ]
    assert table["zone_assumed"].to_list() == [False, False, True, False]
    assert tally.skipped == {"damaged line": 2, "no text": 2}
    assert tally.examples["damaged line"].startswith("line 5: ")
    assert tally.examples["no text"] == "line 7: 'body' is absent or no text"
    assert tally.unread_bytes == 0


def test_a_cut_at_any_byte_costs_the_line_it_is_in(read, memory_file) -> None:
    lines = [json.dumps({"author": "ada", "text": t}) for t in ("tea", "käse 🧀", "x" * 20)]
    data = "\n".join(lines).encode()
    ends = [len("\n".join(lines[: n + 1]).encode()) for n in range(3)]
    for cut in range(ends[0], len(data)):
        table, tally = read("json_lines", memory_file(data[:cut]))
        assert table.height == sum(end <= cut for end in ends)
        rest = data[:cut].rpartition(b"\n")[2]
        expected = 0 if cut in ends else len(rest)
        if rest.isascii() or cut in ends:
            assert tally.unread_bytes == expected
        assert not tally.skipped


def test_another_json_is_an_error(read, memory_file) -> None:
    with pytest.raises(SourceError, match="no lines with an author and a text"):
        read("json_lines", memory_file(b'{"a": 1}\n'))


def test_a_line_of_any_length_costs_no_memory_and_only_itself(read, tmp_path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as out:
        out.write(b'{"author": "ada", "text": "before"}\n{"author": "ada", "text": "')
        for _ in range(200):
            out.write(b"x" * 1_000_000)
        out.write(b'"}\n{"author": "ada", "text": "after"}\n')
    tracemalloc.start()
    table, tally = read("json_lines", ChatFile(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert table["text"].to_list() == ["before", "after"]
    assert tally.skipped == {"line too long": 1}
    assert peak < 150_000_000, "a line of 200 MB takes several times as much if it is read whole"


def test_lone_surrogates_do_not_hide_what_it_is(memory_file) -> None:
    data = b'{"author": "ada", "text": "half a smile \\ud83d"}\n'
    recognition = json_lines.recognise(memory_file(data))
    assert recognition is not None
    assert recognition.source == "json_lines"
