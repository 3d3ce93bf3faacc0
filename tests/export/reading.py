"""Exports read back: who said what, turn by turn.

The persona's turns are ("assistant", text). The others' are (name, text) where names stand
in the text, else ("user", text).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from myna.engines.openai_engine import ZERO_WIDTH_SPACE
from myna.export.dialogues import OPENING, Dialogue
from myna.export.formats import BOS, EOS
from myna.rendering.turns import LOOKS_LIKE_TURN, unescape

Spoken = list[tuple[str, str]]

_TYPED = re.compile(
    rf"(<{ZERO_WIDTH_SPACE}*){ZERO_WIDTH_SPACE}(?=[|｜][^\s|｜<>\[\]{ZERO_WIDTH_SPACE}]{{1,40}}[|｜]>"
    r"|/?s>|(?:unk|pad|mask|bos|eos|(?:start|end)_of_turn)>)"
    rf"|(\[{ZERO_WIDTH_SPACE}*){ZERO_WIDTH_SPACE}(?=/?INST\]|start\])"
)


def typed(text: str) -> str:
    """The text that `neutralize` was given."""
    return _TYPED.sub(lambda sign: sign[1] or sign[2], text)


def meant(dialogue: Dialogue, *, names: bool) -> Spoken:
    """The turns that reading a dialogue back has to give; with `names`, each has its own."""
    found: Spoken = []
    for exchange in dialogue.exchanges:
        for turn in exchange.others:
            found.append((turn.person if names or dialogue.named else "user", turn.text))
        found.append((dialogue.persona if names else "assistant", exchange.own.text))
    return found


def by_name(text: str) -> Spoken:
    """Turns of a text in which each begins with its name."""
    found: list[tuple[str, list[str]]] = []
    for line in text.split("\n"):
        if LOOKS_LIKE_TURN.match(line):
            name, _, said = line.partition(":")
            found.append((name, [said[1:]]))
        else:
            found[-1][1].append(line)
    return [(name, unescaped(lines)) for name, lines in found]


def unescaped(lines: list[str]) -> str:
    """The text of a turn, of which the first line stands behind a name."""
    first, *rest = lines
    return "\n".join([first, *([unescape("\n".join(rest))] if rest else [])])


def heard(text: str, *, named: bool) -> Spoken:
    """The messages of a human's turn; none where the persona opened."""
    if text == OPENING:
        return []
    return by_name(typed(text)) if named else [("user", typed(text))]


def of_messages(said: Iterable[tuple[str, str]], *, named: bool) -> Spoken:
    """The turns behind a system line."""
    (role, _), *turns = said
    assert role == "system"
    found: Spoken = []
    for role, text in turns:
        if role in ("user", "human"):
            found += heard(text, named=named)
        else:
            found.append(("assistant", typed(text)))
    return found


def sharegpt(rows: list[Any], *, named: bool) -> Spoken:
    [row] = rows
    return of_messages(((m["from"], m["value"]) for m in row["conversations"]), named=named)


def openai(rows: list[Any], *, named: bool) -> Spoken:
    [row] = rows
    return of_messages(((m["role"], m["content"]) for m in row["messages"]), named=named)


def alpaca(rows: list[Any], *, named: bool) -> Spoken:
    found: Spoken = []
    for row in rows:
        found += [*heard(row["instruction"], named=named), ("assistant", typed(row["output"]))]
    return found


def chatml(rows: list[Any], *, named: bool) -> Spoken:
    [row] = rows
    turns = re.findall(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>\n", row["text"], re.DOTALL)
    return of_messages(turns, named=named)


def segments(rows: list[Any], *, named: bool) -> Spoken:
    [row] = rows
    text = "".join(segment["text"] for segment in row["segments"])
    assert text.startswith(BOS)
    assert text.endswith(EOS)
    _, _, said = typed(text.removeprefix(BOS).removesuffix(EOS)).partition("\n")
    return by_name(said)


READERS = {
    "sharegpt": sharegpt,
    "openai": openai,
    "alpaca": alpaca,
    "chatml": chatml,
    "segments": segments,
    "input-output": segments,
}


def through_json(rows: Iterable[Any]) -> list[Any]:
    """Rows as they are after being written and read."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    assert not any("\n" in line for line in lines)
    return [json.loads(line) for line in lines]
