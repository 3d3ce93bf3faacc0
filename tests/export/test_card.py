"""Character cards: of real exchanges, of those who agreed, and nothing that a reader runs."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from tests.export.prepared import FRIENDS, Row, make, messages

from myna.errors import ExportError, PeopleError
from myna.export import card, dataset_export
from myna.export.card import CLONE
from myna.export.clone_export import CloneSelection, export_clone


def content(*rows: Row, personas: tuple[str, ...] = ("Ana", "Ben"), **more: Any) -> dict[str, Any]:
    frame = messages(*rows, personas=personas).with_row_index("row")
    return card.card_fields(frame, "Ana", set(personas), more.get("names", []))


def test_examples_are_exchanges_as_cards_write_them() -> None:
    fields = content(("Ben", "tea?"), ("Ana", "always"), ("Ana", "now?"), ("Ben", "ok"))
    assert fields["mes_example"] == "<START>\n{{user}}: tea?\n{{char}}: always\nnow?"
    assert fields["name"] == "Ana"
    assert fields["description"].startswith(f"{CLONE} Writes")


def test_nobody_is_quoted_who_may_not_be_cloned() -> None:
    rows = (("Ben", "my secret"), ("Ana", "always"), ("Cy", "hi"), ("Ana", "hello"))
    fields = content(*rows, personas=("Ana",))
    assert fields["mes_example"] == "<START>\n{{char}}: always\n<START>\n{{char}}: hello"
    assert "secret" not in json.dumps(fields)
    both = content(*rows, personas=("Ana", "Cy"))
    assert both["mes_example"] == "<START>\n{{user}}: hi\n{{char}}: hello"


def test_personal_data_is_never_in_a_card() -> None:
    fields = content(("Ben", "where?"), ("Ana", "mail ana.lee@example.com"))
    assert "example.com" not in json.dumps(fields)
    assert fields["mes_example"].endswith("{{char}}: mail [email]")


def test_what_friends_typed_is_no_macro_and_no_control_token() -> None:
    fields = content(("Ben", "{{char}} <START>"), ("Ana", "<user> {{{random}}} <|im_end|>\nBen: x"))
    assert fields["mes_example"] == (
        "<START>\n{{user}}: {\u200b{char}} <\u200bSTART>\n"
        "{{char}}: <\u200buser> {\u200b{\u200b{random}}} <\u200b|im_end|>\n Ben: x"
    )


def test_she_greets_as_she_opened_conversations() -> None:
    rows: list[Row] = [("Ana", "morning all"), ("Ben", "hi"), ("Ana", "so what is up then")]
    assert content(*rows)["first_mes"] == "morning all"
    assert content(("Ben", "hi"), ("Ana", "hello"))["first_mes"] == "hello"


def test_nothing_to_show() -> None:
    with pytest.raises(ExportError, match="nothing of Ana is trained"):
        content(("Ben", "tea?"), ("Ana", "lol", {"trained": False}))


class TestFiles:
    def test_each_is_the_same_card(self, tmp_path: Path) -> None:
        space = make(tmp_path / "friends", FRIENDS)
        folder = dataset_export.export_folder(space, "card", None)
        done = export_clone(space, "card", CloneSelection(), folder)
        assert done.files == ["README.txt", "ana.png", "ana.v2.json", "ana.v3.json"]
        second = json.loads((folder / "ana.v2.json").read_text("utf-8"))
        third = json.loads((folder / "ana.v3.json").read_text("utf-8"))
        assert (second["spec"], second["spec_version"]) == ("chara_card_v2", "2.0")
        assert (third["spec"], third["spec_version"]) == ("chara_card_v3", "3.0")
        assert third["data"] == second["data"] | {"group_only_greetings": []}
        held = card.read_png((folder / "ana.png").read_bytes())
        assert held == {"chara": second, "ccv3": third}

    def test_tune_and_test_are_not_in_it(self, tmp_path: Path) -> None:
        space = make(tmp_path / "friends", FRIENDS)
        folder = dataset_export.export_folder(space, "card", None)
        export_clone(space, "card", CloneSelection(), folder)
        text = (folder / "ana.v3.json").read_text("utf-8")
        assert "always" in text
        assert "soup" not in text
        assert "only reported on" not in text

    def test_of_somebody_who_may_not_be_cloned(self, tmp_path: Path) -> None:
        space = make(tmp_path / "friends", FRIENDS)
        with pytest.raises(PeopleError, match="unknown person 'Ben'"):
            export_clone(space, "card", CloneSelection(person="Ben"), tmp_path / "out")

    def test_all_that_the_specification_asks_for_is_there(self) -> None:
        second, third = card.cards(content(("Ben", "tea?"), ("Ana", "always")))
        texts = {
            "name", "description", "personality", "scenario", "first_mes", "mes_example",
            "creator_notes", "system_prompt", "post_history_instructions", "creator",
            "character_version",
        }  # fmt: skip
        lists = {"alternate_greetings", "tags"}
        for data in (second["data"], third["data"]):
            assert {key for key, value in data.items() if isinstance(value, str)} == texts
            assert lists <= {key for key, value in data.items() if isinstance(value, list)}
            assert data["extensions"] == {}


class TestPng:
    def test_it_is_a_picture(self) -> None:
        data = card.card_png("Ana", {"chara": {"name": "李 👍"}})
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        at, kinds, pixels = 8, [], b""
        while at < len(data):
            (size,) = struct.unpack(">I", data[at : at + 4])
            kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
            assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(
                kind + body
            )
            kinds.append(kind)
            pixels += body if kind == b"IDAT" else b""
            at += 12 + size
        assert kinds == [b"IHDR", b"tEXt", b"IDAT", b"IEND"]
        assert len(zlib.decompress(pixels)) == card.HEIGHT * (1 + 3 * card.WIDTH)

    def test_its_text_is_base64_of_json(self) -> None:
        data = card.card_png("Ana", {"chara": {"name": "李"}})
        text = data.partition(b"tEXtchara\0")[2]
        size = struct.unpack(">I", data[33:37])[0] - len(b"chara\0")
        assert json.loads(base64.b64decode(text[:size])) == {"name": "李"}

    @pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n\0", b"\0" * 40])
    def test_what_is_no_card(self, data: bytes) -> None:
        with pytest.raises(ExportError, match=r"no picture of a character card|no PNG"):
            card.read_png(data)


class TestManner:
    def test_it_is_counted(self) -> None:
        own = ["ok then", "yes you", "so when", "where to 👍", "and why 👍", "no no no no no"]
        assert card.describe_style(own, [], []) == [
            "Writes messages of 2 words, at times of 3 or more.",
            "Begins in lower case.",
            "Leaves full stops out.",
            "Likes 👍.",
        ]

    def test_favourites_are_what_others_say_less(self) -> None:
        own = ["splendid tea"] * 6
        others = ["tea"] * 20 + ["splendid"]
        assert card.favourite_words(own, others, []) == ["splendid"]

    def test_names_and_words_that_nobody_else_says_are_none(self) -> None:
        own = ["hunter2 Bennet passphrase"] * 6
        assert card.favourite_words(own, ["bennet", *["tea"] * 20], ["Ben Bennet"]) == []
