"""The dataset formats: their descriptions, limitations, and rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from myna.choices import CLONE_FORMATS, DATASET_FORMATS, DatasetFormat, join_with_or
from myna.errors import ExportError
from myna.export.dialogues import OPENING, Dialogue, DrawExchanges, Exchange, Turn, neutralize
from myna.rendering.turns import escape_turn

BOS, EOS = "<s>", "</s>"

MIN_TURNS, MAX_TURNS = 2, 10
"""Turns of a dialogue, drawn at random, so that the model learns any length."""


def draw_exchanges(rng: random.Random) -> int:
    """The maximum number of exchanges of a dialogue of `MIN_TURNS` to `MAX_TURNS` turns."""
    return rng.randint(MIN_TURNS, MAX_TURNS) // 2


def segments(dialogue: Dialogue) -> list[dict[str, Any]]:
    r"""The segments of a dialogue; concatenated, they are the sample's text.

        <s>CONTEXT: Ana is talking to friend.\nfriend: tea?     false
        \nAna: always\n                                         true
        friend: now?                                            false
        \nAna: now</s>                                          true

    The system line comes first, the first message is from the other side, the persona's
    stand between two newlines, and the last one ends with the end token. `<s>` and `</s>`
    are those of the Llama and Mistral bases.
    """
    opening = BOS + neutralize(dialogue.system)
    found: list[dict[str, Any]] = []
    for i, exchange in enumerate(dialogue.exchanges):
        before = "\n".join(text for turn in exchange.others for text, _ in _lines(turn))
        if not exchange.others and exchange.opening != OPENING:
            before = neutralize(exchange.opening)
        if i == 0:
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
    """The (text, trained) of each message of a turn; the name is before the first."""
    texts = [neutralize(text) for text in escape_turn([m.text for m in turn.messages])]
    texts[0] = f"{neutralize(turn.person)}: {texts[0]}"
    return [(text, m.trained) for text, m in zip(texts, turn.messages, strict=True)]


Row = dict[str, Any]

MAX_HISTORY_EXCHANGES = 5
"""In the history of an Alpaca row."""

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
    """A format of dialogues for other trainers.

    Attributes:
        lacks: its limitations.
        rows: makes the rows of a dialogue; None for Parquet, which holds messages.
        holds_loss_mask: True if it marks what is trained.
        sequence_len: the trainer's sequence length, and the most bytes of a dialogue.
        draw: draws the maximum number of exchanges of each dialogue; None: as many as fit.
    """

    name: DatasetFormat
    about: str
    lacks: tuple[str, ...]
    rows: Callable[[Dialogue], Iterator[Row]] | None
    file: Literal["jsonl", "json", "parquet"] = "jsonl"
    holds_loss_mask: bool = False
    system: str = SYSTEM
    sequence_len: int = 8192
    draw: DrawExchanges | None = None


def find(name: str) -> Format:
    """Look up a format by its name.

    Raises:
        ExportError: unknown format.
    """
    if name not in FORMATS:
        raise ExportError(
            f"'{name}' is no format: choose one of {join_with_or(DATASET_FORMATS)}; or, "
            f"for programs that run a clone, {join_with_or(CLONE_FORMATS)}"
        )
    return FORMATS[name]


def _named_turn(turn: Turn) -> str:
    """A turn behind its author's name; no line of it looks like somebody else's turn."""
    return f"{turn.person}: " + "\n".join(escape_turn([m.text for m in turn.messages]))


def _user_text(dialogue: Dialogue, exchange: Exchange) -> str:
    """The others' turns as one text, or the opening if there are none."""
    if exchange.others:
        texts = (_named_turn(t) if dialogue.named else t.text for t in exchange.others)
        return neutralize("\n".join(texts))
    return OPENING if exchange.opening == OPENING else neutralize(exchange.opening)


def _pairs(dialogue: Dialogue) -> Iterator[tuple[str, str]]:
    """The texts of user and assistant; there is a user even if the persona speaks first."""
    for exchange in dialogue.exchanges:
        yield _user_text(dialogue, exchange), neutralize(exchange.own.text)


def _messages(dialogue: Dialogue) -> Iterator[tuple[str, str]]:
    """Roles and texts; if the persona speaks first, the assistant does."""
    yield "system", neutralize(dialogue.system)
    for exchange in dialogue.exchanges:
        if exchange.others or exchange.opening != OPENING:
            yield "user", _user_text(dialogue, exchange)
        yield "assistant", neutralize(exchange.own.text)


def sharegpt(dialogue: Dialogue) -> Iterator[Row]:
    """One row: `conversations` of `from` and `value`, human and gpt by turns."""
    turns = [{"from": "system", "value": neutralize(dialogue.system)}]
    for human, gpt in _pairs(dialogue):
        turns += [{"from": "human", "value": human}, {"from": "gpt", "value": gpt}]
    yield {"conversations": turns}


def openai(dialogue: Dialogue) -> Iterator[Row]:
    """One row: `messages` of `role` and `content`."""
    yield {"messages": [{"role": role, "content": text} for role, text in _messages(dialogue)]}


def alpaca(dialogue: Dialogue) -> Iterator[Row]:
    """A row for each answer, so that trainers without history train each once."""
    history: list[list[str]] = []
    for human, gpt in _pairs(dialogue):
        yield {
            "instruction": human,
            "input": "",
            "output": gpt,
            "system": neutralize(dialogue.system),
            "history": history[-MAX_HISTORY_EXCHANGES:],
        }
        history.append([human, gpt])


def chatml(dialogue: Dialogue) -> Iterator[Row]:
    """One row: the whole dialogue as `text`."""
    turns = _messages(dialogue)
    yield {"text": "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)}


def _segments(dialogue: Dialogue) -> Iterator[Row]:
    yield {"segments": segments(dialogue)}


_SEGMENTS: dict[str, Any] = {
    "lacks": (_TIMES, _FILES, _BORDERS, _CONTROL),
    "rows": _segments,
    "holds_loss_mask": True,
    "system": MIND_UPLOAD_SYSTEM,
    "sequence_len": 4096,
    "draw": draw_exchanges,
}

FORMATS: dict[str, Format] = {
    format_.name: format_
    for format_ in (
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
             f"history beyond {MAX_HISTORY_EXCHANGES} exchanges"),
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
