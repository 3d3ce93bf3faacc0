"""sigtop: its text of fields and bodies, and the records of Signal Desktop."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.errors import SourceError

HEAD = """From: ada (+15550101)
Type: incoming
Sent: Wed, 1 May 2024 18:02:11 +0200
Received: Wed, 1 May 2024 18:02:12 +0200
"""


def files_of(table) -> list[list[tuple[str, str]]]:
    return [[(file["kind"], file["name"]) for file in files] for files in table["attachments"]]


def test_a_text_of_two(read, fixture_file) -> None:
    table, tally = read("sigtop", fixture_file("sigtop/ada (+15550101).txt"))
    assert table.select("author", "handle", "kind", "text").rows() == [
        ("ada", "+15550101", "text", "who wants tea?\n\nType: me"),
        ("You", None, "text", "me: always"),
        ("Unknown", None, "call", ""),
        ("ada", "+15550101", "system", ""),
    ]
    assert table["reply_to"].to_list() == [None, table["id"][0], None, None]
    assert files_of(table)[1] == [("image", "pot (1).jpg"), ("voice", "")]
    assert table["sent_at"].to_list() == [
        datetime(2024, 5, 1, 16, 2, 11, tzinfo=UTC),
        datetime(2024, 5, 1, 16, 2, 40, tzinfo=UTC),
        datetime(2024, 5, 1, 16, 5, tzinfo=UTC),
        datetime(2024, 5, 1, 16, 6, tzinfo=UTC),
    ]
    assert not table["zone_assumed"].any()
    assert set(table["channel"]) == {"ada"}
    assert (tally.me, tally.skipped) == ("You", {})


def test_of_an_edited_message_the_last_version(read, fixture_file) -> None:
    table, _ = read("sigtop", fixture_file("sigtop/Tea House (group).txt"))
    assert table["text"].to_list() == ["", "green tea\n\n> or black"]
    assert table["edited"].to_list() == [False, True]
    assert table["reply_to"][1] == table["id"][0]
    assert table["author_id"][0] == "bo.42"
    assert table["author"][0] == "bo (tea)"
    assert files_of(table)[0] == [("gif", "")]


def test_records(read, fixture_file) -> None:
    table, tally = read("sigtop", fixture_file("sigtop/Tea House (group).json"))
    assert table.select("author_id", "kind", "text", "edited").rows() == [
        ("aci-ada", "text", "who wants tea? 🫖 @unknown, @unknown", False),
        ("You", "text", "me", False),
        ("+15550102", "text", "the last one", True),
        ("aci-bo", "deleted", "", False),
        ("aci-bo", "text", "", False),
        ("Unknown", "call", "", False),
        ("aci-bo", "system", "", False),
    ]
    assert table["id"].to_list() == ["a1", "a2", "a3", "a4", "a5", "a6", "a7"]
    assert table["reply_to"].to_list() == [None, "a1", "a2", None, None, None, None]
    assert table["mentions"][0].to_list() == [
        {"author_id": "aci-bo", "start": 17, "end": 25},
        {"author_id": "aci-peep", "start": 27, "end": 35},
    ]
    assert files_of(table)[1] == [("image", "pot.jpg"), ("voice", "")]
    assert files_of(table)[4] == [("sticker", "🎉")]
    assert table["sent_at"][0] == datetime(2024, 5, 1, 16, 2, 11, tzinfo=UTC)
    assert set(table.select("channel", "channel_id").rows()) == {("Tea House", "c7")}
    assert (tally.me, tally.skipped, tally.notes) == ("You", {}, [])


def test_in_records_of_two_the_file_names_the_other(read, memory_file) -> None:
    record = '{"id":"1","conversationId":"c","type":"incoming","sent_at":1,"source":"+15550101"}'
    table, _ = read("sigtop", memory_file(f"[\n{record}\n]\n".encode(), "ada (+15550101).json"))
    assert table.select("author", "author_id", "channel").rows() == [("ada", "+15550101", "ada")]


def test_records_that_are_none_cost_no_others(read, memory_file) -> None:
    record = '{"id":"1","conversationId":"c","type":"incoming","sent_at":1,"body":"tea"}'
    data = f'[\n{{"sent_at":2}},\n{{"id":,\n{record}\n]\n'
    table, tally = read("sigtop", memory_file(data.encode(), "c.json"))
    assert table["text"].to_list() == ["tea"]
    assert tally.skipped == {"no message": 1, "damaged line": 1}


def test_a_list_that_is_not_closed_is_noted(read, memory_file) -> None:
    record = (
        '{"id":"1","conversationId":"c","type":"incoming","sent_at":1714550000000,"body":"tea"}'
    )
    _, tally = read("sigtop", memory_file(f"[\n{record},\n".encode(), "c.json"))
    assert tally.notes == ["the list is not closed: messages may be missing at its end"]


def test_a_last_message_without_a_body_may_have_lost_it(read, memory_file) -> None:
    text = f"Conversation: ada (+15550101)\n\n{HEAD}\ntea?\n\n{HEAD}\n"
    table, tally = read("sigtop", memory_file(text.encode()))
    assert table["text"].to_list() == ["tea?"]
    assert tally.skipped == {"message broken off": 1}


def test_another_file_is_an_error(read, memory_file) -> None:
    with pytest.raises(SourceError, match=r"tea\.txt holds no message of sigtop"):
        read("sigtop", memory_file(b"tea\nfor two\n", "tea.txt"))


lines = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=8)
bodies = (
    st.lists(lines, min_size=1, max_size=4)
    .map("\n".join)
    .filter(lambda body: body == body.strip("\n") != "" and not body.startswith(">"))
)


@given(st.lists(bodies, min_size=1, max_size=5))
def test_bodies_come_back_as_they_were_sent(read, memory_file, bodies) -> None:
    text = "Conversation: ada (+15550101)\n\n" + "".join(f"{HEAD}\n{body}\n\n" for body in bodies)
    table, tally = read("sigtop", memory_file(text.encode()))
    assert table["text"].to_list() == bodies
    assert not tally.skipped
