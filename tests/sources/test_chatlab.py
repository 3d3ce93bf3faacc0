"""ChatLab's interchange format, as a document and as lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.errors import SourceError
from myna.sources import Tally, load_source


def document(*messages: object, **meta: object) -> bytes:
    head = {"chatlab": {"version": "0.0.2"}, "meta": {"name": "tea", "platform": "qq", **meta}}
    return json.dumps({**head, "members": [], "messages": messages}).encode()


def message(**fields: object) -> dict[str, object]:
    return {"sender": "1", "accountName": "ada", "timestamp": 1, "type": 0, **fields}


def test_kinds_and_texts(read, fixture_file) -> None:
    table, tally = read("chatlab", fixture_file("chatlab/Tea House.json"))
    assert table.select("id", "kind", "text").rows() == [
        ("m1", "text", "谁要喝茶？ who wants tea?"),
        ("m2", "text", "me\nplease"),
        ("m3", "text", ""),
        ("m4", "text", ""),
        ("m5", "text", ""),
        ("m6", "text", ""),
        ("m7", "text", ""),
        ("m8", "text", "https://tea.example [sic]"),
        ("m9", "system", "[位置] Kettle Lane"),
        ("m10", "system", "[红包]"),
        ("m11", "system", "[转账]"),
        ("m12", "system", "ada poked bo"),
        ("m13", "call", "[通话 3:00]"),
        ("m14", "forward", "a song"),
        ("m15", "forward", "peep: I like tea"),
        ("m16", "system", "[名片] peep"),
        ("m17", "system", "peep joined"),
        ("m18", "deleted", ""),
        ("m19", "system", ""),
        ("m20", "text", "look, steam."),
    ]
    assert table["reply_to"].to_list() == [None, "m1", *[None] * 18]
    assert not tally.skipped
    assert not tally.notes


def test_media_are_attachments_by_their_names(read, fixture_file) -> None:
    table, _ = read("chatlab", fixture_file("chatlab/Tea House.json"))
    files = [tuple(f.values()) for files in table["attachments"] for f in files]
    assert files == [
        ("image", ""),
        ("voice", ""),
        ("video", "steam.mp4"),
        ("file", "list of teas.docx"),
        ("sticker", "cup"),
        ("image", ""),
    ]


def test_people_places_and_times(read, fixture_file) -> None:
    table, tally = read("chatlab", fixture_file("chatlab/Tea House.json"))
    assert table.select("author_id", "author", "handle").rows()[:2] == [
        ("ada1", "ada of the kettle", "Ada"),
        ("bo2", "bo", "bo"),
    ]
    assert table.row(7, named=True)["author"] == "ada of the kettle"  # a member without a name
    assert table.select("source", "channel", "channel_id").unique().rows() == [
        ("wechat", "Tea House", "38")
    ]
    assert table["sent_at"][0] == datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert not table["zone_assumed"].any()
    assert tally.me == "ada1"


def test_lines_with_comments_and_a_platform_that_is_none(read, fixture_file) -> None:
    table, tally = read("chatlab", fixture_file("chatlab/stream.jsonl"))
    assert table.select("author", "text", "reply_to").rows() == [
        ("ada", "tea?", None),
        ("bo the bold", "# yes", "1"),
    ]
    assert table.select("source", "channel", "channel_id").row(0) == ("chatlab", "kettle", "38")
    assert tally.me == "31"


def test_messages_without_ids_are_told_apart(read, fixture_file) -> None:
    table, tally = read("chatlab", fixture_file("chatlab/private.json"))
    assert table["text"].to_list() == ["psst", "psst", 'shh, ],"messages":[']
    assert table["id"].n_unique() == 3
    assert table["sent_at"][2].microsecond == 500_000
    assert tally.me is None


@pytest.mark.parametrize("platform", ["unknown", "tea house", "../x", "", None, "x" * 99])
def test_what_is_no_platform_is_chatlab(platform, read, memory_file) -> None:
    table, _ = read("chatlab", memory_file(document(message(), platform=platform)))
    assert table["source"].to_list() == ["chatlab"]


def test_a_head_behind_the_messages_is_found(read, memory_file) -> None:
    data = {"chatlab": {"version": "1"}, "messages": [message()], "meta": {"name": "tail"}}
    table, tally = read("chatlab", memory_file(json.dumps(data).encode()))
    assert table["channel"].to_list() == ["tail"]
    assert not [note for note in tally.notes if "times" not in note]


def test_a_file_without_meta_is_named_after_itself(read, memory_file) -> None:
    data = b'{"chatlab": {"version": "0.0.2"}, "messages": []}'
    _, tally = read("chatlab", memory_file(data, "tea.json"))
    assert tally.notes == [
        "the export does not name its chat: named after the file",
        "the export holds no messages",
    ]


def test_a_damaged_message_costs_no_other(read, memory_file) -> None:
    data = document(message(content="a"), message(content=[]), message(content="b"))
    table, tally = read("chatlab", memory_file(data))
    assert table["text"].to_list() == ["a", "b"]
    assert tally.skipped == {"damaged message": 1}
    assert "Expected `str | null`, got `array`" in tally.examples["damaged message"]


def test_damaged_and_unknown_lines_are_counted(read, fixture_file, memory_file) -> None:
    data = fixture_file("chatlab/stream.jsonl").path.read_bytes()
    data += b'{"_type":"message"}\n{"_type":"tea"}\n{"_type":\n{"_type":"message","sen'
    table, tally = read("chatlab", memory_file(data, "stream.jsonl"))
    assert table.height == 2
    assert tally.skipped == {"damaged line": 2, "unknown line": 1}
    assert tally.examples["unknown line"] == "line 7: type 'tea'"
    assert tally.unread_bytes == len(b'{"_type":"message","sen')


def test_lines_without_their_header_are_read(read, memory_file) -> None:
    line = json.dumps({"_type": "message", **message(content="tea")}).encode()
    table, tally = read("chatlab", memory_file(line, "kettle.jsonl"))
    assert table.select("source", "channel", "text").row(0) == ("chatlab", "kettle", "tea")
    assert tally.notes[0] == "the export does not name its chat: named after the file"


@pytest.mark.parametrize(
    ("name", "data"), [("a.json", b'{"tea": 1}'), ("a.json", b"tea"), ("a.jsonl", b"# tea\n")]
)
def test_another_file_is_an_error(name: str, data: bytes, read, memory_file) -> None:
    assert load_source("chatlab").recognise(memory_file(data, name)) is None
    with pytest.raises(SourceError, match="is no ChatLab export: it has no messages"):
        read("chatlab", memory_file(data, name))


@given(texts=st.lists(st.text(st.characters(codec="utf-8"))), is_lines=st.booleans())
@settings(max_examples=50)
def test_any_text_comes_back(texts: list[str], is_lines: bool, memory_file) -> None:
    found = [message(content=text) for text in texts]
    if is_lines:
        header = {"_type": "header", **json.loads(document())}
        rows = [header, *({"_type": "message", **row} for row in found)]
        data = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    else:
        data = document(*found)
    file = memory_file(data)
    frames = list(load_source("chatlab").read(file, Tally()))
    assert [text for frame in frames for text in frame["text"]] == texts
