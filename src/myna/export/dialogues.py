"""Dialogues: conversations as somebody answers in them, cut to a trainer's length.

A dialogue is a run of exchanges; in each, others speak and then the persona. So it begins
with the other side, also where it goes on with a conversation that was cut: then the
others' turn before is repeated, which trains nothing. Each message of the persona stands
in one dialogue.

Lengths are in bytes of UTF-8: no tokenizer makes more tokens of a text than it has bytes,
so what fits here fits every trainer, whatever model it is told to train.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl

from myna.engines.openai_engine import ZERO_WIDTH_SPACE
from myna.errors import SettingsError
from myna.messages import PLACE
from myna.preparing.windows import middle_blank
from myna.rendering.turns import entry_line, escape, most_active

OPENING = "[start]"
"""What a human says where the persona opens and a format wants a human first."""

_TYPED = re.compile(
    rf"<{ZERO_WIDTH_SPACE}*+(?=[|｜][^\s|｜<>\[\]{ZERO_WIDTH_SPACE}]{{1,40}}+[|｜]>"
    r"|/?s>|(?:unk|pad|mask|bos|eos|(?:start|end)_of_turn)>)"
    rf"|\[{ZERO_WIDTH_SPACE}*+(?=/?INST\]|start\])"
)


def harmless(text: str) -> str:
    """Text in which no trainer finds a control token, nor a reader an `OPENING`.

    Other trainers read their control tokens out of the text itself, so a typed `<|im_end|>`
    or `</s>` would end a turn there. A zero-width space behind its first sign makes it text;
    one that is typed so already gets one more, so nothing is lost.
    """
    if "<" not in text and "[" not in text:
        return text
    return _TYPED.sub(lambda sign: sign[0] + ZERO_WIDTH_SPACE, text)


TURN = 40
"""Bytes that a trainer's template may put around a turn."""

Draw = Callable[[random.Random], int]
"""Draws the most exchanges of the next dialogue."""


@dataclass(frozen=True)
class Said:
    """One message, or a piece of a very long one.

    `row` is the message's; `asked` the line that an entry of a journal or an essay is asked
    for with, of all but its first piece "".
    """

    text: str
    trained: bool
    row: int
    asked: str = ""


@dataclass(frozen=True)
class Turn:
    """What one person says until somebody else speaks."""

    person: str
    said: tuple[Said, ...]

    @property
    def text(self) -> str:
        """Its messages, one below the other."""
        return "\n".join(one.text for one in self.said)


@dataclass(frozen=True)
class Exchange:
    """The others' turns, and what the persona answers. No others: the persona opens."""

    others: tuple[Turn, ...]
    own: Turn

    @property
    def opening(self) -> str:
        """What a human says where nobody did: what an entry is asked for with, or `OPENING`."""
        return self.own.said[0].asked or OPENING


@dataclass(frozen=True)
class Dialogue:
    """Exchanges that a trainer sees as one sample.

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
                yield from (one.row for one in turn.said)


def dialogues(
    messages: pl.DataFrame,
    persona: str,
    *,
    split: str,
    system: str,
    length: int,
    keeps_context: bool = True,
    draw: Draw | None = None,
) -> Iterator[Dialogue]:
    """The dialogues of a persona in which something of theirs is trained.

    Args:
        messages: prepared messages with a `row` number.
        persona: who answers.
        split: its name; who else speaks in a channel is counted in all of them.
        system: template of the system line (see `check_system`).
        length: most bytes of a dialogue, templates' additions included.
        keeps_context: whether the persona's messages that are not trained stay; a format
            that cannot tell them from those that are needs them left out.
        draw: draws each dialogue's most exchanges; None for as many as fit.

    Raises:
        SettingsError: the system line leaves no room for words.
    """
    theirs = pl.col("person") == persona
    others = pl.col("person").filter(~theirs).n_unique().over(PLACE)
    found = (
        messages.with_columns(_asked(messages), named=others > 1)
        .filter(pl.col("split") == split)
        .filter((theirs & pl.col("trained")).any().over("conversation"))
        .filter(~theirs | pl.col("trained") | keeps_context)
        .group_by("conversation", maintain_order=True)
        .agg(pl.first("space", "channel", "named"), "person", "text", "trained", "row", "asked")
    )
    for number, space, channel, named, people, *columns in found.iter_rows():
        line = _system_line(system, length // 4, persona, people, space, channel)
        room = length - _bytes(line) - TURN
        said = map(Said, *columns)
        whole = exchanges(_turns(zip(people, said, strict=True)), persona)
        pieces = [piece for one in whole for piece in _fitting(one, room)]
        for window in _windows(pieces, room, draw, random.Random(number)):
            if any(one.trained for exchange in window for one in exchange.own.said):
                yield Dialogue(persona, line, named, tuple(window))


def _asked(messages: pl.DataFrame) -> pl.Series:
    """What each message is asked for with: "" for all but entries."""
    if "kind" not in messages.columns:
        return pl.Series("asked", [""]).new_from_index(0, messages.height)
    entries = messages.select("kind", "thread", day=pl.col("sent_at").dt.strftime("%Y-%m-%d"))
    lines = [
        entry_line(thread, day) if kind == "entry" else ""
        for kind, thread, day in entries.iter_rows()
    ]
    return pl.Series("asked", lines, pl.String)


def check_system(template: str) -> str:
    """The template of a system line, if it can be filled in.

    Raises:
        SettingsError: it names something that is not known.
    """
    try:
        _filled(template, "", [], "", "")
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise SettingsError(
            "--system: only {name}, {others}, {channel} and {space} are filled in, and a brace "
            f"itself is written twice ({error})"
        ) from error
    return template


def exchanges(turns: Sequence[Turn], persona: str) -> list[Exchange]:
    """The persona's turns, each with the others' before it; what is said after all is left."""
    found: list[Exchange] = []
    others: list[Turn] = []
    for turn in turns:
        if turn.person == persona:
            found.append(Exchange(tuple(others), turn))
            others = []
        else:
            others.append(turn)
    return found


def _turns(said: Iterator[tuple[str, Said]]) -> list[Turn]:
    gathered: list[tuple[str, list[Said]]] = []
    for person, one in said:
        if gathered and gathered[-1][0] == person:
            gathered[-1][1].append(one)
        else:
            gathered.append((person, [one]))
    return [Turn(person, tuple(run)) for person, run in gathered]


def _system_line(
    template: str, most: int, persona: str, people: Sequence[str], space: str, channel: str
) -> str:
    """The template filled in: one line, of as many others as `most` bytes hold."""
    others = most_active(person for person in people if person != persona)
    while _bytes(line := _filled(template, persona, others, space, channel)) > most:
        if not others:
            raise SettingsError(
                f"the system line has {_bytes(line)} bytes, and {most} is all that a dialogue has "
                "for it: write a shorter one, or allow more with --sequence-len"
            )
        others.pop()
    return line


def _filled(template: str, name: str, others: Sequence[str], space: str, channel: str) -> str:
    listed = ", ".join(sorted(others)) or "nobody"
    text = template.format(name=name, others=listed, channel=channel, space=space)
    return " ".join(text.split())


def _bytes(text: str) -> int:
    return len(harmless(text).encode())


def _size(said: Said) -> int:
    """The most bytes of a message in any format, with the newline behind it."""
    return _bytes(escape(said.text)) + 1


def _turn_size(turn: Turn) -> int:
    return TURN + _bytes(turn.person) + sum(map(_size, turn.said))


def _exchange_size(exchange: Exchange) -> int:
    before = sum(map(_turn_size, exchange.others)) or TURN + _bytes(exchange.opening)
    return before + _turn_size(exchange.own)


def _windows(
    pieces: Sequence[Exchange], room: int, draw: Draw | None, chance: random.Random
) -> Iterator[list[Exchange]]:
    """Runs of exchanges that fit into `room`, of as many as are drawn."""
    window: list[Exchange] = []
    used = 0
    most = draw(chance) if draw else len(pieces)
    for piece in pieces:
        size = _exchange_size(piece)
        opens = not piece.others  # a piece of a very long turn that nothing stands before
        if window and (opens or used + size > room or len(window) >= most):
            yield window
            window, used = [], 0
            most = draw(chance) if draw else len(pieces)
        window.append(piece)
        used += size
    if window:
        yield window


def _fitting(exchange: Exchange, room: int) -> Iterator[Exchange]:
    """An exchange in as many as are needed for each to fit into `room`.

    Of what the others said the end is kept, and stands before each piece of the answer.
    """
    if _exchange_size(exchange) <= room:
        yield exchange
        return
    for own in _cut(exchange.own, room // 2):
        yield Exchange(_end(exchange.others, room - _turn_size(own)), own)


def _cut(turn: Turn, room: int) -> Iterator[Turn]:
    """A turn in pieces that fit: cut between messages, and very long ones at blanks."""
    fixed = used = TURN + _bytes(turn.person)
    gathered: list[Said] = []
    for said in turn.said:
        size = _size(said)
        if gathered and used + size > room:
            yield replace(turn, said=tuple(gathered))
            gathered, used = [], fixed
        if fixed + size <= room:
            gathered.append(said)
            used += size
            continue
        for place, text in enumerate(_halves(said.text, room - fixed)):
            asked = "" if place else said.asked
            yield replace(turn, said=(replace(said, text=text, asked=asked),))
    if gathered:
        yield replace(turn, said=tuple(gathered))


def _end(turns: Sequence[Turn], room: int) -> tuple[Turn, ...]:
    """The last of what is said, as much as fits."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        room -= TURN + _bytes(turn.person)
        said: list[Said] = []
        for one in reversed(turn.said):
            if _size(one) > room:
                break
            said.insert(0, one)
            room -= _size(one)
        if said:
            kept.insert(0, replace(turn, said=tuple(said)))
        if len(said) < len(turn.said):
            break
    if not kept and turns and room > TURN:
        last = turns[-1].said[-1]
        *_, text = _halves(last.text, room)
        kept = [Turn(turns[-1].person, (replace(last, text=text),))]
    return tuple(kept)


def _halves(text: str, room: int) -> Iterator[str]:
    """A text in pieces that fit, cut at a blank near the middle where there is one."""
    if len(text) < 2 or _bytes(escape(text)) < room:
        yield text
        return
    at = middle_blank(text)
    for half in (text[:at].strip(), text[at:].strip()):
        if half:
            yield from _halves(half, room)
