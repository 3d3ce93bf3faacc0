"""Telegram Desktop's result.json: what each field becomes, and what damage costs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myna import workers
from myna.errors import SourceError
from myna.sources import recognise
from myna.sources._shared import files, json_stream

FOLDER = "telegram/"


@pytest.fixture(scope="module")
def kettle(read, fixture_file) -> dict[str, dict[str, Any]]:
    """The messages of the group that has everything, by their ids."""
    table, _ = read("telegram", fixture_file(FOLDER + "result.json"))
    return {row["id"]: row for row in table.to_dicts()}


@pytest.fixture(scope="module")
def account(read, fixture_file) -> dict[str, dict[str, Any]]:
    """The messages of an account's chats, by chat and id."""
    table, tally = read("telegram", fixture_file(FOLDER + "account/result.json"))
    assert (tally.skipped, tally.notes, tally.unread_bytes) == ({}, [], 0)
    return {f"{row['channel_id']}/{row['id']}": row for row in table.to_dicts()}


def chat(messages: list[Any], **more: Any) -> dict[str, Any]:
    """A chat as the exporter writes it."""
    return {"name": "Kettle", "type": "private_group", "id": 40, **more, "messages": messages}


def message(number: int, text: Any = "tea", **more: Any) -> dict[str, Any]:
    """A message as the exporter writes it."""
    sent = {"id": number, "type": "message", "date": "2024-03-01T08:00:00"}
    sent |= {"date_unixtime": "1709280000", "from": "Ada", "from_id": "user31"}
    return {**sent, **more, "text": text, "text_entities": []}


def account_of(*chats: dict[str, Any], left: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """An account's data as the exporter writes it."""
    document: dict[str, Any] = {"about": "Here is the data you requested. Telegram is ad free"}
    document["chats"] = {"about": "all chats", "list": list(chats)}
    if left:
        document["left_chats"] = {"about": "those you left", "list": list(left)}
    return document


def dump(value: Any, indent: int | None = 1) -> bytes:
    return json.dumps(value, indent=indent, ensure_ascii=False).encode()


class TestFields:
    def test_the_place_is_known_by_a_prefix_as_senders_are(self, kettle, account) -> None:
        places = {(m["source"], m["space"], m["channel"], m["channel_id"]) for m in kettle.values()}
        assert places == {("telegram", "", "Kettle", "chat40")}
        assert {m["channel_id"]: m["channel"] for m in account.values()} == {
            "user32": "Bo {the [tea]",
            "user60": "Kettle Bot",
            "user31": "Saved Messages",
            "channel41": "Tea Forum",
            "channel50": "Tea House News",
        }

    def test_a_plain_message(self, kettle) -> None:
        sent = kettle["2"]
        assert sent["text"] == "who wants tea? 🍵\nthe green one"
        assert (sent["author_id"], sent["author"], sent["handle"]) == ("user31", "Ada", None)
        assert sent["sent_at"] == datetime(2024, 3, 1, 8, 0, 10, tzinfo=UTC)
        assert (sent["kind"], sent["edited"], sent["zone_assumed"]) == ("text", True, False)
        assert (sent["reply_to"], sent["attachments"], sent["mentions"]) == (None, [], [])

    def test_kinds(self, kettle) -> None:
        kinds = {number: m["kind"] for number, m in kettle.items() if m["kind"] != "text"}
        assert kinds == {
            "1": "system",
            "5": "forward",
            "6": "forward",
            "7": "forward",
            "8": "command",
            "9": "command",
            "23": "system",
            "27": "call",
        }

    def test_notices_say_what_was_done(self, kettle) -> None:
        assert kettle["1"]["text"] == "create group: Kettle"
        assert (kettle["23"]["author"], kettle["23"]["text"]) == ("Ada", "pin message")

    def test_markup_becomes_plain_text(self, kettle) -> None:
        text = kettle["3"]["text"]
        assert text == (
            "I do, @Ada and @peep_b see the list (https://example.org/teas) "
            "or https://example.org/cups"
        )
        spans = [(m["author_id"], text[m["start"] : m["end"]]) for m in kettle["3"]["mentions"]]
        assert spans == [("user31", "@Ada")]

    def test_what_is_quoted_is_not_the_authors(self, kettle) -> None:
        assert kettle["4"]["text"] == "milk first 🥛 never"
        assert (kettle["5"]["kind"], kettle["5"]["text"]) == ("forward", "a watched kettle")

    def test_only_answers_within_the_chat_are_replies(self, kettle) -> None:
        replies = {number: m["reply_to"] for number, m in kettle.items() if m["reply_to"]}
        assert replies == {"3": "2"}

    def test_files_by_kind_and_name_even_those_not_exported(self, kettle) -> None:
        files = {
            number: [(f["kind"], f["name"]) for f in m["attachments"]]
            for number, m in kettle.items()
            if m["attachments"]
        }
        assert files == {
            "10": [("image", "photo_1@01-03-2024_09-01-10.jpg")],
            "11": [("image", "")],
            "12": [("sticker", "🫖")],
            "13": [("voice", "audio_1@01-03-2024_09-01-25.ogg")],
            "14": [("gif", "")],
            "15": [("video", "file_1.mp4")],
            "16": [("file", "blends of 1902.pdf")],
            "17": [("image", "")],
            "18": [("file", "song.mp3")],
            "19": [("file", "location")],
            "20": [("file", "contact")],
        }

    def test_a_polls_question_is_its_authors(self, kettle) -> None:
        assert kettle["21"]["text"] == "green or black?"

    def test_deleted_accounts_keep_their_id(self, kettle) -> None:
        assert (kettle["22"]["author_id"], kettle["22"]["author"]) == ("user34", "Deleted Account")

    def test_what_telegram_could_not_export_is_counted(self, read, fixture_file) -> None:
        _, tally = read("telegram", fixture_file(FOLDER + "result.json"))
        assert tally.skipped == {"not supported by Telegram Desktop": 1}
        assert list(tally.examples.values()) == ["message 24"]

    def test_posts_without_a_sender_are_the_channels(self, account) -> None:
        post = account["channel50/2"]
        assert (post["author_id"], post["author"]) == ("channel50", "Tea House News")

    def test_the_other_side_of_a_bots_chat_is_a_bot(self, account) -> None:
        assert [key for key, m in account.items() if m["is_bot"]] == ["user60/102"]

    def test_whoever_is_mentioned_by_the_exporters_login_name(self, account) -> None:
        sent = account["user32/201"]
        assert sent["text"] == "ask @Ada_B \v now"
        assert sent["mentions"] == [{"author_id": "user31", "start": 4, "end": 10}]

    def test_what_is_in_a_forums_topic_is_its_thread(self, account) -> None:
        forum = [m for m in account.values() if m["channel_id"] == "channel41"]
        assert [(m["id"], m["thread"], m["reply_to"]) for m in forum] == [
            ("1", None, None),
            ("2", "cups [2]", None),
            ("3", "cups [3]", None),
            ("4", "cups [2]", None),
            ("5", "cups [3]", None),
            ("6", "cups [2]", "4"),
            ("7", None, None),
            ("8", None, "7"),
            ("9", "cups [2]", "6"),
        ]


class TestVersions:
    def test_old_exports_have_local_times_and_numbers_for_ids(self, read, fixture_file) -> None:
        table, _ = read("telegram", fixture_file(FOLDER + "old.json"))
        rows = table.to_dicts()
        assert [(r["author_id"], r["author"]) for r in rows] == [
            ("user31", "Ada"),
            ("user31", "Ada"),
            ("user32", "Bo"),
            ("channel50", "Tea House News"),
        ]
        assert {r["channel_id"] for r in rows} == {"channel44"}
        assert rows[0]["sent_at"] == datetime(2019, 5, 1, 10, tzinfo=UTC)
        assert all(r["zone_assumed"] for r in rows)
        assert [r["edited"] for r in rows] == [False, False, True, False]

    def test_messages_from_before_a_supergroup_come_first(self, read, fixture_file) -> None:
        table, _ = read("telegram", fixture_file(FOLDER + "old.json"))
        assert table["position"].to_list() == [-999999990, 5, 6, 7]

    @pytest.mark.parametrize(
        ("document", "me"),
        [
            (chat([message(1)], type="personal_chat", id=32), "user31"),
            (chat([message(1)], type="personal_chat", id=31), None),
            (chat([message(1)], type="saved_messages", id=31), "user31"),
            (chat([message(1)]), None),
            (account_of(chat([message(1)]), chat([], type="saved_messages", id=31)), "user31"),
            (account_of(chat([message(1)], type="personal_chat", id=32)), None),
        ],
    )
    def test_whose_export_it_is(self, document, me, read, memory_file) -> None:
        assert read("telegram", memory_file(dump(document)))[1].me == me

    def test_whose_account_it_is(self, read, fixture_file) -> None:
        assert read("telegram", fixture_file(FOLDER + "account/result.json"))[1].me == "user31"

    @pytest.mark.parametrize("indent", [None, 2])
    @pytest.mark.parametrize("name", ["result.json", "old.json"])
    def test_white_space_does_not_matter(self, name, indent, read, memory_file, fixture_file):
        file = fixture_file(FOLDER + name)
        again = memory_file(b"\xef\xbb\xbf" + dump(json.loads(file.head), indent))
        assert recognise(again).source == "telegram"
        assert read("telegram", again)[0].equals(read("telegram", file)[0])

    def test_without_a_chats_fields_the_file_names_it(self, read, memory_file) -> None:
        file = memory_file(dump({"messages": [message(1)]}), "tea.json")
        table, tally = read("telegram", file)
        assert table["channel"].to_list() == ["tea"]
        assert tally.notes == ["a chat does not say which it is: named after the file"]

    def test_several_processes_read_the_same(self, read, tmp_path, monkeypatch) -> None:
        from myna.sources import ChatFile

        monkeypatch.setattr(json_stream, "BATCH_BYTES", 2_000)
        path = tmp_path / "result.json"
        path.write_bytes(dump(chat([message(n) for n in range(200)])))
        alone, _ = read("telegram", ChatFile(path))
        monkeypatch.setattr(files, "LARGE_BYTES", 0)
        monkeypatch.setattr(workers, "cores", lambda: 2)
        shared, tally = read("telegram", ChatFile(path))
        assert shared["id"].to_list() == [str(n) for n in range(200)]
        assert shared.equals(alone)
        assert tally.skipped == {}

    def test_topics_go_on_in_later_batches(self, read, memory_file, monkeypatch) -> None:
        monkeypatch.setattr(json_stream, "BATCH_BYTES", 1)
        monkeypatch.setattr(json_stream, "CHUNK_BYTES", 100)
        begun = {"id": 1, "type": "service", "action": "topic_created", "title": "cups"}
        later = [message(n, reply_to_message_id=n - 1) for n in (2, 3, 4)]
        file = memory_file(dump(chat([begun, *later], type="public_supergroup")))
        table, _ = read("telegram", file)
        assert table["thread"].to_list() == ["cups [1]"] * 4
        assert table["reply_to"].to_list() == [None, None, "2", "3"]


class TestDamage:
    @pytest.mark.parametrize(
        "damaged",
        [
            b'{"id": 12, "type": "message", "text": "no quote, }',
            b'{"id": 12, "type": "message", "text": "unclosed" ',
            b'{"id": 12, "type": "message", "text": [[}',
            b'{"id": 12, "type": "message", "text": 5}',
            b'{"id": null, "type": "message"}',
            b"{}",
        ],
        ids=range(6),
    )
    @pytest.mark.parametrize("chunk", [64, 1 << 20])
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_damaged_message_costs_no_neighbour_and_no_chat(
        self, place, chunk, damaged, read, memory_file, monkeypatch
    ) -> None:
        monkeypatch.setattr(json_stream, "CHUNK_BYTES", chunk)
        sent: list[Any] = [message(11), message(13)]
        sent.insert(place, "DAMAGED")
        other = chat([message(21), message(22)], name="Cups", id=41)
        for document in (
            account_of(chat(sent), other),
            account_of(other, chat(sent)),
            account_of(chat(sent), left=(other,)),
        ):
            data = dump(document).replace(b'"DAMAGED"', damaged)
            table, tally = read("telegram", memory_file(data))
            found = {(r["channel"], r["id"]) for r in table.to_dicts()}
            assert found == {("Kettle", "11"), ("Kettle", "13"), ("Cups", "21"), ("Cups", "22")}
            assert tally.skipped == {"damaged message": 1}
            assert (tally.unread_bytes, tally.notes) == (0, [])

    def test_a_cut_between_chats_is_noted(self, read, memory_file) -> None:
        data = dump(account_of(chat([message(11)]), chat([message(21)], id=41)))
        cut = data.index(b'"name"', data.index(b'"messages"')) + 4
        table, tally = read("telegram", memory_file(data[:cut]))
        assert table["id"].to_list() == ["11"]
        assert tally.notes == [
            "the export breaks off behind a last message: there may have been more chats"
        ]
        assert tally.unread_bytes

    def test_a_lost_last_bracket_costs_no_message(self, read, memory_file) -> None:
        table, tally = read("telegram", memory_file(dump(chat([message(11)]))[:-1]))
        assert table.height == 1
        assert tally.notes == ["the export breaks off behind a last message: none is missing"]
        assert tally.unread_bytes == 0

    def test_control_characters_as_the_exporter_writes_them(self, read, memory_file) -> None:
        data = dump(chat([message(1), message(2, "green TEA"), message(3)]))
        table, tally = read("telegram", memory_file(data.replace(b"TEA", rb"\x0B\x1fte\\x0Ba")))
        assert table["text"].to_list() == ["tea", "green \v\x1fte\\x0Ba", "tea"]
        assert tally.skipped == {}

    @pytest.mark.parametrize("time", ["soon", "99999999999999999999", "-1e9", "999999999999999"])
    def test_times_that_cannot_be_are_null_or_local(self, time, read, memory_file) -> None:
        sent = message(1, date_unixtime=time, date="no date")
        table, _ = read("telegram", memory_file(dump(chat([sent]))))
        assert table["sent_at"].to_list() == [None]

    def test_an_export_without_chats_is_an_error(self, read, memory_file) -> None:
        with pytest.raises(SourceError, match="no list of messages"):
            read("telegram", memory_file(dump({"about": "Telegram", "contacts": {}})))

    def test_an_export_of_empty_chats_is_noted(self, read, memory_file) -> None:
        _, tally = read("telegram", memory_file(dump(chat([]))))
        assert tally.notes == ["the export holds no messages"]


@pytest.mark.parametrize(
    "data",
    [
        b'{"name": "x", "type": "GuildTextChat", "id": "1", "messages": []}',
        b'{"about": "me", "contacts": []}',
        b'[{"type": "personal_chat"}]',
        b"Telegram personal_chat messages",
        b"",
    ],
)
def test_what_is_of_others_is_not_recognised(data: bytes, memory_file) -> None:
    found = recognise(memory_file(data, "result.json"))
    assert found is None or found.source != "telegram"


parts = st.lists(
    st.text()
    | st.fixed_dictionaries({"type": st.sampled_from(["bold", "pre", "code"]), "text": st.text()})
    | st.fixed_dictionaries(
        {"type": st.just("mention_name"), "text": st.text(), "user_id": st.integers(1, 99)}
    ),
    max_size=5,
)


@given(texts=st.lists(st.text() | parts, max_size=4), escaped=st.booleans())
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_texts_come_through_whole(texts: list[Any], escaped: bool, read, memory_file) -> None:
    data = json.dumps(
        chat([message(n, text) for n, text in enumerate(texts)]), ensure_ascii=escaped
    ).encode("utf-8", "replace")
    table, _ = read("telegram", memory_file(data))
    for row, text in zip(table.to_dicts(), texts, strict=True):
        expected = ""
        for part in [text] if isinstance(text, str) else text:
            shown = part if isinstance(part, str) else part["text"]
            is_mention = isinstance(part, dict) and part["type"] == "mention_name"
            expected += f"@{shown.removeprefix('@')}" if is_mention else shown
        assert row["text"] == expected
        spans = [row["text"][m["start"] : m["end"]] for m in row["mentions"]]
        assert all(span.startswith("@") for span in spans)
