"""The formats: what each is, what it holds of a dialogue, and its rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from myna.choices import CLONE_FORMATS, DATASET_FORMATS, DatasetFormat, join_with_or
from myna.errors import ExportError
from myna.export.dialogues import OPENING, Dialogue, Draw, Exchange, Turn, harmless
from myna.rendering.turns import escape_turn

BOS, EOS = "<s>", "</s>"

FEWEST_TURNS, MOST_TURNS = 2, 10
"""Turns of a dialogue, drawn at random: a model learns to talk at any length."""


def messages_drawn(chance: random.Random) -> int:
    """The most exchanges of a dialogue of `FEWEST_TURNS` to `MOST_TURNS` turns."""
    return chance.randint(FEWEST_TURNS, MOST_TURNS) // 2


def segments(dialogue: Dialogue) -> list[dict[str, Any]]:
    r"""The segments of a dialogue; concatenated, they are what is trained on.

        <s>CONTEXT: Ana is talking to friend.\nfriend: tea?     false
        \nAna: always\n                                         true
        friend: now?                                            false
        \nAna: now</s>                                          true

    The system line comes first, the first message is from the other side, the persona's
    stand between two newlines, and the last one ends with the end token. `<s>` and `</s>`
    are those of the Llama and Mistral bases.
    """
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


Row = dict[str, Any]

HISTORY = 5
"""Most exchanges in the history of an Alpaca row."""

SYSTEM = "You are {name}, in {channel} with {others}."
MIND_UPLOAD_SYSTEM = "CONTEXT: {name} is talking to {others}."

_TIMES = "times, message ids, reply links"
_FILES = "attachments: their kind stands in the text, as [image]"
_BORDERS = "where one message of a turn ends and the next begins"
_NAMES = "the other's name in a chat of two: only the system line has it"
_CONTROL = "typed control tokens such as <|im_end|>: a zero-width space makes them text"
_LABELS = "who is trained: the persona's messages that are context only are left out"


@dataclass(frozen=True)
class Format:
    """A format that dialogues can be written in.

    Attributes:
        rows: what a dialogue becomes; None for Parquet, which holds messages.
        holds_loss_mask: whether it says what is trained.
        lacks: what it cannot hold.
        length: most bytes of a dialogue, and the trainer's sequence length.
        draw: draws a dialogue's most exchanges.
    """

    name: DatasetFormat
    about: str
    lacks: tuple[str, ...]
    rows: Callable[[Dialogue], Iterator[Row]] | None
    file: Literal["jsonl", "json", "parquet"] = "jsonl"
    holds_loss_mask: bool = False
    system: str = SYSTEM
    length: int = 8192
    draw: Draw | None = None


def find(name: str) -> Format:
    """The format of that name.

    Raises:
        ExportError: there is none.
    """
    if name not in FORMATS:
        raise ExportError(
            f"'{name}' is no format: choose one of {join_with_or(DATASET_FORMATS)}; or, "
            f"for programs that run a clone, {join_with_or(CLONE_FORMATS)}"
        )
    return FORMATS[name]


def spoken(turn: Turn) -> str:
    """A turn behind its speaker's name, no line of it like somebody else's."""
    return f"{turn.person}: " + "\n".join(escape_turn([one.text for one in turn.said]))


def heard(exchange: Exchange, *, named: bool) -> str:
    """What the others say, in one text."""
    return harmless("\n".join(spoken(t) if named else t.text for t in exchange.others))


def opened(exchange: Exchange) -> str:
    """What is heard where nobody spoke."""
    asked = exchange.opening
    return asked if asked == OPENING else harmless(asked)


def answered(exchange: Exchange) -> str:
    """What the persona answers."""
    return harmless(exchange.own.text)


def _pairs(dialogue: Dialogue) -> Iterator[tuple[str, str]]:
    """What is heard and answered; something is heard even where the persona opens."""
    for exchange in dialogue.exchanges:
        said = heard(exchange, named=dialogue.named)
        yield said if exchange.others else opened(exchange), answered(exchange)


def _messages(dialogue: Dialogue) -> Iterator[tuple[str, str]]:
    """Roles and texts; a dialogue that the persona opens begins with their turn."""
    yield "system", harmless(dialogue.system)
    for exchange in dialogue.exchanges:
        if exchange.others:
            yield "user", heard(exchange, named=dialogue.named)
        elif exchange.opening != OPENING:
            yield "user", opened(exchange)
        yield "assistant", answered(exchange)


def sharegpt(dialogue: Dialogue) -> Iterator[Row]:
    """One row: `conversations` of `from` and `value`, human and gpt by turns."""
    said = [{"from": "system", "value": harmless(dialogue.system)}]
    for human, gpt in _pairs(dialogue):
        said += [{"from": "human", "value": human}, {"from": "gpt", "value": gpt}]
    yield {"conversations": said}


def openai(dialogue: Dialogue) -> Iterator[Row]:
    """One row: `messages` of `role` and `content`."""
    yield {"messages": [{"role": role, "content": text} for role, text in _messages(dialogue)]}


def alpaca(dialogue: Dialogue) -> Iterator[Row]:
    """A row for each answer, so that each is trained once by whoever reads no history."""
    history: list[list[str]] = []
    for human, gpt in _pairs(dialogue):
        yield {
            "instruction": human,
            "input": "",
            "output": gpt,
            "system": harmless(dialogue.system),
            "history": history[-HISTORY:],
        }
        history.append([human, gpt])


def chatml(dialogue: Dialogue) -> Iterator[Row]:
    """One row: the whole dialogue as `text`."""
    said = _messages(dialogue)
    yield {"text": "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in said)}


def _segments(dialogue: Dialogue) -> Iterator[Row]:
    yield {"segments": segments(dialogue)}


_SEGMENTS: dict[str, Any] = {
    "lacks": (_TIMES, _FILES, _BORDERS, _CONTROL),
    "rows": _segments,
    "holds_loss_mask": True,
    "system": MIND_UPLOAD_SYSTEM,
    "length": 4096,
    "draw": messages_drawn,
}

FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format(
            "sharegpt",
            "conversations of from and value, with configs for Axolotl and LLaMA-Factory",
            (_TIMES, _FILES, _BORDERS, _NAMES, _CONTROL, _LABELS,
             f"a dialogue that the persona opens: a human says {OPENING} first"),
            sharegpt,
        ),
        Format(
            "openai",
            "messages of role and content",
            (_TIMES, _FILES, _BORDERS, _NAMES, _CONTROL, _LABELS),
            openai,
        ),
        Format(
            "alpaca",
            "instruction, input, output, system, history, with a config for LLaMA-Factory",
            (_TIMES, _FILES, _BORDERS, _NAMES, _CONTROL, _LABELS,
             f"a dialogue that the persona opens: the instruction is {OPENING}",
             f"history beyond {HISTORY} exchanges"),
            alpaca,
        ),
        Format(
            "chatml",
            "text, each turn between <|im_start|> and <|im_end|>",
            (_TIMES, _FILES, _BORDERS, _NAMES, _CONTROL, _LABELS,
             "labels: whoever trains on plain text trains the others' turns, too"),
            chatml,
        ),
        Format(
            "segments",
            "a JSON array of segments of label and text, with a config for Axolotl",
            file="json",
            **_SEGMENTS,
        ),
        Format(
            "input-output",
            "the same segments, one JSON object a line, with a config for Axolotl",
            **_SEGMENTS,
        ),
        Format(
            "parquet",
            "a table of the messages, for any other tool",
            ("reply links", _FILES, "the pieces that a dialogue is cut into: all is whole"),
            None,
            file="parquet",
            holds_loss_mask=True,
        ),
    )
}  # fmt: skip
"""Every format by its name."""
