"""Conversations as turns, ready to be cut into windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from myna.conversations import sessions
from myna.samples.turns import Part, Turn, merge

MOST_NAMED = 16
"""Most people that a system line names: those who speak most."""


@dataclass
class Conversation:
    """One conversation of one split."""

    number: int
    part: str
    space: str
    channel: str
    whole: bool
    people: list[str]
    turns: list[Turn]


def loudest(speakers: Iterable[str]) -> list[str]:
    """The people that a system line names, given who said each message."""
    return [person for person, _ in Counter(speakers).most_common(MOST_NAMED)]


def shown() -> pl.Expr:
    """A message's text with its attachments behind it, as short tokens such as `[image]`."""
    kind = pl.element().struct.field("kind")
    tokens = pl.col("attachments").list.eval("[" + kind + "]").list.join(" ")
    return pl.concat_str(pl.col("text"), tokens, separator=" ").str.strip_chars()


def conversations(kept: pl.DataFrame) -> Iterator[Conversation]:
    """The conversations of cleaned, split messages, with what late replies bring along.

    A message is as `shown` has it.
    """
    frame = kept.with_columns(shown=shown()).with_row_index("row")
    persons, texts = frame["person"].to_list(), frame["shown"].to_list()
    trained = frame["trained"].to_list()
    brings = dict(sessions.answered(kept).iter_rows())
    columns = ("part", "space", "channel", "whole")
    groups = frame.group_by("conversation", maintain_order=True).agg(
        "row", *(pl.col(c).first() for c in columns)
    )
    for number, rows, part, space, channel, whole in groups.iter_rows():
        lines: list[tuple[str, Part]] = []
        brought: set[int] = set()
        for row in rows:
            target = brings.get(row)
            if target is not None and target not in brought:
                brought.add(target)
                lines.append((persons[target], Part(texts[target])))
            lines.append((persons[row], Part(texts[row], trained[row], row)))
        named = loudest(person for person, _ in lines)
        yield Conversation(number, part, space, channel, whole, named, merge(lines))
