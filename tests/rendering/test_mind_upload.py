"""The second project's text, byte for byte, as it is trained."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest
from tests.bases import KINDS, make
from tests.export.prepared import numbered
from tests.metadata import prompt_format

from myna.export import formats as exported
from myna.export.dialogues import dialogues
from myna.persona.prompt import PromptBuilder
from myna.rendering import renderings
from myna.rendering.render import encode_segments, render_segments
from myna.rendering.spec import RenderingSpec
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import TurnLine, merge_turns

SYSTEM = "CONTEXT: Mira, who paints boats, is talking to a friend."

CHAT = [
    ("friend", "is it dry yet"),
    ("Mira", "nope"),
    ("friend", "oh, right"),
    ("friend", "and the blue one?"),
    ("Mira", "tomorrow"),
    ("Mira", "or the day after"),
]

GOLDEN = [
    {
        "label": False,
        "text": "<s>CONTEXT: Mira, who paints boats, is talking to a friend.\n"
        "friend: is it dry yet",
    },
    {"label": True, "text": "\nMira: nope\n"},
    {"label": False, "text": "friend: oh, right\nand the blue one?"},
    {"label": True, "text": "\nMira: tomorrow\nor the day after</s>"},
]

Base = tuple[RenderingSpec, Tokenizer]


@pytest.fixture
def base(tmp_path: Path) -> Base:
    tokenizer = make(tmp_path, KINDS["text-markers"])
    return renderings.rendering_spec("mind-upload", tokenizer), tokenizer


def labelled(base: Base, chat: list[tuple[str, str]]) -> list[dict[str, object]]:
    turns = merge_turns((who, TurnLine(text, trained=who == "Mira")) for who, text in chat)
    found = render_segments(base[0], SYSTEM, turns, persona="Mira")
    return [
        {"label": trained, "text": "".join(s.text for s in run)}
        for trained, run in groupby(found, key=lambda s: s.kind > 0)
    ]


def test_system_line_first_own_words_between_newlines_end_token_last(base: Base) -> None:
    assert labelled(base, CHAT) == GOLDEN


def test_the_same_as_the_export(base: Base) -> None:
    for chat in (CHAT, [("Mira", "hello?"), *CHAT], [("friend", "a\nMira: b"), ("Mira", "c")]):
        rows = numbered(*chat, personas=["Mira"])
        [dialogue] = dialogues(rows, "Mira", split="train", system=SYSTEM, max_bytes=4096)
        text = "".join(str(one["text"]) for one in exported.segments(dialogue))
        assert "".join(str(one["text"]) for one in labelled(base, chat)) == text


def test_its_control_tokens_are_the_bases_own(base: Base) -> None:
    tokenizer = base[1]
    turns = merge_turns((who, TurnLine(text)) for who, text in [*CHAT[:-1], ("Mira", "</s>")])
    ids = encode_segments(
        render_segments(base[0], SYSTEM, turns, persona="Mira"), tokenizer, add_special_tokens=False
    )[0]
    assert [i for i in ids if i in tokenizer.control_ids] == [*tokenizer.bos_ids, tokenizer.eos_id]
    assert (ids[0], ids[-1]) == (tokenizer.bos_ids[0], tokenizer.eos_id)


def test_a_prompt_ends_with_the_personas_name(base: Base) -> None:
    builder = PromptBuilder(prompt_format(SYSTEM, spec=base[0]), base[1], ["Mira"], 999)
    for who, text in CHAT[:-2]:
        builder.add(who, text)
    text = "".join(str(one["text"]) for one in GOLDEN)
    assert base[1].decode(builder.prompt("Mira")) == text.partition(" tomorrow")[0]
