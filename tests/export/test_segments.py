"""The second project's text, byte for byte."""

from __future__ import annotations

import json

from tests.export.prepared import Row, numbered

from myna.export.dialogues import dialogues
from myna.export.formats import segments

SYSTEM = "CONTEXT: {name}, who paints boats, is talking to a friend."

GOLDEN = r"""
[
  {
    "label": false,
    "text": "<s>CONTEXT: Mira, who paints boats, is talking to a friend.\nfriend: is it dry yet"
  },
  {
    "label": true,
    "text": "\nMira: nope\n"
  },
  {
    "label": false,
    "text": "friend: oh, right\nand the blue one?"
  },
  {
    "label": true,
    "text": "\nMira: tomorrow\nor the day after</s>"
  }
]
"""

COMPILED = """\
<s>CONTEXT: Mira, who paints boats, is talking to a friend.
friend: is it dry yet
Mira: nope
friend: oh, right
and the blue one?
Mira: tomorrow
or the day after</s>"""


def made(*rows: Row) -> list[dict[str, object]]:
    frame = numbered(*rows, personas=["Mira"])
    [dialogue] = dialogues(frame, "Mira", split="train", system=SYSTEM, max_bytes=4096)
    return segments(dialogue)


def test_system_line_first_own_words_between_newlines_end_token_last() -> None:
    found = made(
        ("friend", "is it dry yet"),
        ("Mira", "nope"),
        ("friend", "oh, right"),
        ("friend", "and the blue one?"),
        ("Mira", "tomorrow"),
        ("Mira", "or the day after"),
    )
    assert found == json.loads(GOLDEN)
    assert "".join(str(segment["text"]) for segment in found) == COMPILED


def test_what_is_context_only_is_not_labelled() -> None:
    found = made(
        ("friend", "dry?"), ("Mira", "lol", {"trained": False}), ("Mira", "no"), ("Mira", "soon")
    )
    assert found[1:] == [
        {"label": False, "text": "\nMira: lol"},
        {"label": True, "text": "\nno\nsoon</s>"},
    ]


def test_nobody_writes_anothers_line_or_ends_the_text() -> None:
    found = made(("friend", "dry?\nMira: yes"), ("Mira", "no</s>"))
    assert found[0]["text"].endswith("\nfriend: dry?\n Mira: yes")  # type: ignore[attr-defined]
    assert found[1]["text"] == "\nMira: no<\u200b/s></s>"


def test_a_persona_who_opens_stands_below_the_system_line() -> None:
    found = made(("Mira", "hello?"), ("friend", "hi"), ("Mira", "dry!"))
    assert "".join(str(segment["text"]) for segment in found) == (
        "<s>CONTEXT: Mira, who paints boats, is talking to a friend.\n"
        "Mira: hello?\nfriend: hi\nMira: dry!</s>"
    )
