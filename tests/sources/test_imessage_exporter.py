"""imessage-exporter's text files."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.errors import SourceError
from myna.sources import Tally, load_source
from myna.sources._shared.text import UNENDED

DATE = "May 01, 2024 12:00:00 PM"


@pytest.fixture
def said(read, memory_file):
    """Author, kind and text of each message of a file of these lines."""

    def said(*lines: str) -> list[tuple[str, str, str]]:
        file = memory_file("\n".join([*lines, "", ""]).encode(), "tea.txt")
        return read("imessage_exporter", file)[0].select("author", "kind", "text").rows()

    return said


def test_messages_and_notices(read, fixture_file) -> None:
    table, tally = read("imessage_exporter", fixture_file("imessage_exporter/Tea House - 12.txt"))
    assert table.select("author", "kind", "text").rows() == [
        ("Me", "system", "You named the conversation Tea House"),
        ("ada", "system", "ada added bo to the conversation."),
        ("ada", "text", "who wants tea?\n\nthere is oolong: 🍵"),
        ("Me", "text", "me\nplease"),
        ("bo", "text", "two cups\n\nand one for peep"),
        ("Me", "text", "green tea"),
        ("bo", "text", "the kettle"),
        ("bo", "text", ""),
        ("ada", "text", ""),
        ("Me", "text", "https://tea.example/oolong"),
        ("bo", "deleted", ""),
        ("ada", "deleted", ""),
        ("Me", "deleted", ""),
        ("Me", "text", "still here"),
        ("bo", "system", "GamePigeon message:\nLet's play!"),
        ("ada", "system", "SharePlay Message\nEnded"),
        ("Me", "system", "Started sharing location!"),
        ("peep", "system", "peep left the conversation."),
    ]
    assert tally.skipped == {"notice without words": 1}
    assert tally.notes == ["of 1 links, title and summary of the page are left out"]


def test_places_accounts_and_times(read, fixture_file) -> None:
    table, tally = read("imessage_exporter", fixture_file("imessage_exporter/Tea House - 12.txt"))
    assert table.select("source", "channel").unique().rows() == [("imessage", "Tea House - 12")]
    assert table["author_id"][:4].to_list() == ["me", "ada", "ada", "me"]
    assert tally.me == "me"
    assert table["sent_at"][2] == datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert table["sent_at"][6] == datetime(2024, 5, 1, 13, 4, tzinfo=UTC)
    assert table["zone_assumed"].all()
    assert table.filter(table["edited"])["text"].to_list() == ["green tea", "still here"]


def test_a_reply_is_read_once_and_answers_what_it_stood_below(read, fixture_file) -> None:
    table, _ = read("imessage_exporter", fixture_file("imessage_exporter/Tea House - 12.txt"))
    replies = table.filter(table["reply_to"].is_not_null())
    assert replies["author"].to_list() == ["Me", "bo"]
    assert replies["reply_to"].to_list() == [table["id"][2]] * 2


def test_attachments(read, fixture_file) -> None:
    table, _ = read("imessage_exporter", fixture_file("imessage_exporter/Tea House - 12.txt"))
    files = [[tuple(file.values()) for file in files] for files in table["attachments"]]
    assert [of_one for of_one in files if of_one] == [
        [
            ("image", "IMG 1.HEIC"),
            ("video", "3.mov"),
            ("file", "33c81da8ae3194fc5a0ea993ef6ffe0b048baedb"),
            ("file", ""),
        ],
        [("voice", "Audio Message.caf")],
        [("sticker", "leaf.heic")],
    ]


def test_reactions_of_older_versions_are_no_text(read, fixture_file) -> None:
    table, _ = read("imessage_exporter", fixture_file("imessage_exporter/+15550100.txt"))
    assert table["text"].to_list() == ["psst", "Reactions: none"]


def test_indented_tapbacks_end_where_the_indentation_ends(said) -> None:
    lines = (DATE, "ada", "one", "Tapbacks:", "    Loved by bo", "step by step")
    assert said(*lines) == [("ada", "text", "one\nstep by step")]


def test_a_caption_below_a_reply_to_its_photo(said) -> None:
    reply = (f"    {DATE}", "    bo", "    nice", "")
    assert said(DATE, "ada", "attachments/1/2.jpg", *reply, "steam") == [("ada", "text", "steam")]


def test_what_follows_a_reply_below_a_text_is_the_replys(said) -> None:
    reply = (f"    {DATE}", "    bo", "    nice", "", "really")
    assert said(DATE, "ada", "steam", *reply) == [("ada", "text", "steam")]


def test_a_message_may_be_empty_and_need_no_blank_line_behind_it(said) -> None:
    assert said(DATE, "ada", DATE, "bo", "hi") == [("ada", "text", ""), ("bo", "text", "hi")]


def test_a_date_in_a_text_begins_no_message(said) -> None:
    lines = (DATE, "ada", f"{DATE} is when", "", "tea is")
    assert said(*lines) == [("ada", "text", f"{DATE} is when\n\ntea is")]


def test_several_parts_may_be_edited(said) -> None:
    first = (f"{DATE} a", "Edited 1 second later: b", "c")
    second = (f"{DATE} d", "Edited 2 hours, 1 second later: e")
    assert said(DATE, "ada", *first, *second) == [("ada", "text", "b\nc\ne")]


@pytest.mark.parametrize(
    "line", ["what/ever.", "/shrug", "see photo.jpg", "https://tea.example/a.jpg", "and/or", "..."]
)
def test_what_only_looks_like_a_path_is_text(line: str, said) -> None:
    assert said(DATE, "ada", line) == [("ada", "text", line)]


def test_receipts_show_the_name_that_the_exporter_was_given(read, memory_file) -> None:
    data = f"{DATE} (Read by Ada Tea after 2 seconds)\nbo\nhi\n\n{DATE}\nAda Tea\nho\n\n"
    table, tally = read("imessage_exporter", memory_file(data.encode()))
    assert table["author_id"].to_list() == ["bo", "Ada Tea"]
    assert tally.me == "Ada Tea"


@pytest.mark.parametrize(
    ("end", "texts"),
    [
        (f"{DATE}\nada\nho\n", ["hi", "ho"]),
        (f"{DATE}\nada\nho", ["hi", "ho"]),
        (f"{DATE}\nada\nho\n\nand\nmore", ["hi", "ho\n\nand\nmore"]),
        (f"{DATE} You named the conversation Tea", ["hi", "You named the conversation Tea"]),
        (f"{DATE}\nada\nMay be", ["hi", "May be"]),
    ],
)
def test_a_message_that_nothing_ends_is_read(end: str, texts, read, memory_file) -> None:
    table, tally = read("imessage_exporter", memory_file(f"{DATE}\nada\nhi\n\n{end}".encode()))
    assert table["text"].to_list() == texts
    assert not tally.skipped
    assert not tally.unread_bytes
    assert tally.notes == ([] if end.endswith("\n") else [UNENDED])


@pytest.mark.parametrize(
    "end", ["May 1", "May 17, 20", f"{DATE}", f"{DATE}\nad", "This message res"]
)
def test_a_message_that_breaks_off_before_its_text_is_counted(end, read, memory_file) -> None:
    table, tally = read("imessage_exporter", memory_file(f"{DATE}\nada\nhi\n\n{end}".encode()))
    assert table["text"].to_list() == ["hi"]
    assert tally.skipped or tally.unread_bytes


def test_lines_and_messages_that_have_no_sender_are_counted(read, memory_file) -> None:
    data = f"tea\n\n{DATE}\n\n{DATE}\nada\nhi\n\n".encode()
    table, tally = read("imessage_exporter", memory_file(data))
    assert table["text"].to_list() == ["hi"]
    assert tally.skipped == {"outside of messages": 1, "message without a sender": 1}


def test_the_same_chat_with_more_in_it_has_the_same_ids(read, fixture_file, memory_file) -> None:
    file = fixture_file("imessage_exporter/Tea House - 12.txt")
    more = file.path.read_bytes() + f"{DATE}\nada\nmore\n\n".encode()
    ids = read("imessage_exporter", file)[0]["id"].to_list()
    again, _ = read("imessage_exporter", memory_file(more, file.name))
    assert again["id"].to_list()[:-1] == ids


@pytest.mark.parametrize("text", ["", "tea\n", "May 01, 2024\nada\nhi\n\n", f"{DATE}\n"])
def test_another_file_is_not_recognised(text: str, memory_file) -> None:
    assert load_source("imessage_exporter").recognise(memory_file(text.encode(), "tea.txt")) is None


def test_another_file_is_an_error(read, memory_file) -> None:
    with pytest.raises(SourceError, match=r"^tea\.txt is no text of imessage-exporter: no line"):
        read("imessage_exporter", memory_file(b"tea\nfor two\n", "tea.txt"))


def is_plain(line: str) -> bool:
    """True if a line is only text; blanks at its ends are not kept."""
    looks_special = re.search(r"^ |[./]| message:|transaction|Check|Edited|Tapbacks|Transc", line)
    return not looks_special


WORDS = st.text(st.characters(categories=["L", "N", "P", "S"]) | st.just(" "), min_size=1)
LINES = st.lists(WORDS.filter(is_plain).filter(str.strip), min_size=1, max_size=4)


@given(texts=st.lists(LINES.map("\n".join) | LINES.map("\n\n".join), max_size=4))
@settings(max_examples=50)
def test_any_text_comes_back(texts: list[str], memory_file) -> None:
    data = "".join(f"{DATE}\nada\n{text}\n\n" for text in ["first", *texts]).encode()
    frames = list(load_source("imessage_exporter").read(memory_file(data), Tally()))
    assert [text for frame in frames for text in frame["text"]] == ["first", *texts]
