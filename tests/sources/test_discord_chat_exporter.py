"""DiscordChatExporter JSON: what each field becomes, and what damage costs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from myna.errors import SourceError
from myna.sources import ChatFile, Tally, recognise
from myna.sources._shared import files, json_stream

FOLDER = "discord_chat_exporter/"
KETTLE = FOLDER + "Tea House - Rooms - kettle [1001].json"
DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(scope="module")
def kettle(read, fixture_file) -> dict[str, dict[str, Any]]:
    """The messages of the fixture that has everything, by their ids."""
    table, tally = read("discord_chat_exporter", fixture_file(KETTLE))
    assert (tally.skipped, tally.notes, tally.unread_bytes) == ({}, [], 0)
    return {row["id"]: row for row in table.to_dicts()}


def load(read, file: ChatFile) -> tuple[list[dict[str, Any]], Tally]:
    table, tally = read("discord_chat_exporter", file)
    return table.to_dicts(), tally


class TestFields:
    def test_the_place(self, kettle) -> None:
        places = {(m["source"], m["space"], m["channel"], m["thread"]) for m in kettle.values()}
        assert places == {("discord", "Tea House", "kettle", None)}

    def test_all_messages_in_order(self, kettle) -> None:
        assert list(kettle) == [str(n) for n in range(2001, 2010)]
        assert [m["position"] for m in kettle.values()] == list(range(2001, 2010))

    def test_a_plain_message(self, kettle) -> None:
        message = kettle["2002"]
        assert message["text"] == "who wants tea? :teapot:\nthe green one"
        assert (message["author_id"], message["author"]) == ("31", "Ada")
        assert message["kind"] == "text"
        assert message["edited"]
        assert not message["is_bot"]
        assert message["reply_to"] is None
        assert message["attachments"] == message["mentions"] == []

    def test_times_have_up_to_seven_decimals_and_any_offset(self, kettle) -> None:
        assert kettle["2001"]["sent_at"] == datetime(2024, 3, 1, 8, tzinfo=UTC)
        assert kettle["2002"]["sent_at"] == datetime(2024, 3, 1, 8, 0, 1, 215527, tzinfo=UTC)
        assert kettle["2003"]["sent_at"] == datetime(2024, 3, 1, 8, 0, 5, 100000, tzinfo=UTC)
        assert not any(m["zone_assumed"] for m in kettle.values())

    def test_kinds(self, kettle) -> None:
        kinds = {number: m["kind"] for number, m in kettle.items() if m["kind"] != "text"}
        assert kinds == {
            "2001": "system",
            "2004": "system",
            "2005": "system",
            "2006": "command",
            "2007": "forward",
        }

    def test_only_replies_reply(self, kettle) -> None:
        replies = {number: m["reply_to"] for number, m in kettle.items() if m["reply_to"]}
        assert replies == {"2003": "2002"}

    def test_mentions_are_the_longest_names_that_fit(self, kettle) -> None:
        message = kettle["2003"]
        spans = [(m["author_id"], m["start"], m["end"]) for m in message["mentions"]]
        assert spans == [("31", 0, 4), ("33", 13, 21)]
        assert [message["text"][start:end] for _, start, end in spans] == ["@Ada", "@Bo Peep"]

    def test_forwarded_words_and_files_are_not_the_authors(self, kettle) -> None:
        assert kettle["2007"]["text"] == ""
        assert kettle["2007"]["attachments"] == []

    def test_attachments_and_stickers(self, kettle) -> None:
        assert [(a["kind"], a["name"]) for a in kettle["2008"]["attachments"]] == [
            ("image", "Leaf.PNG"),
            ("voice", "voice-message.ogg"),
            ("video", "steam.mp4"),
            ("gif", "pour.gif"),
            ("file", "blends-CD34.pdf"),
            ("sticker", "Wave"),
        ]

    def test_bots_and_accounts_without_a_nickname(self, kettle) -> None:
        assert [number for number, m in kettle.items() if m["is_bot"]] == ["2006"]
        assert kettle["2009"]["author"] == "Deleted User"


class TestVersionsAndOptions:
    def test_markup_where_format_markdown_was_off(self, read, fixture_file) -> None:
        rows, _ = load(read, fixture_file(FOLDER + "markdown-off.json"))
        text = "@Sam and @Sam 🍵 @Sam, ask @unknown or @role in #kettle or #channel"
        assert rows[0]["text"] == text
        spans = [(m["author_id"], text[m["start"] : m["end"]]) for m in rows[0]["mentions"]]
        assert spans == [("31", "@Sam"), ("32", "@Sam"), ("31", "@Sam"), ("99", "@unknown")]
        assert rows[1]["text"] == (
            ":teapot::steam: at 2023-11-14 22:13 22:13 2023-11-14 <t:99999999999999999> "
            "/kettle on https://example.org/tea 1 < 2 > 0 <3 <b>"
        )

    def test_the_oldest_version(self, read, fixture_file) -> None:
        rows, tally = load(read, fixture_file(FOLDER + "oldest.json"))
        assert rows[0]["text"] == 'café 🍵 <3 "quoted"'
        assert rows[0]["author"] == "ada_b"
        assert rows[1]["kind"] == "call"
        assert tally.notes == []

    def test_a_thread_belongs_to_its_parent_channel(self, read, fixture_file) -> None:
        rows, _ = load(read, fixture_file(FOLDER + "thread.json"))
        assert {(r["space"], r["channel"], r["thread"]) for r in rows} == {
            ("Tea House", "kettle", "which cup? [1005]")
        }
        assert [(r["kind"], r["reply_to"]) for r in rows] == [("system", None), ("text", None)]

    def test_direct_messages_have_no_space(self, read, fixture_file) -> None:
        rows, _ = load(read, fixture_file(FOLDER + "direct.json"))
        assert [(r["space"], r["channel"]) for r in rows] == [("", "Peep")]

    def test_an_empty_export_says_so(self, read, fixture_file) -> None:
        rows, tally = load(read, fixture_file(FOLDER + "empty.json"))
        assert rows == []
        assert tally.notes == ["the export holds no messages"]
        assert tally.unread_bytes == 0

    def test_newest_first_keeps_the_files_order_and_positions_tell_the_true_one(
        self, read, memory_file
    ) -> None:
        rows, _ = load(read, memory_file(export([message(9), message(8), message(7)])))
        assert [r["id"] for r in rows] == ["9", "8", "7"]
        assert [r["position"] for r in rows] == [9, 8, 7]

    @pytest.mark.parametrize("indent", [None, 0, 2, "\t"])
    def test_white_space_does_not_matter(self, indent, read, memory_file, fixture_file) -> None:
        document = json.loads(fixture_file(KETTLE).head)
        expected, _ = read("discord_chat_exporter", fixture_file(KETTLE))
        data = json.dumps(document, indent=indent).encode()
        assert read("discord_chat_exporter", memory_file(data))[0].equals(expected)

    @pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize("order", ["sorted", "reversed"])
    def test_the_order_of_keys_does_not_matter(
        self, order, bom, read, memory_file, fixture_file
    ) -> None:
        document = json.loads(fixture_file(KETTLE).head)
        if order == "reversed":
            document = reverse_keys(document)
        file = memory_file(bom + json.dumps(document, sort_keys=order == "sorted").encode())
        found = recognise(file)
        assert found is not None
        assert found.source == "discord_chat_exporter"
        table, tally = read("discord_chat_exporter", file)
        assert table.equals(read("discord_chat_exporter", fixture_file(KETTLE))[0])
        assert (tally.notes, tally.skipped) == ([], {})


def reverse_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reverse_keys(value[key]) for key in reversed(value)}
    return [reverse_keys(item) for item in value] if isinstance(value, list) else value


def message(number: int, text: str = "tea", **more: Any) -> dict[str, Any]:
    """A message as the exporter writes it."""
    return {
        "id": str(number),
        "type": "Default",
        "timestamp": "2024-03-01T08:00:00+00:00",
        "content": text,
        "author": {"id": "31", "name": "ada_b", "nickname": "Ada", "isBot": False, "roles": []},
        "attachments": [],
        "mentions": [{"id": "31", "name": "ada_b"}, {"id": "32", "name": "bo"}],
        **more,
    }


def export(messages: list[Any], indent: int | None = 2, **more: Any) -> bytes:
    """An export of these messages; bytes among them stand there as they are."""
    document = {
        "guild": {"id": "1000", "name": "Tea House"},
        "channel": {"id": "1001", "type": "GuildTextChat", "name": "kettle"},
        "messages": [m if isinstance(m, dict) else f"\0{i}" for i, m in enumerate(messages)],
        "messageCount": len(messages),
        **more,
    }
    data = json.dumps(document, indent=indent, ensure_ascii=False).encode()
    for i, raw in enumerate(messages):
        if isinstance(raw, bytes):
            data = data.replace(json.dumps(f"\0{i}").encode(), raw)
    return data


# What begins like a message, ends like one, or looks like the end of all.
TRAPS = '},{"id": "7","type": "Default","timestamp": "x"} ], "messages": [ ]} \\ " \n \u2028 <@31>'


class TestTruncation:
    """A small export, cut at every byte."""

    @pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
    @pytest.mark.parametrize("style", ["indented", "on one line", "other order of keys"])
    def test_a_cut_at_any_byte_costs_only_what_is_behind_it(
        self, style: str, chunk: int, read, memory_file, monkeypatch
    ) -> None:
        monkeypatch.setattr(json_stream, "CHUNK_BYTES", chunk)
        messages = [message(11), message(12, TRAPS), message(13, "käse 🧀")]
        data = export(messages, indent=2 if style == "indented" else None)
        if style == "other order of keys":
            data = json.dumps(json.loads(data), sort_keys=True, ensure_ascii=False).encode()
        begins, ends, closed = places(data)
        step = 1 if chunk == 64 else 11
        for cut in [*range(1, len(data), step), len(data) - 1]:
            rows, tally = load(read, memory_file(data[:cut], "tea.json"))
            complete = sum(end <= cut for end in ends)
            assert [r["id"] for r in rows] == ["11", "12", "13"][:complete], cut
            assert all(r["channel"] in ("kettle", "tea") for r in rows)
            assert not tally.skipped
            assert len(tally.notes) >= 1, cut
            assert "breaks off" in tally.notes[-1]
            if cut > closed:
                assert tally.unread_bytes == 0
            elif cut > begins[0]:
                # Lost is the message that was cut, to the last byte, and nothing else.
                cut_off = [begin for begin, end in zip(begins, ends, strict=True) if end > cut]
                expected = cut - cut_off[0] if cut_off and cut_off[0] < cut else 0
                assert tally.unread_bytes == expected, cut
                assert tally.unread_from == cut - expected
            else:
                assert (tally.unread_from or 0) + tally.unread_bytes == cut

    def test_an_empty_file_is_an_error(self, read, memory_file) -> None:
        with pytest.raises(SourceError, match="no list of messages"):
            read("discord_chat_exporter", memory_file(b""))


def places(data: bytes) -> tuple[list[int], list[int], int]:
    """The positions of the messages and of their list, found in another way."""
    text = data.decode()
    decoder = json.JSONDecoder()
    position = text.index('"messages": [') + len('"messages": [')
    begins, ends = [], []
    while True:
        while text[position] in " \n,":
            position += 1
        if text[position] == "]":
            return begins, ends, len(text[:position].encode())
        begins.append(len(text[:position].encode()))
        _, position = decoder.raw_decode(text, position)
        ends.append(len(text[:position].encode()))


class TestDamage:
    """One damaged message costs none of its neighbours."""

    @pytest.mark.parametrize(
        "damaged",
        [
            b'{"id": "12", "type": "Default", "timestamp": "2024", "content": "no author"}',
            b'{"id": "12", "type": "Default", "timestamp": "2024", "content": "no quote, }',
            b'{"id": "12", "type": "Default", "timestamp": "2024", "content": "unclosed" ',
            b'{"id": "12", "type": "Default", "timestamp": "2024", "content" "no colon"}',
            b'{"id": "12", "type": "Default", "timestamp": "2024", "mentions": [{}}',
            b'{"id": "12", "type": "Default", "timestamp": "2024", "mentions": ]}',
            b'{"id": 12, "type": "Default", "timestamp": "2024", "author": {"id": "1"}}',
            b'{"id": "12", "type": "Default", "timestamp": "2024", "author": null}',
            b'{"id": "12", "content": %s}' % (b'{"a":' * 5000 + b"1" + b"}" * 5000),
            b"{}",
        ],
        ids=range(10),
    )
    @pytest.mark.parametrize("chunk", [64, 1 << 20])
    def test_it_is_skipped_with_a_reason_and_its_place(
        self, chunk, damaged, read, memory_file, monkeypatch
    ) -> None:
        monkeypatch.setattr(json_stream, "CHUNK_BYTES", chunk)
        for messages in (
            [message(11), damaged, message(13), message(14)],
            [message(11), message(13), message(14), damaged],
            [damaged, message(11), message(13), message(14)],
        ):
            data = export(messages, indent=None)
            rows, tally = load(read, memory_file(data))
            assert [r["id"] for r in rows] == ["11", "13", "14"]
            assert tally.skipped == {"damaged message": 1}
            assert tally.unread_bytes == 0
            assert tally.notes == []
            begin = data.index(damaged)
            place = f"bytes {begin} to {begin + len(damaged.rstrip())}: "
            assert tally.examples["damaged message"].startswith(place)

    @pytest.mark.parametrize("indent", [None, 2])
    def test_so_it_is_with_another_order_of_keys(self, indent, read, memory_file) -> None:
        shuffled = [dict(sorted(message(n).items())) for n in (11, 13, 14)]
        damaged = b'{"attachments": [], "author": "content": "no object", "id": "12"}'
        data = export([shuffled[0], damaged, *shuffled[1:]], indent=indent)
        rows, tally = load(read, memory_file(data))
        assert [r["id"] for r in rows] == ["11", "13", "14"]
        assert tally.skipped == {"damaged message": 1}
        unquoted = b'{"attachments": [], "content": "no end, "id": "12"}'
        data = export([shuffled[0], unquoted, *shuffled[1:]], indent=indent)
        rows, tally = load(read, memory_file(data))
        assert [r["id"] for r in rows] == ["11", "13", "14"]
        assert tally.skipped == {"damaged message": 1}

    @pytest.mark.parametrize(
        ("raw", "text"),
        [
            (b'"tab\tand\nline"', "tab\tand\nline"),
            (b'"half \\ud83c of it"', "half \ufffd of it"),
            (b'"latin \xe9"', "latin \ufffd"),
            (b'"nul \x00"', "nul \x00"),
        ],
        ids=["control characters", "half a surrogate pair", "no UTF-8", "zero byte"],
    )
    def test_what_can_be_repaired_is_read(self, raw: bytes, text: str, read, memory_file) -> None:
        data = export([message(11), message(12, "REPAIR"), message(13)])
        for place in (data, data.replace(b"11", b"12", 1)):
            rows, tally = load(read, memory_file(place.replace(b'"REPAIR"', raw)))
            assert [r["text"] for r in rows] == ["tea", text, "tea"]
            assert tally.skipped == {}

    def test_a_wrong_count_is_noted(self, read, memory_file) -> None:
        _, tally = load(read, memory_file(export([message(1)], messageCount=3)))
        assert tally.notes == ["the export speaks of 3 messages, but holds 1"]

    def test_a_damaged_head_leaves_the_files_name(self, read, memory_file) -> None:
        data = export([message(1)]).replace(b'"guild": {', b'"guild": <', 1)
        rows, tally = load(read, memory_file(data, "tea.json"))
        assert [(r["id"], r["channel"]) for r in rows] == [("1", "tea")]
        assert tally.notes == ["the export does not say which channel it is: named after the file"]

    def test_another_json_is_an_error(self, read, memory_file) -> None:
        with pytest.raises(SourceError, match="no list of messages"):
            read("discord_chat_exporter", memory_file(b'{"guild": {}, "channel": {}}'))


texts = st.text(st.characters(exclude_categories=["Cs"]))


class TestProperties:
    @given(
        contents=st.lists(st.one_of(texts, st.just(TRAPS)), max_size=8),
        ascii_only=st.booleans(),
        indented=st.booleans(),
    )
    @settings(max_examples=100)
    @example(contents=[TRAPS, '"', "\\", '\\"', "}"], ascii_only=True, indented=True)
    def test_any_text_comes_back(self, contents, ascii_only, indented, read, memory_file) -> None:
        data = export([message(i, text) for i, text in enumerate(contents)])
        indent = 2 if indented else None
        data = json.dumps(json.loads(data), ensure_ascii=ascii_only, indent=indent).encode()
        rows, tally = load(read, memory_file(data))
        expected = [text.replace("<@31>", "@ada_b") for text in contents]
        assert [r["text"] for r in rows] == expected
        assert not tally.skipped
        for row in rows:
            for span in row["mentions"]:
                assert row["text"][span["start"] : span["end"]] in ("@ada_b", "@bo")

    @given(
        contents=st.lists(texts, min_size=1, max_size=5),
        chunk=st.integers(1, 3000),
        in_order=st.booleans(),
        data=st.data(),
    )
    @settings(
        max_examples=100,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_the_size_of_chunks_does_not_matter(
        self, contents, chunk, in_order, data, read, memory_file, monkeypatch
    ) -> None:
        document = export([message(i, text) for i, text in enumerate(contents)])
        if not in_order:
            document = json.dumps(json.loads(document), sort_keys=True).encode()
        document = document[: data.draw(st.integers(1, len(document)), label="cut")]
        file = memory_file(document)
        expected, tally = read("discord_chat_exporter", file)
        with monkeypatch.context() as patch:
            patch.setattr(json_stream, "CHUNK_BYTES", chunk)
            table, same = read("discord_chat_exporter", file)
        assert table.equals(expected)
        assert same == tally

    @given(noise=st.binary(max_size=300), start=st.integers(0, 2000), length=st.integers(0, 2000))
    @settings(max_examples=150)
    def test_no_damage_crashes(self, noise, start, length, read, memory_file) -> None:
        data = export([message(i) for i in range(4)])
        data = data[:start] + noise + data[start + length :]
        try:
            read("discord_chat_exporter", memory_file(data))
        except SourceError:
            assert b'"messages": [' not in data

    @given(
        noise=st.binary(max_size=20),
        start=st.floats(0, 1),
        length=st.floats(0, 1),
        which=st.sampled_from([0, 1, 2]),
    )
    @settings(max_examples=150)
    def test_damage_inside_one_message_costs_no_other(
        self, noise, start, length, which, read, memory_file
    ) -> None:
        data = export([message(i) for i in range(4)])
        begins, ends, _ = places(data)
        first = begins[which] + int(start * (ends[which] - begins[which]))
        last = first + int(length * (ends[which] - first))
        rows, tally = load(read, memory_file(data[:first] + noise + data[last:]))
        others = {"0", "1", "2", "3"} - {str(which)}
        assert others <= {r["id"] for r in rows}
        assert len(rows) == 4 or tally.skipped or tally.notes or tally.unread_bytes


class TestRealExport:
    """Apollo 13's voice loop, as an export of 11,248 messages."""

    @pytest.fixture(scope="class")
    def file(self) -> ChatFile:
        path = DATA / "Apollo 13 - Mission - air-to-ground [700000000000000002].json"
        if not path.exists():
            pytest.skip(f"the development data are not here: no {path.name}")
        return ChatFile(path)

    def test_every_message_is_read(self, file: ChatFile, read) -> None:
        table, tally = read("discord_chat_exporter", file)
        assert tally == Tally(read=11_248, bytes_done=file.size)
        assert table["id"].n_unique() == 11_248
        assert table["sent_at"].is_sorted()
        assert table["channel"].unique().to_list() == ["air-to-ground"]

    def test_it_agrees_with_the_same_chat_as_json_lines(self, file: ChatFile, read) -> None:
        lines = DATA / "apollo13.jsonl"
        if not lines.exists():
            pytest.skip(f"the development data are not here: no {lines.name}")
        same = ["author", "sent_at", "text", "kind", "zone_assumed", "channel"]
        table, _ = read("discord_chat_exporter", file)
        other, tally = read("json_lines", ChatFile(lines))
        assert tally.skipped == {}
        assert table.select(same).equals(other.select(same))


class TestLargeFiles:
    @pytest.mark.parametrize("on_disk", [True, False])
    @pytest.mark.parametrize("damage", [b"", b'"content": x', b"\xff\xfe{}]]"])
    def test_several_processes_read_the_same(
        self, on_disk, damage, read, memory_file, fixture_file, tmp_path, monkeypatch
    ) -> None:
        document = json.loads(fixture_file(KETTLE).head)
        first = document["messages"][1]
        document["messages"] = [
            {**first, "id": str(n), "content": f"cup {n}\n{'more ' * (n % 40)}"}
            for n in range(1000, 1400)
        ]
        document["messageCount"] = 400
        data = json.dumps(document, indent=2).encode()
        data = data.replace(b'"content": "cup 1200', (damage or b'"content": "') + b"cup 1200")
        file = memory_file(data)
        alone, tally = read("discord_chat_exporter", file)
        if on_disk:
            path = tmp_path / "chat"
            path.write_bytes(data)
            file = ChatFile(path)
        monkeypatch.setattr(json_stream, "BATCH_BYTES", 20_000)
        monkeypatch.setattr(json_stream, "CHUNK_BYTES", 2_000)
        monkeypatch.setattr(files, "LARGE_BYTES", 0)
        together, again = read("discord_chat_exporter", file)
        assert together.equals(alone)
        assert alone.height == (399 if damage else 400)
        assert (again.skipped, again.notes) == (tally.skipped, tally.notes)
