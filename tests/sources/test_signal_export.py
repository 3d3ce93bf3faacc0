"""signal-export: the text, the lines of JSON, and which of them is read."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna import sources
from myna.errors import SourceError
from myna.sources import ChatFile, Tally

LINE = '{"date": "2024-05-01T18:02:11", "sender": "ada", "body": "tea?  ", "quote": "", '
LINE += '"sticker": null, "reactions": [], "attachments": []}\n'


def test_a_text_without_its_quotes_reactions_stickers_and_links(read, fixture_file) -> None:
    table, tally = read("signal_export", fixture_file("signal_export/Kettle/chat.md"))
    assert table.select("author", "kind", "text").rows() == [
        ("ada", "text", "who wants tea?"),
        ("Me", "text", "me: always"),
        ("bo", "text", "first the kettle,\n\nthen the leaves"),
        ("ada", "text", ""),
        ("ada", "text", ""),
        ("peep", "deleted", ""),
        ("Me", "call", "Outgoing voice call (accepted, 3m 2s)"),
        ("No-Sender", "system", ""),
        ("peep", "text", "@unknown see [a](b) (now)"),
    ]
    assert set(table["channel"]) == {"Kettle"}
    assert table["sent_at"][0] == datetime(2024, 5, 1, 18, 2, 11, tzinfo=UTC)
    assert table["zone_assumed"].all()
    assert tally.me == "Me"
    assert not tally.skipped


def test_files_of_a_text(read, fixture_file) -> None:
    table, _ = read("signal_export", fixture_file("signal_export/Kettle/chat.md"))
    assert [list(map(tuple, map(dict.values, files))) for files in table["attachments"][2:5]] == [
        [
            ("image", "2024-05-01T18-03-00.000_00_pot(1).jpg"),
            ("voice", "2024-05-01T18-03-00.000_01_voice.m4a"),
        ],
        [("sticker", "🎉")],
        [("sticker", "🫖")],
    ]


def test_a_text_of_2019(read, fixture_file) -> None:
    table, _ = read("signal_export", fixture_file("signal_export/TeaHouse/index.md"))
    assert set(table["channel"]) == {"TeaHouse"}
    assert table["text"][1] == "fine: the tea is on\nand the cake is out"
    assert table["attachments"][2].to_list() == [
        {"kind": "image", "name": "2019-05-29_00_cake.png"}
    ]
    assert table["sent_at"].to_list() == [
        datetime(2019, 5, 29, 15, 4, tzinfo=UTC),
        datetime(2019, 5, 29, 15, 10, tzinfo=UTC),
        datetime(2019, 5, 29, 15, 11, tzinfo=UTC),
        None,
    ]


def test_lines_of_json(read, fixture_file) -> None:
    table, tally = read("signal_export", fixture_file("signal_export/Kettle.jsonl"))
    assert table.select("author", "kind", "text", "edited").rows() == [
        ("ada", "text", "who wants tea?", False),
        ("Me", "text", "me!\nalways", True),
        ("bo", "text", "", False),
        ("bo", "text", "", False),
        ("peep", "deleted", "", False),
        ("ada", "call", "Missed video call", False),
        ("No-Sender", "system", "", False),
    ]
    assert table["id"][1] == "m-2"
    assert table["sent_at"][0] == datetime(2024, 5, 1, 18, 2, 11, 250_000, tzinfo=UTC)
    kinds = [[file["kind"] for file in files] for files in table["attachments"]]
    assert kinds == [[], ["voice", "image"], ["sticker"], ["sticker"], [], [], []]
    assert (tally.me, tally.skipped) == ("Me", {})


def test_the_chat_is_named_after_its_folder(read, memory_file) -> None:
    table, _ = read("signal_export", memory_file(LINE.encode(), "/export/Kettle/data.json"))
    assert table["channel"].to_list() == ["Kettle"]


def test_of_both_forms_the_json_is_read(tmp_path) -> None:
    def is_read(name: str) -> bool:
        found = sources.recognise(ChatFile(tmp_path / name))
        assert found is not None
        return found.holds_messages

    (tmp_path / "chat.md").write_text("[2024-05-01 18:02:11] ada: tea?  \n\n")
    assert is_read("chat.md")
    (tmp_path / "data.json").write_text(LINE)
    assert is_read("data.json")
    assert not is_read("chat.md")


def test_damaged_lines_cost_no_others(read, memory_file) -> None:
    data = f'{LINE}{{"sender": 3}}\n{{"se\n{LINE}'.encode()
    table, tally = read("signal_export", memory_file(data, "data.json"))
    assert table["text"].to_list() == ["tea?", "tea?"]
    assert tally.skipped == {"no message": 1, "damaged line": 1}
    assert tally.examples["no message"].startswith("line 2: ")


def test_an_empty_last_message_may_have_lost_its_text(read, memory_file) -> None:
    whole = b"[2024-05-01 18:02:11] ada: tea?  \n\n[2024-05-01 18:02:12] bo:   \n"
    table, tally = read("signal_export", memory_file(whole, "chat.md"))
    assert (table.height, tally.skipped) == (1, {"message broken off": 1})
    table, tally = read("signal_export", memory_file(whole + b"\n", "chat.md"))
    assert (table["kind"].to_list(), tally.skipped) == (["text", "system"], {})


def test_another_file_is_an_error(memory_file) -> None:
    file = memory_file(b"# tea\n\nboil the water\n", "index.md")
    assert sources.recognise(file) is None
    with pytest.raises(SourceError, match=r"index\.md holds no message of signal-export"):
        list(sources.load_source("signal_export").read(file, Tally()))


words = st.text(
    st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp"), blacklist_characters="\ufffc`"),
    min_size=1,
).filter(lambda text: text == text.strip() != "" and not text.endswith(")"))


@given(st.lists(st.lists(words, min_size=1, max_size=3).map("\n".join), min_size=1))
def test_both_forms_say_the_same(read, memory_file, bodies) -> None:
    message = json.loads(LINE)
    as_json = "".join(json.dumps(message | {"body": f"{body}  "}) + "\n" for body in bodies)
    as_text = "".join(f"[2024-05-01 18:02:11] ada: {body}  \n\n" for body in bodies)
    for name, data in {"data.json": as_json, "chat.md": as_text}.items():
        table, _ = read("signal_export", memory_file(data.encode(), f"/x/{name}"))
        assert table["text"].to_list() == bodies
