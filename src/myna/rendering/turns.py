"""Turns of a conversation, and the text around them that every rendering shares.

No speaker can write another's turn: where a turn begins with a name, a line within one that
looks like the beginning of another gets a blank in front (`escape`), and lines read back lose
it (`unescape`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import polars as pl

from myna.people import MAX_NAME_CHARS

LOOKS_LIKE_TURN = re.compile(rf"[^\s:][^:\n]{{0,{MAX_NAME_CHARS}}}:(?=\s|\Z)")
"""The beginning of a line that would be read as the beginning of a turn."""

_MAY_BE_TURN = re.compile(rf"(?: *[^\s:][^:\n]{{0,{MAX_NAME_CHARS}}}:?| *)\Z")
_TURN_IN_TEXT = rf"(?= *{LOOKS_LIKE_TURN.pattern.replace(chr(92) + 'Z', '$')})"
_ESCAPE, _UNESCAPE = re.compile(rf"(?m)^{_TURN_IN_TEXT}"), re.compile(rf"(?m)^ {_TURN_IN_TEXT}")

ESSAY, JOURNAL = "[ESSAY]", "[JOURNAL]"

MAX_PEOPLE_NAMED = 16
"""Most people that a system line names: those who speak most."""


@dataclass(frozen=True)
class TurnLine:
    """One message of a turn (or a piece of a very long one)."""

    text: str
    trained: bool = False
    message: int | None = None
    """Row of the message that this is the last piece of; None for context brought along."""


@dataclass(frozen=True)
class Turn:
    """Consecutive messages of one person.

    `ends` is False for all but the last piece of a turn that is longer than a window.
    """

    person: str
    lines: tuple[TurnLine, ...]
    ends: bool = True


def merge_turns(lines: Iterable[tuple[str, TurnLine]]) -> list[Turn]:
    """Merge (person, line), in order, into turns."""
    return [
        Turn(person, tuple(line for _, line in own))
        for person, own in groupby(lines, key=lambda pair: pair[0])
    ]


def system_line(
    template: str,
    *,
    people: Sequence[str],
    space: str = "",
    channel: str = "",
    name: str = "",
    date: str = "",
    platform: str = "",
) -> str:
    """Fill in the line that every sample and prompt begins with: always one line.

    `people` are those present, `name` is the persona's.
    """
    text = template.format(
        people=", ".join(sorted(people)),
        space=space,
        channel=channel,
        name=name,
        date=date,
        platform=platform,
    )
    return " ".join(text.split())


def most_active(speakers: Iterable[str]) -> list[str]:
    """The people that a system line names, given the author of each message."""
    return [person for person, _ in Counter(speakers).most_common(MAX_PEOPLE_NAMED)]


def entry_line(prompt: str | None = None, day: str | None = None) -> str:
    """The line in front of a page of a journal (`[JOURNAL] day`) or an essay (`[ESSAY] prompt`)."""
    prompt = " ".join((prompt or "").split())
    return f"{ESSAY} {prompt}" if prompt else f"{JOURNAL} {day or ''}".strip()


def entry_line_of(text: str) -> str:
    """The entry line that a turn's text begins with; "" if it is not an entry."""
    line = text.partition("\n")[0]
    return line if line.startswith((f"{ESSAY} ", JOURNAL)) else ""


def escape(text: str) -> str:
    """A message after the first of its turn, unable to look like the beginning of a turn."""
    return _ESCAPE.sub(" ", text)


def unescape(text: str) -> str:
    """The message that `escape` was given."""
    return _UNESCAPE.sub("", text)


def may_be_turn(start: str) -> bool:
    """True if a line that begins so may still turn out to look like the beginning of a turn."""
    return _MAY_BE_TURN.match(start) is not None


def escape_turn(texts: Sequence[str]) -> list[str]:
    """The messages of a turn, escaped: the very first line stands behind its own name."""
    first, newline, rest = texts[0].partition("\n")
    return [first + newline + escape(rest), *map(escape, texts[1:])]


def escape_column(texts: pl.Series, opens: pl.Series) -> pl.Series:
    """Many messages, escaped as in `escape_turn`; `opens` tells which open their turn."""
    may_be = texts.str.contains(":", literal=True) & (
        ~opens | texts.str.contains("\n", literal=True)
    )
    rows = may_be.arg_true()
    escaped = [
        escape_turn([text])[0] if is_first else escape(text)
        for text, is_first in zip(texts.gather(rows), opens.gather(rows), strict=True)
    ]
    return texts.scatter(rows, escaped)
