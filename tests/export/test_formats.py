"""Each format of a dialogue, and that it loads back to the same turns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import names, texts
from tests.export import reading
from tests.export.prepared import Row, numbered

from myna.engines.openai_engine import ZERO_WIDTH_SPACE
from myna.errors import ExportError
from myna.export.clone_export import TARGETS
from myna.export.dialogues import Dialogue, dialogues
from myna.export.formats import FORMATS, alpaca, chatml, find, openai, sharegpt
from myna.messages import normalize_text

SYSTEM = "You are {name}."


def dialogue(*rows: Row) -> Dialogue:
    [found] = dialogues(numbered(*rows), "Ana", split="train", system=SYSTEM, max_bytes=8192)
    return found


TWO = dialogue(("Ben", "tea?"), ("Ana", "always"), ("Ana", "now?"), ("Ben", "ok"), ("Ana", "bye"))
GROUP = dialogue(("Ben", "tea?"), ("Cy", "me too\nBen: no"), ("Ana", "Ben: what?"))
OPENED = dialogue(("Ana", "anyone?"), ("Ben", "me"), ("Ana", "good"))


def test_sharegpt() -> None:
    assert list(sharegpt(TWO)) == [
        {
            "conversations": [
                {"from": "system", "value": "You are Ana."},
                {"from": "human", "value": "tea?"},
                {"from": "gpt", "value": "always\nnow?"},
                {"from": "human", "value": "ok"},
                {"from": "gpt", "value": "bye"},
            ]
        }
    ]


def test_others_have_their_names_in_front_where_there_are_several() -> None:
    [row] = sharegpt(GROUP)
    assert row["conversations"][1:] == [
        {"from": "human", "value": "Ben: tea?\nCy: me too\n Ben: no"},
        {"from": "gpt", "value": "Ben: what?"},
    ]


def test_sharegpt_begins_with_a_human() -> None:
    [row] = sharegpt(OPENED)
    assert [m["from"] for m in row["conversations"]] == ["system", *["human", "gpt"] * 2]
    assert row["conversations"][1]["value"] == "[start]"


class TestEntries:
    ESSAY = dialogue(("Ana", "It is warm.", {"kind": "entry", "thread": "What is\ntea?</s>"}))
    PAGE = dialogue(("Ana", "Rain.", {"kind": "entry"}), ("Ben", "hm"), ("Ana", "yes"))

    @pytest.mark.parametrize(
        ("name", "asked"),
        [
            (
                "sharegpt",
                [("human", f"[ESSAY] What is tea?<{ZERO_WIDTH_SPACE}/s>"), ("gpt", "It is warm.")],
            ),
            (
                "openai",
                [
                    ("user", f"[ESSAY] What is tea?<{ZERO_WIDTH_SPACE}/s>"),
                    ("assistant", "It is warm."),
                ],
            ),
        ],
    )
    def test_they_are_asked_for_in_words(self, name: str, asked: list[tuple[str, str]]) -> None:
        [row] = FORMATS[name].rows(self.ESSAY)  # type: ignore[misc]
        [said] = row.values()
        assert [tuple(message.values()) for message in said[1:]] == asked

    def test_by_day_where_there_is_no_prompt(self) -> None:
        [first, second] = alpaca(self.PAGE)
        assert (first["instruction"], first["output"]) == ("[JOURNAL] 2024-05-01", "Rain.")
        assert second["instruction"] == "hm"

    def test_in_segments_they_are_asked_for_below_the_system_line(self) -> None:
        [row] = FORMATS["segments"].rows(self.PAGE)  # type: ignore[misc]
        assert row["segments"][:3] == [
            {"label": False, "text": "<s>You are Ana.\n[JOURNAL] 2024-05-01"},
            {"label": True, "text": "\nAna: Rain.\n"},
            {"label": False, "text": "Ben: hm"},
        ]

    def test_only_the_first_piece_of_a_long_one_is_asked_for(self) -> None:
        long = numbered(("Ana", "and so on " * 200, {"kind": "entry"}))
        pieces = dialogues(long, "Ana", split="train", system=SYSTEM, max_bytes=1024)
        heard = [row["conversations"][1]["value"] for one in pieces for row in sharegpt(one)]
        assert len(heard) > 2
        assert heard == ["[JOURNAL] 2024-05-01", *["[start]"] * (len(heard) - 1)]


def test_openai_lets_the_persona_open() -> None:
    assert list(openai(OPENED)) == [
        {
            "messages": [
                {"role": "system", "content": "You are Ana."},
                {"role": "assistant", "content": "anyone?"},
                {"role": "user", "content": "me"},
                {"role": "assistant", "content": "good"},
            ]
        }
    ]


def test_alpaca_has_a_row_for_each_answer_with_the_exchanges_before() -> None:
    plain = {"input": "", "system": "You are Ana."}
    assert list(alpaca(TWO)) == [
        {"instruction": "tea?", "output": "always\nnow?", "history": [], **plain},
        {"instruction": "ok", "output": "bye", "history": [["tea?", "always\nnow?"]], **plain},
    ]


def test_alpaca_keeps_five_exchanges_of_history() -> None:
    rows = [(("Ben", "Ana")[n % 2], str(n)) for n in range(20)]
    *_, last = alpaca(dialogue(*rows))
    assert last["history"] == [[str(n), str(n + 1)] for n in range(8, 18, 2)]


def test_chatml() -> None:
    said = dialogue(("Ben", "what is <|im_end|>?"), ("Ana", "an end"))
    assert list(chatml(said)) == [
        {
            "text": "<|im_start|>system\nYou are Ana.<|im_end|>\n"
            f"<|im_start|>user\nwhat is <{ZERO_WIDTH_SPACE}|im_end|>?<|im_end|>\n"
            "<|im_start|>assistant\nan end<|im_end|>\n"
        }
    ]


def test_an_unknown_format_is_told_which_there_are() -> None:
    with pytest.raises(ExportError, match="'vicuna' is no format: choose one of sharegpt, openai"):
        find("vicuna")


def test_the_page_of_exports_has_every_format() -> None:
    page = (Path(__file__).parents[2] / "docs" / "exports.md").read_text("utf-8")
    expected = ["FORMAT", *FORMATS, *TARGETS]
    assert re.findall(r"^\| `(.+?)` \| ", page, re.MULTILINE)[: len(expected)] == expected


ODD = [
    *("gpt:", "gpt: hi", "human: x", "\nhuman:", "### Response:"),
    *("Ana: no", "\nAna: no", "\n Ana: "),
    *("[start]", "<s>", "</s>", "[INST] x [/INST]", "<|im_start|>assistant\n"),
    f"<{ZERO_WIDTH_SPACE}|im_end|>",
    *(ZERO_WIDTH_SPACE, "\u2800", "👩‍🚀", "{", '"', "\\n", "\\", "null"),
]  # fmt: skip

said = (texts | st.lists(st.sampled_from(ODD) | texts, max_size=4).map("".join)).map(normalize_text)
lines = st.lists(
    st.tuples(st.sampled_from(["Ana", "Ana", "Ben", "Cy"]) | names, said.filter(bool)),
    min_size=1,
    max_size=9,
)


@given(lines, st.sampled_from(sorted(reading.READERS)))
def test_what_is_written_loads_back_to_the_same_turns(
    rows: list[tuple[str, str]], name: str
) -> None:
    for one in dialogues(numbered(*rows), "Ana", split="train", system=SYSTEM, max_bytes=10**6):
        written = FORMATS[name].rows
        assert written is not None
        read = reading.READERS[name](reading.through_json(written(one)), named=one.named)
        has_names = name in ("segments", "input-output")
        assert read == reading.meant(one, names=has_names)
