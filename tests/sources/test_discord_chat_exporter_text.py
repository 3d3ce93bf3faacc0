"""DiscordChatExporter TXT: where messages begin, what belongs to them, and what is missing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myna.errors import SourceError
from myna.sources import discord_chat_exporter_text, recognise

SOURCE = "discord_chat_exporter_text"
RULE = "=" * 62
KETTLE = f"{SOURCE}/Tea House - Rooms - kettle [1001] (after 2024-02-01).txt"
OLD = f"{SOURCE}/Direct Messages - Group - ada, bo [1002].txt"
DATE = "26-Jun-19 06:26 PM"


def export(*messages: str, count: int | None = None, channel: str = "kettle") -> str:
    """An export of messages, each with its blocks; `count` is what its end speaks of."""
    head = f"{RULE}\nGuild: Tea House\nChannel: {channel}\n{RULE}\n\n"
    body = "".join(f"{message}\n\n\n" for message in messages)
    count = len(messages) if count is None else count
    return f"{head}{body}{RULE}\nExported {count:,} message(s)\n{RULE}\n"


def message(content: str = "tea", author: str = "ada", date: str = DATE) -> str:
    """A message's first line and its content."""
    return f"[{date}] {author}\n{content}"


@pytest.fixture
def said(read, memory_file):
    """The messages of a text, and the tally."""

    def read_text(text: str) -> tuple[list[dict[str, Any]], Any]:
        table, tally = read(SOURCE, memory_file(text.encode(), "kettle.txt"))
        return table.to_dicts(), tally

    return read_text


class TestMessages:
    @pytest.fixture(scope="class")
    def kettle(self, read, fixture_file) -> list[dict[str, Any]]:
        table, tally = read(SOURCE, fixture_file(KETTLE))
        assert (tally.skipped, tally.unread_bytes) == ({}, 0)
        assert tally.notes == ["dates such as 3/4/2020 were read as the fourth of March"]
        rows: list[dict[str, Any]] = table.to_dicts()
        return rows

    def test_the_place_is_in_the_preamble_and_the_channels_id_in_the_name(self, kettle) -> None:
        keys = ("source", "space", "channel", "channel_id", "thread")
        assert {tuple(m[key] for key in keys) for m in kettle} == {
            ("discord", "Tea House", "kettle", "1001", None)
        }

    def test_times(self, kettle) -> None:
        assert kettle[2]["sent_at"] == datetime(2024, 3, 1, 8, 1, tzinfo=UTC)
        assert kettle[4]["sent_at"] == datetime(2024, 3, 1, 12, 2, tzinfo=UTC)
        assert all(m["zone_assumed"] for m in kettle)

    def test_lines_that_are_like_others_are_text(self, kettle) -> None:
        assert kettle[1]["text"] == (
            "who wants tea? :teapot:\n\n[the green one]\n[12:30] or the black\n[1/2/24] or both"
        )
        assert kettle[4]["text"] == f"@unknown: {{Attachments}}\n{RULE}\nthat was a line"
        assert kettle[4]["mentions"] == [{"author_id": "31", "start": 0, "end": 8}]

    def test_pinned_is_no_part_of_the_name(self, kettle) -> None:
        assert kettle[1]["author"] == "ada_b"

    def test_notices_are_known_by_their_text(self, kettle) -> None:
        system = [m["text"] for m in kettle if m["kind"] == "system"]
        assert system == ["Joined the server.", "Pinned a message."]

    def test_blocks_are_no_text(self, kettle) -> None:
        assert kettle[5]["text"] == "look"
        assert [(f["kind"], f["name"]) for f in kettle[5]["attachments"]] == [
            ("image", "leaf.PNG"),
            ("voice", "voice-message-AB12C.ogg"),
            ("sticker", "91.png"),
        ]

    def test_forwarded_words_and_files_are_another_ones(self, kettle) -> None:
        assert (kettle[6]["kind"], kettle[6]["text"]) == ("forward", "")
        assert kettle[6]["attachments"] == []

    def test_a_message_of_embeds_alone_is_empty(self, kettle) -> None:
        assert (kettle[7]["kind"], kettle[7]["text"]) == ("text", "")
        assert (kettle[7]["author_id"], kettle[7]["author"]) == ("kettlebot#1234", "kettlebot")


def test_old_exports_have_no_end_but_a_number_in_front(read, fixture_file) -> None:
    table, tally = read(SOURCE, fixture_file(OLD))
    assert table["text"].to_list() == [
        "who wants tea?",
        "me!\n\nand Peep",
        "Added peep to the group.",
        "Started a call.",
    ]
    assert table["kind"].to_list() == ["text", "text", "system", "call"]
    assert table["author_id"].to_list() == ["ada#0042", "bo#0001", "ada#0042", "ada#0042"]
    assert table["author"].to_list() == ["ada", "bo", "ada", "ada"]
    assert table["sent_at"][2] == datetime(2019, 6, 27, 0, 5, tzinfo=UTC)
    assert table["space"].unique().to_list() == [""]
    assert table["channel_id"].unique().to_list() == ["1002"]
    assert (tally.skipped, tally.notes) == ({}, [])


def test_the_newest_may_be_first(read, fixture_file) -> None:
    table, _ = read(SOURCE, fixture_file(f"{SOURCE}/newest.txt"))
    assert table["text"].to_list() == ["ok", "really?", "ok"]
    assert table["position"].to_list() == [0, -1, -2]


@pytest.mark.parametrize(
    ("date", "month"),
    [
        ("26.06.2019 18:26", 6),
        ("26/06/2019 18:26", 6),
        ("6/26/2019 6:26\u202fPM", 6),
        ("2019-06-26 6:26 p.m.", 6),
        ("2019/6/26 18:26", 6),
        ("26. 6. 2019 18:26", 6),
        ("2019-06-26T18:26:00+00:00", 6),
        ("26 mars 2019 18:26", 3),
    ],
)
def test_dates_of_many_countries(date: str, month: int, said) -> None:
    found, tally = said(export(message("one", date=date), message("two", date=date)))
    assert [m["text"] for m in found] == ["one", "two"]
    assert found[0]["sent_at"] == datetime(2019, month, 26, 18, 26, tzinfo=UTC)
    assert tally.notes == []


def test_dates_that_cannot_be_read_cost_no_message(said) -> None:
    dates = ["26 чэр. 2019 18:26", "1 мяй 2019 9:05"]
    found, tally = said(export(*(message(date, date=date) for date in dates)))
    assert [(m["text"], m["sent_at"]) for m in found] == [(date, None) for date in dates]
    assert tally.notes == ["2 times could not be read, the first: '26 чэр. 2019 18:26'"]


class TestNumbers:
    @pytest.mark.parametrize("number", ["2", "0,002"])
    def test_what_the_end_speaks_of_is_there(self, number: str, said) -> None:
        text = export(message(), message()).replace("Exported 2", f"Exported {number}")
        assert said(text)[1].notes == []

    @pytest.mark.parametrize("number", ["1,234", "1.234", "1\u202f234", "1’234"])
    def test_what_is_missing_is_noted(self, number: str, said) -> None:
        _, tally = said(export(message()).replace("Exported 1", f"Exported {number}"))
        assert tally.notes == ["the export speaks of 1,234 messages, but holds 1"]

    def test_exports_in_a_row_are_counted_one_by_one(self, said) -> None:
        found, tally = said(export(message(), message()) + export(message(), channel="a / cups"))
        assert [m["channel"] for m in found] == ["kettle", "kettle", "cups"]
        assert (tally.notes, tally.skipped) == ([], {})

    def test_an_old_export_that_lacks_messages(self, said) -> None:
        head = f"{RULE}\nGuild: G\nChannel: c\nTopic: \nMessages: 7\nRange: \n{RULE}\n\n"
        found, tally = said(f"{head}{message('one')}\n\n{message('two')}\n\n")
        assert [m["text"] for m in found] == ["one", "two"]
        assert tally.notes == ["the export speaks of 7 messages, but holds 2"]

    def test_no_messages(self, said) -> None:
        found, tally = said(export())
        assert found == []
        assert tally.notes == ["the export holds no messages"]


class TestDamage:
    @pytest.mark.parametrize(
        "end", ["", "\n", "\n\n\n", f"\n\n\n{RULE[:9]}", f"\n\n{RULE}\nExport"]
    )
    def test_an_export_that_breaks_off_says_so(self, end: str, said) -> None:
        text = export(message("one"), message("two"))
        text = text[: text.index(f"{RULE}\nExported")].rstrip() + end
        found, tally = said(text)
        assert [m["text"] for m in found] == ["one", "two"]
        assert tally.notes[-1] == "the export breaks off after 2 messages"

    @pytest.mark.parametrize("end", ["", "\n", "\n<@12", "\n{Attach"])
    def test_a_message_that_breaks_off_before_its_text_is_left_out(self, end: str, said) -> None:
        text = export(message("one"), message("two"))
        text = text[: text.index("\ntwo")] + end
        found, tally = said(text)
        assert [m["text"] for m in found] == ["one"]
        assert tally.unread_bytes

    def test_lines_of_no_message_are_counted(self, said) -> None:
        text = export("what is\nthat?", message())
        found, tally = said(text)
        assert [m["text"] for m in found] == ["tea"]
        assert tally.skipped == {"lines outside of messages": 2}
        assert tally.examples == {"lines outside of messages": "line 4: what is"}

    def test_a_message_without_end_is_not_kept(self, said, monkeypatch) -> None:
        monkeypatch.setattr(discord_chat_exporter_text, "MAX_MESSAGE_CHARS", 100)
        found, tally = said(export(message("x\n" * 60), message()))
        assert [m["text"] for m in found] == ["tea"]
        assert tally.skipped == {"message too long": 1}
        assert tally.notes == []

    def test_a_text_without_messages_is_an_error(self, said) -> None:
        with pytest.raises(SourceError, match=r"kettle\.txt is no DiscordChatExporter TXT"):
            said("ada: tea\nbo: me!\n")

    def test_messages_without_a_preamble_are_read(self, said) -> None:
        text = export(message("one"), message("two"))
        found, tally = said(text[text.index("[") :])
        assert [(m["channel"], m["text"]) for m in found] == [("kettle", "one"), ("kettle", "two")]
        assert tally.notes == []


class TestRecognition:
    def test_by_the_preamble(self, memory_file) -> None:
        found = recognise(memory_file(export().encode()))
        assert (found.source, found.confidence) == (SOURCE, 0.98)

    def test_a_rule_alone_is_not_enough(self, memory_file) -> None:
        module = discord_chat_exporter_text
        assert module.recognise(memory_file(f"{RULE}\nGuild: tea\n".encode())) is None
        assert module.recognise(memory_file(b"")) is None


LINES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]))
PARAGRAPHS = st.lists(LINES.map(lambda line: f"a{line}"), min_size=1, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(PARAGRAPHS, max_size=4))
def test_any_lines_are_read_as_they_were_written(lines: list[list[str]], said) -> None:
    texts = ["\n\n".join(several).replace("<", "") for several in lines]
    found, tally = said(export(*map(message, texts)))
    assert [m["text"] for m in found] == texts
    assert not tally.skipped
