"""signalbackup-tools: its text, and tables of Signal's database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.errors import SourceError

HEAD = "[May 01, 2024 18:02:11]"


def test_a_text(read, fixture_file) -> None:
    table, tally = read(
        "signalbackup_tools", fixture_file("signalbackup_tools/Tea House (_id5).txt")
    )
    assert table.select("author", "kind", "text").rows() == [
        ("", "system", "peep updated the group.\nbo joined the group."),
        ("ada", "text", "who wants tea?\n\nor: cake"),
        ("bo (tea)", "text", ""),
        ("bo (tea)", "text", ""),
        ("bo (tea)", "text", "me, @ada (both: please)"),
        ("ada", "text", "Poll: which?\ngreen\nblack"),
        ("", "call", "ada called you"),
        ("", "call", "Missed call"),
    ]
    files = [[(file["kind"], file["name"]) for file in files] for files in table["attachments"]]
    assert files[2:4] == [[("image", "pot (1).jpg")], [("voice", "")]]
    assert table["sent_at"][1] == datetime(2024, 5, 1, 18, 2, 11, tzinfo=UTC)
    assert table["zone_assumed"].all()
    assert set(table["channel"]) == {"Tea House"}
    assert not tally.skipped


def test_the_table_message(read, fixture_file) -> None:
    table, tally = read("signalbackup_tools", fixture_file("signalbackup_tools/messages.csv"))
    assert table.select("id", "author", "kind", "text", "edited").rows() == [
        ("1", "12", "text", 'who wants "tea"?\nor cake', False),
        ("2", "You", "text", "me @unknown", False),
        ("4", "13", "text", "new", True),
        ("5", "12", "deleted", "", False),
        ("6", "12", "call", "", False),
        ("7", "12", "system", "", False),
        ("9", "12", "text", "x", False),
    ]
    assert table["reply_to"].to_list() == [None, "1", *[None] * 5]
    assert set(table.select("channel", "channel_id").rows()) == {
        ("messages 5", "5"),
        ("messages 6", "6"),
    }
    assert table["sent_at"][0] == datetime(2024, 5, 1, 16, 2, 11, tzinfo=UTC)
    assert table["sent_at"][6] is None
    assert tally.me == "You"
    assert tally.skipped == {
        "earlier version of an edited message": 1,
        "draft that was not sent": 1,
    }


def test_the_old_tables_have_ids_of_their_own(read, fixture_file) -> None:
    table, _ = read("signalbackup_tools", fixture_file("signalbackup_tools/mms.csv"))
    assert table.select("id", "author", "reply_to").rows() == [
        ("mms-1", "+15550101", None),
        ("mms-2", "You", "mms-1"),
    ]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("tea (ada: 👍)", "tea"),
        ("tea (bo (tea): 👍🏽; ada: 1️⃣)", "tea"),
        ("tea\n(ada: 👍) (ada: ❤️)", "tea\n(ada: 👍)"),
        ("tea (ada: yes)", "tea (ada: yes)"),
        ("tea (both: 5€)", "tea (both: 5€)"),
        ("tea (注: 好)", "tea (注: 好)"),
        ("tea (👍)", "tea (👍)"),
    ],
)
def test_reactions_are_not_of_the_text(read, memory_file, body, text) -> None:
    data = f"{HEAD} <ada> {body}\n".encode()
    table, _ = read("signalbackup_tools", memory_file(data, "ada (_id5).txt"))
    assert table["text"].to_list() == [text]


def test_an_empty_table_is_noted(read, memory_file) -> None:
    header = b"_id,thread_id,type,body,expires_in\n"
    _, tally = read("signalbackup_tools", memory_file(header, "message.csv"))
    assert tally.notes == ["the export holds no messages"]


def test_a_row_without_a_type_costs_no_others(read, memory_file) -> None:
    data = b"_id,thread_id,type,body,expires_in\n1,5,,tea,0\n2,5,20,tea?,0\n"
    table, tally = read("signalbackup_tools", memory_file(data, "message.csv"))
    assert table["id"].to_list() == ["2"]
    assert tally.skipped == {"damaged row": 1}


def test_another_file_is_an_error(read, memory_file) -> None:
    with pytest.raises(SourceError, match=r"tea\.txt holds no message of signalbackup-tools"):
        read("signalbackup_tools", memory_file(b"tea\nfor two\n", "tea.txt"))


lines = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=8)
bodies = (
    st.lists(lines, min_size=1, max_size=4)
    .map("\n".join)
    .filter(lambda body: body.strip() != "" and not body.endswith(")"))
)


@given(st.lists(bodies, min_size=1, max_size=5))
def test_bodies_come_back_as_they_were_sent(read, memory_file, bodies) -> None:
    data = "".join(f"{HEAD} <ada> {body}\n" for body in bodies).encode()
    table, tally = read("signalbackup_tools", memory_file(data, "ada (_id5).txt"))
    assert table["text"].to_list() == bodies
    assert not tally.skipped
