r"""The segments of `style = "mind-upload"`: a text in pieces, each with its label.

    <s>CONTEXT: Ana is talking to friend.\nfriend: tea?     false
    \nAna: always\n                                         true
    friend: now?                                            false
    \nAna: now</s>                                          true

The system line comes first, the first message is from the other side, the persona's
stand between two newlines, and the last one ends with the end token. `<s>` and `</s>`
are those of the Llama and Mistral bases.
"""

from __future__ import annotations

import random
from itertools import groupby
from typing import Any

from myna.export.control import OPENING, harmless
from myna.export.dialogues import Dialogue, Turn
from myna.samples.rendering import escape_turn

BOS, EOS = "<s>", "</s>"

FEWEST, MOST = 2, 10
"""Turns of a dialogue, drawn at random: a model learns to talk at any length."""


def messages_drawn(chance: random.Random) -> int:
    """The most exchanges of a dialogue of `FEWEST` to `MOST` turns."""
    return chance.randint(FEWEST, MOST) // 2


def segments(dialogue: Dialogue) -> list[dict[str, Any]]:
    """The segments of a dialogue; concatenated, they are what is trained on."""
    opening = BOS + harmless(dialogue.system)
    found: list[dict[str, Any]] = []
    for number, exchange in enumerate(dialogue.exchanges):
        before = "\n".join(text for turn in exchange.others for text, _ in _lines(turn))
        if not exchange.others and exchange.opening != OPENING:
            before = harmless(exchange.opening)
        if number == 0:
            before = f"{opening}\n{before}" if before else opening
        found.append(_segment(before, label=False))
        for trained, lines in groupby(_lines(exchange.own), key=lambda line: line[1]):
            found.append(_segment("".join(f"\n{text}" for text, _ in lines), label=trained))
        found[-1]["text"] += "\n"
    found[-1]["text"] = found[-1]["text"].removesuffix("\n") + EOS
    return found


def _segment(text: str, *, label: bool) -> dict[str, Any]:
    return {"label": label, "text": text}


def _lines(turn: Turn) -> list[tuple[str, bool]]:
    """The messages of a turn and whether they are trained; the name is before the first."""
    texts = [harmless(text) for text in escape_turn([one.text for one in turn.said])]
    texts[0] = f"{harmless(turn.person)}: {texts[0]}"
    return [(text, one.trained) for text, one in zip(texts, turn.said, strict=True)]
