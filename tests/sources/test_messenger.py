"""Messenger and Instagram: what each field becomes, and how strings are repaired."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myna.errors import SourceError
from myna.sources import recognise

FOLDER = "messenger/"
TEA_HOUSE = FOLDER + "your_facebook_activity/messages/inbox/teahouse_123/"
BO = FOLDER + "your_instagram_activity/messages/inbox/bo_456/message_1.json"
ENCRYPTED = FOLDER + "encrypted/Bo Peep_7.json"
FIRST = 1709283600000


@pytest.fixture(scope="module")
def tea_house(read, fixture_file) -> dict[int, dict[str, Any]]:
    """The messages of the chat that has everything, by their milliseconds."""
    table, tally = read("messenger", fixture_file(TEA_HOUSE + "message_1.json"))
    assert (tally.skipped, tally.notes, tally.unread_bytes, tally.me) == ({}, [], 0, None)
    return {row["position"] // 1000 - FIRST: row for row in reversed(table.to_dicts())}


def garbled(value: Any) -> Any:
    """A value as Facebook writes it: each string's UTF-8 as if it were Latin-1."""
    if isinstance(value, dict):
        return {key: garbled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [garbled(item) for item in value]
    return value.encode().decode("latin-1") if isinstance(value, str) else value


def message(content: str | None = "tea", **more: Any) -> dict[str, Any]:
    """A message as Facebook writes it."""
    return {"sender_name": "Ada", "timestamp_ms": FIRST, "content": content, **more}


def export(messages: list[Any], **more: Any) -> bytes:
    """A chat as Facebook writes it."""
    document = {
        "participants": [{"name": "Bo"}, {"name": "Ada"}],
        "messages": messages,
        "title": "Bo",
        "thread_path": "inbox/bo_1",
        **more,
    }
    return json.dumps(garbled(document)).encode()


class TestFields:
    def test_the_place(self, read, fixture_file) -> None:
        for name, place in (
            (TEA_HOUSE + "message_1.json", ("messenger", "", "Tea House", "teahouse_123")),
            (TEA_HOUSE + "message_2.json", ("messenger", "", "Tea House", "teahouse_123")),
            (BO, ("instagram", "", "Bo", "bo_456")),
            (ENCRYPTED, ("messenger", "", "Bo Peep", "Bo Peep_7")),
        ):
            table, _ = read("messenger", fixture_file(name))
            assert set(table.select("source", "space", "channel", "channel_id").rows()) == {place}

    def test_strings_are_repaired(self, tea_house) -> None:
        sent = tea_house[5000]
        assert (sent["author_id"], sent["author"]) == ("Renée 🍵", "Renée 🍵")
        assert sent["text"] == "@Bo Peep naïve question: who's « hot »?\nmilk 🥛"
        assert sent["sent_at"] == datetime(2024, 3, 1, 9, 0, 5, tzinfo=UTC)
        assert not sent["zone_assumed"]

    def test_participants_are_mentioned_by_name(self, tea_house) -> None:
        assert tea_house[5000]["mentions"] == [{"author_id": "Bo Peep", "start": 0, "end": 8}]

    def test_kinds(self, tea_house) -> None:
        kinds = {time: m["kind"] for time, m in tea_house.items() if m["kind"] != "text"}
        assert kinds == {
            7400: "system",
            7500: "system",
            7900: "call",
            8000: "call",
            8500: "deleted",
            9000: "system",
        }

    def test_old_exports_say_the_type(self, read, fixture_file) -> None:
        table, _ = read("messenger", fixture_file(TEA_HOUSE + "message_2.json"))
        assert table["kind"].to_list() == ["system", "text", "call", "system"]

    def test_files(self, tea_house) -> None:
        files = {
            time: [(f["kind"], f["name"]) for f in m["attachments"]]
            for time, m in tea_house.items()
            if m["attachments"]
        }
        assert files == {
            5300: [("file", "")],
            6000: [("image", "cups_1.jpg"), ("image", "cups_2.png")],
            6200: [("file", "blends_1.pdf")],
            6300: [("video", "steam.mp4")],
            6400: [("gif", "pour.gif")],
            6500: [("voice", "audioclip-1.mp4")],
            7000: [("sticker", "39178_369.png")],
        }
        assert tea_house[5300]["text"] == ""
        assert tea_house[6000]["text"] == "the new cups"

    def test_links_that_were_shared_are_text_once(self, tea_house) -> None:
        assert tea_house[5500]["text"] == "https://example.org/teas"
        assert tea_house[5400]["text"] == "look: https://example.org/cups"

    def test_a_sender_without_a_name(self, tea_house) -> None:
        assert tea_house[4000]["author"] == "unknown"

    def test_of_instagram_a_story_that_is_answered_is_no_text(self, read, fixture_file) -> None:
        table, tally = read("messenger", fixture_file(BO))
        assert list(zip(table["kind"], table["text"], strict=True)) == [
            ("text", "you there?"),
            ("system", "Liked a message"),
            ("text", "https://www.instagram.com/reel/x/"),
            ("text", "café ☕"),
        ]
        assert tally.me == "Ada Byron"

    def test_encrypted_chats_need_no_repair(self, read, fixture_file) -> None:
        table, tally = read("messenger", fixture_file(ENCRYPTED))
        files = [[(f["kind"], f["name"]) for f in files] for files in table["attachments"]]
        assert list(zip(table["kind"], table["text"], files, strict=True)) == [
            ("text", "", [("image", "aa-bb.jpeg")]),
            ("text", "", [("file", "")]),
            ("deleted", "", []),
            ("deleted", "", []),
            ("text", "https://example.org/teas", []),
            ("text", "naïve café 🍵", []),
        ]
        assert tally.me == "Ada Byron"


class TestOrder:
    def test_older_messages_have_lower_positions_across_files(self, read, fixture_file) -> None:
        newer, _ = read("messenger", fixture_file(TEA_HOUSE + "message_1.json"))
        older, _ = read("messenger", fixture_file(TEA_HOUSE + "message_2.json"))
        positions = newer["position"].to_list() + older["position"].to_list()
        assert positions == sorted(set(positions), reverse=True)

    def test_in_the_same_millisecond_the_file_tells(self, read, memory_file) -> None:
        table, _ = read("messenger", memory_file(export([message("two"), message("one")])))
        assert table.sort("position")["text"].to_list() == ["one", "two"]

    def test_ids_stay_when_the_chat_grows(self, read, memory_file) -> None:
        old = [message("b", timestamp_ms=2), message("a", timestamp_ms=1)]
        before, _ = read("messenger", memory_file(export(old)))
        after, _ = read("messenger", memory_file(export([message("c", timestamp_ms=3), *old])))
        assert after["id"].to_list()[1:] == before["id"].to_list()


class TestNotices:
    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            ("Ada created the group.", "system"),
            ("Ada added Bo to the group.", "system"),
            ("You removed Bo from the group.", "system"),
            ("Ada changed the theme to Tea.", "system"),
            ("Ada set her own nickname to Kettle.", "system"),
            ("Ada pinned a message.", "system"),
            ("Reacted 🫖 to your message ", "system"),
            ("You are now connected on Messenger.", "system"),
            ("Ada called you.", "call"),
            ("You missed a call from Ada.", "call"),
            ("Ada started a video chat.", "call"),
            ("Ada is late", "text"),
            ("You left the milk out", "text"),
            ("Bo created the group.", "text"),
            ("I reacted badly to your message", "text"),
            ("she added Bo to the group. why?", "text"),
        ],
    )
    def test_are_known_by_their_words_behind_the_senders_name(
        self, content, kind, read, memory_file
    ) -> None:
        table, _ = read("messenger", memory_file(export([message(content)])))
        assert table.select("kind", "text").rows() == [(kind, content)]

    def test_where_only_a_notice_of_a_file_is_left_it_is_a_file(self, read, memory_file) -> None:
        for content in ("Ada sent a photo.", "You sent an attachment.", "Ada sent 3 photos."):
            table, _ = read("messenger", memory_file(export([message(content)])))
            assert table["text"].to_list() == [""]
            assert table["attachments"].to_list() == [[{"kind": "file", "name": ""}]]


class TestPlatform:
    @pytest.mark.parametrize(
        ("path", "uri", "source"),
        [
            ("/x/instagram-ada/messages/inbox/bo_1/message_1.json", "", "instagram"),
            ("/x/facebook-ada/messages/inbox/bo_1/message_1.json", "", "messenger"),
            ("/instagram/facebook-ada/message_1.json", "", "messenger"),
            ("/x/message_1.json", "your_instagram_activity/photo.jpg", "instagram"),
            ("/x/message_1.json", "your_facebook_activity/photo.jpg", "messenger"),
            ("/x/message_1.json", "messages/photo.jpg", "messenger"),
        ],
    )
    def test_by_the_path_or_the_media(self, path, uri, source, read, memory_file) -> None:
        file = memory_file(export([message(photos=[{"uri": uri}])]), path)
        assert read("messenger", file)[0]["source"].to_list() == [source]

    def test_without_a_thread_path_the_folder_is_the_chats_id(self, read, memory_file) -> None:
        file = memory_file(export([message()], thread_path=""), "/x/inbox/Bo_9/message_1.json")
        assert read("messenger", file)[0]["channel_id"].to_list() == ["bo_9"]


class TestDamage:
    def test_a_damaged_message_costs_no_neighbour(self, read, memory_file) -> None:
        data = export([message("one"), "DAMAGED", message("three")])
        for damaged in (b'{"sender_name": "Ada", "content": 5}', b'{"sender_name": "Ada'):
            file = memory_file(data.replace(b'"DAMAGED"', damaged))
            table, tally = read("messenger", file)
            assert table["text"].to_list() == ["one", "three"]
            assert tally.skipped == {"damaged message": 1}

    def test_what_is_no_message_is_counted(self, read, memory_file) -> None:
        table, tally = read("messenger", memory_file(export([message(), {"ada": "tea"}])))
        assert table.height == 1
        assert tally.skipped == {"no sender and no time": 1}

    def test_a_file_that_breaks_off(self, read, memory_file) -> None:
        data = export([message("one"), message("two")])
        table, tally = read("messenger", memory_file(data[: data.index(b"two")]))
        assert table["text"].to_list() == ["one"]
        assert tally.notes == ["the export breaks off: older messages may be missing"]
        assert tally.unread_bytes

    def test_a_title_of_nothing_names_the_people(self, read, memory_file) -> None:
        table, _ = read("messenger", memory_file(export([message()], title=None)))
        assert table["channel"].to_list() == ["Bo, Ada"]

    @pytest.mark.parametrize("time", [None, 10**17, -(10**30), "soon", 10**400])
    def test_times_that_cannot_be_are_null(self, time, read, memory_file) -> None:
        table, tally = read("messenger", memory_file(export([message(timestamp_ms=time)])))
        assert table["sent_at"].to_list() in ([None], [])
        assert table.height + sum(tally.skipped.values()) == 1

    def test_an_empty_chat_is_noted(self, read, memory_file) -> None:
        file = memory_file(export([]))
        assert recognise(file).source == "messenger"
        assert read("messenger", file)[1].notes == ["the export holds no messages"]

    def test_another_document_is_an_error(self, read, memory_file) -> None:
        with pytest.raises(SourceError, match="no list of messages"):
            read("messenger", memory_file(b'{"participants": []}'))


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_texts_come_through_whole(texts: list[str], read, memory_file) -> None:
    sent = [message(text, timestamp_ms=FIRST - n) for n, text in enumerate(texts)]
    table, _ = read("messenger", memory_file(export(sent)))
    assert table["text"].to_list() == texts


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_texts_of_encrypted_chats_come_through_as_they_are(text: str, read, memory_file) -> None:
    sent = {"isUnsent": False, "media": [], "senderName": "Ada", "text": text, "timestamp": FIRST}
    document = {"participants": ["Ada", "Bo"], "threadName": "Bo_1", "messages": [sent]}
    data = json.dumps(document, ensure_ascii=False).encode()
    assert read("messenger", memory_file(data))[0]["text"].to_list() == [text]
