"""Element: rooms of Matrix, their edits, replies, threads and mentions."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.errors import SourceError

ADA = "@ada:tea.example"


@pytest.fixture(scope="module")
def room(memory_file):
    """A room with these events."""

    def make(*events):
        document = {"room_name": "Kettle", "exported_by": "Ada", "messages": events}
        return memory_file(json.dumps(document, indent=2).encode(), "export.json")

    return make


def said(body, event_id="$1", sender=ADA, **content):
    content = {"msgtype": "m.text", "body": body, **content}
    return {
        "type": "m.room.message",
        "sender": sender,
        "event_id": event_id,
        "origin_server_ts": 1714579331000,
        "content": content,
    }


def edit(body, target="$1", event_id="$2", sender=ADA):
    relation = {"rel_type": "m.replace", "event_id": target}
    new = {"msgtype": "m.text", "body": body}
    more = {"m.relates_to": relation, "m.new_content": new}
    return said(f"* {body}", event_id, sender, **more)


def test_a_room(read, fixture_file) -> None:
    table, tally = read("element", fixture_file("element/export.json"))
    assert table.select("author", "kind", "text").rows() == [
        ("Ada", "system", "m.room.member join"),
        ("Bo", "system", "m.room.member join"),
        ("Ada", "text", "who wants tea?"),
        ("Bo", "text", "me, @Ada & @peep"),
        ("peep", "text", "black"),
        ("Ada", "deleted", ""),
        ("Ada", "text", "look"),
        ("Bo", "text", ""),
        ("Bo", "text", ""),
        ("Ada", "text", "/me waves at @Bo"),
        ("kettle", "text", "it boils"),
        ("Bo", "text", "in a thread"),
        ("Bo", "call", "m.call.invite"),
    ]
    assert set(table.select("channel", "channel_id").rows()) == {("Kettle", "!kettle:tea.example")}
    assert table["sent_at"][0] == datetime(2024, 5, 1, 16, 2, 12, tzinfo=UTC)
    assert not table["zone_assumed"].any()
    assert table["reply_to"].to_list() == [None, None, None, "$e3", *[None] * 9]
    assert table["thread"].to_list() == [*[None] * 11, "$e3", None]
    assert table["edited"].to_list() == [*[False] * 4, True, *[False] * 8]
    assert table["is_bot"].to_list() == [*[False] * 10, True, False, False]
    files = [[(file["kind"], file["name"]) for file in files] for files in table["attachments"]]
    assert files[6:9] == [[("image", "pot.jpg")], [("voice", "voice.ogg")], [("sticker", "🎉")]]
    assert tally.me == ADA
    assert tally.skipped == {"message that could not be decrypted": 1}


def test_mentions_are_where_the_text_names_them(read, fixture_file) -> None:
    table, _ = read("element", fixture_file("element/export.json"))
    assert table["mentions"][3].to_list() == [
        {"author_id": ADA, "start": 4, "end": 8},
        {"author_id": "@peep:tea.example", "start": 11, "end": 16},
    ]
    assert table["text"][9][13:16] == "@Bo"
    assert table["mentions"][9].to_list() == [
        {"author_id": "@bo:tea.example", "start": 13, "end": 16}
    ]


def test_an_edit_is_of_the_message_it_edits(read, room) -> None:
    events = (said("grene"), edit("green"), edit("green!", event_id="$3"))
    table, tally = read("element", room(*events))
    assert table.select("id", "text", "edited").rows() == [("$1", "green!", True)]
    assert not tally.skipped


def test_an_edit_by_someone_else_is_none_of_it(read, room) -> None:
    table, _ = read("element", room(said("green"), edit("red", sender="@bo:tea.example")))
    assert table["text"][0] == "green"


def test_an_edit_of_a_message_that_is_not_there_is_that_message(read, room) -> None:
    table, _ = read("element", room(edit("green", target="$0")))
    assert table.select("id", "text", "edited").rows() == [("$0", "green", True)]


def test_a_redaction_deletes(read, room) -> None:
    event = {"type": "m.room.redaction", "sender": ADA, "event_id": "$2", "redacts": "$1"}
    table, _ = read("element", room(said("green"), event))
    assert table.select("id", "kind", "text").rows() == [("$1", "deleted", "")]


def test_a_quote_without_a_reply_is_the_authors(read, room) -> None:
    table, _ = read("element", room(said("> <@ada:x> tea\n\nme")))
    assert table["text"].to_list() == ["> <@ada:x> tea\n\nme"]


def test_another_document_is_an_error(read, memory_file) -> None:
    with pytest.raises(SourceError, match=r"tea\.json is not an export of Element"):
        read("element", memory_file(b'{"tea": 2}', "tea.json"))


@given(st.lists(st.text(st.characters(blacklist_categories=("Cs",))), max_size=5))
def test_bodies_come_back_as_they_were_sent(read, room, bodies) -> None:
    events = [said(body, f"${number}") for number, body in enumerate(bodies)]
    table, _ = read("element", room(*events))
    assert table["text"].to_list() == bodies
