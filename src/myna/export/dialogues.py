"""Dialogues: conversations between a persona and the others, cut to a trainer's length.

A dialogue is a series of exchanges; in each, others speak and then the persona. So it begins
with the other side, also if it continues a conversation that was cut: then the others' turn
before is repeated, untrained. Each message of the persona stands in one dialogue.

Lengths are in bytes of UTF-8: no tokenizer makes more tokens of a text than it has bytes,
so what fits here fits every trainer, whatever model it trains.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

import polars as pl

from myna.config.fields import check_fields
from myna.engines.openai_engine import ZERO_WIDTH_SPACE
from myna.errors import SettingsError
from myna.messages import CHANNEL_KEY
from myna.preparing.windows import middle_blank
from myna.rendering.turns import entry_line, escape, most_active

OPENING = "[start]"
"""The human's message if the persona speaks first and the format wants a human first."""

_TYPED = re.compile(
    rf"<{ZERO_WIDTH_SPACE}*+(?=[|｜][^\s|｜<>\[\]{ZERO_WIDTH_SPACE}]{{1,40}}+[|｜]>"
    r"|/?s>|(?:unk|pad|mask|bos|eos|(?:start|end)_of_turn)>)"
    rf"|\[{ZERO_WIDTH_SPACE}*+(?=/?INST\]|start\])"
)


def neutralize(text: str) -> str:
    """A text in which no trainer finds a control token, nor a reader an `OPENING`.

    Other trainers find control tokens in the text itself, so a typed `<|im_end|>` or `</s>`
    would end a turn there. A zero-width space behind its first character makes it plain text;
    one that is typed so already gets one more, so nothing is lost.
    """
    if "<" not in text and "[" not in text:
        return text
    return _TYPED.sub(lambda match: match[0] + ZERO_WIDTH_SPACE, text)


TURN_OVERHEAD = 40
"""The most bytes that a trainer's template puts around a turn."""

DrawExchanges = Callable[[random.Random], int]
"""Draws the maximum number of exchanges of the next dialogue."""


@dataclass(frozen=True)
class DialogueMessage:
    """One message, or a piece of a very long one.

    `row` is the message's number; `entry_line` the line before an entry of a journal, as its
    prompt; "" for later pieces and other messages.
    """

    text: str
    trained: bool
    row: int
    entry_line: str = ""


@dataclass(frozen=True)
class Turn:
    """Consecutive messages of one person."""

    person: str
    messages: tuple[DialogueMessage, ...]

    @property
    def text(self) -> str:
        """Its messages, joined by newlines."""
        return "\n".join(message.text for message in self.messages)


@dataclass(frozen=True)
class Exchange:
    """Turns of others, and the persona's turn. No others: the persona speaks first."""

    others: tuple[Turn, ...]
    own: Turn

    @property
    def opening(self) -> str:
        """The human's message if there are no others: the entry's prompt, or `OPENING`."""
        return self.own.messages[0].entry_line or OPENING


@dataclass(frozen=True)
class Dialogue:
    """Exchanges in one sample of a trainer.

    `named`: more than one other person speaks in the channel, so turns need names.
    """

    persona: str
    system: str
    named: bool
    exchanges: tuple[Exchange, ...]

    @property
    def rows(self) -> Iterator[int]:
        """The rows of the messages in it."""
        for exchange in self.exchanges:
            for turn in (*exchange.others, exchange.own):
                yield from (message.row for message in turn.messages)


def dialogues(
    messages: pl.DataFrame,
    persona: str,
    *,
    split: str,
    system: str,
    max_bytes: int,
    keeps_context: bool = True,
    draw: DrawExchanges | None = None,
) -> Iterator[Dialogue]:
    """The dialogues of a persona that have trained messages.

    Args:
        messages: prepared messages with a `row` number.
        persona: the person who answers.
        split: its name; the other people of a channel are counted in all splits.
        system: template of the system line (see `check_system`).
        max_bytes: of a dialogue, with all that templates add.
        keeps_context: keep the persona's untrained messages; a format without a loss mask
            needs them left out.
        draw: draws the maximum number of exchanges of each dialogue; None: as many as fit.

    Raises:
        SettingsError: the system line is too long for a dialogue.
    """
    is_own = pl.col("person") == persona
    others = pl.col("person").filter(~is_own).n_unique().over(CHANNEL_KEY)
    conversations = (
        messages.with_columns(_entry_lines(messages), named=others > 1)
        .filter(pl.col("split") == split)
        .filter((is_own & pl.col("trained")).any().over("conversation"))
        .filter(~is_own | pl.col("trained") | keeps_context)
        .group_by("conversation", maintain_order=True)
        .agg(
            pl.first("space", "channel", "named"), "person", "text", "trained", "row", "entry_line"
        )
    )
    for number, space, channel, named, people, *columns in conversations.iter_rows():
        line = _system_line(system, max_bytes // 4, persona, people, space, channel)
        budget = max_bytes - _bytes(line) - TURN_OVERHEAD
        turns = _turns(zip(people, map(DialogueMessage, *columns), strict=True))
        pieces = [p for e in exchanges(turns, persona) for p in _split_exchange(e, budget)]
        for window in _windows(pieces, budget, draw, random.Random(number)):
            if any(message.trained for e in window for message in e.own.messages):
                yield Dialogue(persona, line, named, tuple(window))


def _entry_lines(messages: pl.DataFrame) -> pl.Series:
    """The line before each entry of a journal, as its prompt; "" for other messages."""
    if "kind" not in messages.columns:
        return pl.Series("entry_line", [""]).new_from_index(0, messages.height)
    entries = messages.select("kind", "thread", day=pl.col("sent_at").dt.strftime("%Y-%m-%d"))
    lines = [
        entry_line(thread, day) if kind == "entry" else ""
        for kind, thread, day in entries.iter_rows()
    ]
    return pl.Series("entry_line", lines, pl.String)


def check_system(template: str) -> str:
    """Check that the template of a system line can be filled in; returns it.

    Raises:
        SettingsError: unknown field, or a single brace.
    """
    try:
        check_fields(template, ("name", "others", "channel", "space"))
    except ValueError as error:
        raise SettingsError(
            "--system: only {name}, {others}, {channel} and {space} are filled in, and a brace "
            f"itself is written twice ({error})"
        ) from error
    return template


def exchanges(turns: Sequence[Turn], persona: str) -> list[Exchange]:
    """The persona's turns, each with the others' before it; later turns are left out."""
    pairs: list[Exchange] = []
    others: list[Turn] = []
    for turn in turns:
        if turn.person == persona:
            pairs.append(Exchange(tuple(others), turn))
            others = []
        else:
            others.append(turn)
    return pairs


def _turns(messages: Iterator[tuple[str, DialogueMessage]]) -> list[Turn]:
    return [
        Turn(person, tuple(message for _, message in run))
        for person, run in groupby(messages, key=itemgetter(0))
    ]


def _system_line(
    template: str, max_bytes: int, persona: str, people: Sequence[str], space: str, channel: str
) -> str:
    """The template filled in: one line, naming as many others as fit."""
    others = most_active(person for person in people if person != persona)
    while _bytes(line := _filled(template, persona, others, space, channel)) > max_bytes:
        if not others:
            raise SettingsError(
                f"the system line has {_bytes(line)} bytes, and {max_bytes} is all that a dialogue "
                "has for it: write a shorter one, or allow more with --sequence-len"
            )
        others.pop()
    return line


def _filled(template: str, name: str, others: Sequence[str], space: str, channel: str) -> str:
    listed = ", ".join(sorted(others)) or "nobody"
    text = template.format(name=name, others=listed, channel=channel, space=space)
    return " ".join(text.split())


def _bytes(text: str) -> int:
    return len(neutralize(text).encode())


def _size(message: DialogueMessage) -> int:
    """The most bytes of a message in any format, with the newline behind it."""
    return _bytes(escape(message.text)) + 1


def _turn_size(turn: Turn) -> int:
    return TURN_OVERHEAD + _bytes(turn.person) + sum(map(_size, turn.messages))


def _exchange_size(exchange: Exchange) -> int:
    before = sum(map(_turn_size, exchange.others)) or TURN_OVERHEAD + _bytes(exchange.opening)
    return before + _turn_size(exchange.own)


def _windows(
    pieces: Sequence[Exchange], budget: int, draw: DrawExchanges | None, rng: random.Random
) -> Iterator[list[Exchange]]:
    """Consecutive exchanges of at most `budget` bytes, and of at most as many as are drawn."""
    window: list[Exchange] = []
    used = 0
    longest = draw(rng) if draw else len(pieces)
    for piece in pieces:
        size = _exchange_size(piece)
        is_first = not piece.others  # a piece of a very long turn without context
        if window and (is_first or used + size > budget or len(window) >= longest):
            yield window
            window, used = [], 0
            longest = draw(rng) if draw else len(pieces)
        window.append(piece)
        used += size
    if window:
        yield window


def _split_exchange(exchange: Exchange, budget: int) -> Iterator[Exchange]:
    """An exchange in pieces of at most `budget` bytes.

    Of the others' turns the end is kept, and stands before each piece of the answer.
    """
    if _exchange_size(exchange) <= budget:
        yield exchange
        return
    for own in _split_turn(exchange.own, budget // 2):
        yield Exchange(_end(exchange.others, budget - _turn_size(own)), own)


def _split_turn(turn: Turn, budget: int) -> Iterator[Turn]:
    """A turn in pieces that fit: split between messages, and very long ones at blanks."""
    fixed = used = TURN_OVERHEAD + _bytes(turn.person)
    gathered: list[DialogueMessage] = []
    for message in turn.messages:
        size = _size(message)
        if gathered and used + size > budget:
            yield replace(turn, messages=tuple(gathered))
            gathered, used = [], fixed
        if fixed + size <= budget:
            gathered.append(message)
            used += size
            continue
        for i, text in enumerate(_split_text(message.text, budget - fixed)):
            line = "" if i else message.entry_line
            yield replace(turn, messages=(replace(message, text=text, entry_line=line),))
    if gathered:
        yield replace(turn, messages=tuple(gathered))


def _end(turns: Sequence[Turn], budget: int) -> tuple[Turn, ...]:
    """The last messages of turns, as many as fit."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        budget -= TURN_OVERHEAD + _bytes(turn.person)
        fitting: list[DialogueMessage] = []
        for message in reversed(turn.messages):
            if _size(message) > budget:
                break
            fitting.insert(0, message)
            budget -= _size(message)
        if fitting:
            kept.insert(0, replace(turn, messages=tuple(fitting)))
        if len(fitting) < len(turn.messages):
            break
    if not kept and turns and budget > TURN_OVERHEAD:
        last = turns[-1].messages[-1]
        *_, text = _split_text(last.text, budget)
        kept = [Turn(turns[-1].person, (replace(last, text=text),))]
    return tuple(kept)


def _split_text(text: str, budget: int) -> Iterator[str]:
    """A text in pieces that fit, split at a blank near the middle if there is one."""
    if len(text) < 2 or _bytes(escape(text)) < budget:
        yield text
        return
    middle = middle_blank(text)
    for half in (text[:middle].strip(), text[middle:].strip()):
        if half:
            yield from _split_text(half, budget)
