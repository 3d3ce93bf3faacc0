"""Discord's data package: one account's messages, and what the files beside them say."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myna.errors import SourceError
from myna.sources import ChatFile, Tally, recognise

PACKAGE = "discord_package/package/"
KETTLE = PACKAGE + "Messages/c700000000000001001/messages.json"
DIRECT = PACKAGE + "Messages/c700000000000001006/messages.json"
OLDER = "discord_package/older/messages/700000000000001007/messages.csv"


def load(read, file: ChatFile) -> tuple[list[dict[str, Any]], Tally]:
    table, tally = read("discord_package", file)
    return table.to_dicts(), tally


@pytest.fixture
def package(tmp_path):
    """Write a package of these files, and read its channel 700000000000001001."""

    def write(**files: Any) -> ChatFile:
        files.setdefault("messages/c700000000000001001/messages.json", [message(11, "tea")])
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return ChatFile(next(tmp_path.rglob("messages.json")))

    return write


def message(number: int, text: str, attachments: str = "") -> dict[str, Any]:
    return {
        "ID": number,
        "Timestamp": "2024-03-01 08:00:00",
        "Contents": text,
        "Attachments": attachments,
    }


class TestFields:
    @pytest.fixture(scope="class")
    def kettle(self, read, fixture_file) -> dict[str, dict[str, Any]]:
        rows, tally = load(read, fixture_file(KETTLE))
        assert (tally.skipped, tally.notes, tally.me) == ({}, [], "700000000000000031")
        return {row["id"]: row for row in rows}

    def test_all_is_by_whoever_requested_the_package(self, kettle) -> None:
        authors = {(m["author_id"], m["author"], m["handle"]) for m in kettle.values()}
        assert authors == {("700000000000000031", "Ada", "ada_b")}

    def test_the_place_is_known_by_the_same_id_as_in_other_exports(self, kettle) -> None:
        places = {(m["source"], m["space"], m["channel"], m["channel_id"]) for m in kettle.values()}
        assert places == {("discord", "Tea House", "kettle", "700000000000001001")}

    def test_the_newest_comes_first_in_the_file_and_last_in_order(self, kettle) -> None:
        positions = [m["position"] for m in kettle.values()]
        assert positions == sorted(positions, reverse=True)

    def test_times_are_utc(self, kettle) -> None:
        times = [(m["sent_at"], m["zone_assumed"]) for m in kettle.values()]
        assert times[1] == (datetime(2024, 3, 1, 8, 0, 5, tzinfo=UTC), False)

    def test_markup_is_resolved_as_far_as_names_are_known(self, kettle) -> None:
        found = kettle["1213033003094114304"]
        text = '@Ada "tea" 🍵 in #kettle or #channel? :steam:\n> <3 @unknown'
        assert found["text"] == text
        spans = [(m["author_id"], text[m["start"] : m["end"]]) for m in found["mentions"]]
        assert spans == [("700000000000000031", "@Ada"), ("80", "@unknown")]

    def test_attachments_are_addresses_with_blanks_between_them(self, kettle) -> None:
        files = [(a["kind"], a["name"]) for a in kettle["1213033024069828608"]["attachments"]]
        assert files == [
            ("image", "Leaf.PNG"),
            ("voice", "voice-message.ogg"),
            ("file", "SPOILER_blends.pdf"),
        ]


class TestPlaces:
    def test_a_direct_message_is_named_after_the_other(self, read, fixture_file) -> None:
        rows, _ = load(read, fixture_file(DIRECT))
        assert (rows[0]["space"], rows[0]["channel"]) == ("", "peep")
        assert rows[0]["text"] == "psst, @peep"
        assert rows[0]["mentions"][0]["author_id"] == "700000000000000033"

    def test_an_older_package_has_tables(self, read, fixture_file) -> None:
        rows, tally = load(read, fixture_file(OLDER))
        assert [(r["id"], r["text"]) for r in rows] == [
            ("747951969171275807", 'tea, or\n"coffee"?'),
            ("747951960000000000", ""),
        ]
        assert rows[0]["sent_at"] == datetime(2020, 8, 25, 22, 54, 5, 726000, tzinfo=UTC)
        assert (rows[0]["space"], rows[0]["channel"]) == ("Tea in the House", "kettle")
        assert tally.skipped == {}

    @pytest.mark.parametrize(
        ("channel", "title", "expected"),
        [
            ({"name": "kettle", "guild": {"id": "10"}}, "x in y", ("10", "kettle")),
            ({"name": "Which cup?"}, "", ("", "Which cup?")),
            ({}, "Unknown channel in Tea House", ("Tea House", "Unknown channel")),
            ({}, "Unknown channel", ("", "Unknown channel")),
            ({}, "Direct Message with Deleted User#0000", ("", "Deleted User")),
            ({}, "None", ("", "700000000000001001")),
            ({}, None, ("", "700000000000001001")),
            ({"name": None, "guild": None, "recipients": None}, 3, ("", "3")),
            ({"name": ["x"], "guild": {"name": {}}}, [], ("", "700000000000001001")),
        ],
    )
    def test_a_channel_is_named_by_itself_or_the_index(
        self, channel, title, expected, package, read
    ) -> None:
        file = package(
            **{
                "messages/c700000000000001001/channel.json": {"type": "DM", **channel},
                "messages/index.json": {"700000000000001001": title},
            }
        )
        rows, _ = load(read, file)
        assert (rows[0]["space"], rows[0]["channel"]) == expected
        assert rows[0]["channel_id"] == "700000000000001001"

    @pytest.mark.parametrize("damaged", ["", "{", '{"id": ', "[1]", '{"id"}', '{"id": 1e999'])
    def test_damage_beside_the_messages_costs_names_and_nothing_else(
        self, damaged, package, read
    ) -> None:
        file = package(
            **{
                "messages/c700000000000001001/channel.json": damaged,
                "messages/index.json": damaged,
                "account/user.json": damaged,
            }
        )
        rows, _ = load(read, file)
        assert [(r["channel_id"], r["author"]) for r in rows] == [("700000000000001001", "Me")]


class TestAccount:
    @pytest.mark.parametrize("folder", ["account", "Account", "Compte", "アカウント"])
    def test_folders_are_named_in_the_language_of_the_account(self, folder, package, read) -> None:
        rows, _ = load(read, package(**{f"{folder}/user.json": {"id": "31", "username": "ada_b"}}))
        assert (rows[0]["author_id"], rows[0]["author"]) == ("31", "ada_b")

    def test_only_its_first_fields_are_looked_at(self, package, read) -> None:
        user = {"id": "31", "username": "ada_b", "global_name": "Ada", "more": ["x" * 100_000]}
        rows, tally = load(read, package(**{"account/user.json": user}))
        assert rows[0]["author"] == "Ada"
        assert tally.me == "31"

    def test_without_it_the_author_is_me(self, package, read) -> None:
        rows, tally = load(read, package())
        assert (rows[0]["author_id"], rows[0]["author"]) == ("me", "Me")
        assert tally.me == "me"
        assert "rename that file's folder to 'account'" in tally.notes[0]


class TestRecognition:
    def test_its_other_files_are_known_and_hold_no_messages(self, fixture_file) -> None:
        parts = [
            "Account/user.json",
            "Messages/index.json",
            "Messages/c700000000000001001/channel.json",
        ]
        for part in parts:
            found = recognise(fixture_file(PACKAGE + part))
            assert found is not None
            assert (found.source, found.holds_messages) == ("discord_package", False), part

    @pytest.mark.parametrize("name", ["channel.json", "index.json", "user.json", "messages.json"])
    def test_files_of_others_with_the_same_names_are_not(self, name, memory_file) -> None:
        for data in (b"{}", b"[]", b'{"id": 1}', b'{"messages": []}', b'{"1": "x"}', b"{"):
            found = recognise(memory_file(data, name))
            assert found is None or found.source != "discord_package"

    def test_an_empty_channel_is_recognised_by_its_folder(self, memory_file, read) -> None:
        file = memory_file(b"[]", "messages/c700000000000001001/messages.json")
        found = recognise(file)
        assert found is not None
        assert found.source == "discord_package"
        assert read("discord_package", file)[1].notes == ["the export holds no messages"]


class TestDamage:
    @pytest.mark.parametrize(
        "damaged",
        ['{"Timestamp": "x"}', '{"ID": [12]}', '{"ID": 12, "Contents": 3}', "12", '{"ID"'],
    )
    def test_a_damaged_message_costs_no_other(self, damaged, read, memory_file) -> None:
        whole = [json.dumps(message(number, "tea")) for number in (11, 13)]
        data = f"[{whole[0]},\n{damaged},\n{whole[1]}]".encode()
        rows, tally = load(read, memory_file(data))
        assert [r["id"] for r in rows] == ["11", "13"]
        assert tally.skipped == {"damaged message": 1}

    def test_what_stands_behind_the_list_is_counted(self, read, memory_file) -> None:
        data = json.dumps([message(11, "tea")]).encode()
        _, tally = load(read, memory_file(data + b"\n[more]"))
        assert tally.unread_bytes == 7

    @pytest.mark.parametrize("data", [b"", b"{}", b"[1, 2]", b"ID,Timestamp\n", b"tea", b"[{}]"])
    def test_a_file_without_messages_is_an_error(self, data, read, memory_file) -> None:
        with pytest.raises(SourceError, match="has none of the messages"):
            read("discord_package", memory_file(data))

    def test_an_id_may_be_anything(self, read, memory_file) -> None:
        ids = ["9" * 40, -1, "x", ""]
        data = json.dumps([{"ID": id_, "Contents": "tea"} for id_ in ids]).encode()
        rows, _ = load(read, memory_file(data))
        assert [r["id"] for r in rows[:3]] == ["9" * 40, "-1", "x"]
        assert len({r["id"] for r in rows}) == 4


TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]).filter(lambda c: c not in "<\0")), min_size=1
)


@given(texts=TEXTS)
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
def test_any_text_comes_back_from_lists_and_tables(texts, read, memory_file) -> None:
    written = [message(number, text) for number, text in enumerate(texts)]
    rows, _ = load(read, memory_file(json.dumps(written).encode()))
    assert [r["text"] for r in rows] == texts
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(message(1, "")), lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(written)
    rows, _ = load(read, memory_file(table.getvalue().encode(), "messages.csv"))
    assert [r["text"] for r in rows] == texts
